package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Counters are what the kernel counted on an endpoint's interface and in its namespace.
type Counters struct {
	TxBytes   uint64 `json:"tx_bytes"` // frames, without their checksum; a run that crosses whole has its headers counted once
	TxPackets uint64 `json:"tx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	TxDropped uint64 `json:"tx_dropped"`
	RxDropped uint64 `json:"rx_dropped"`
	UDPDrops  uint64 `json:"udp_drops"` // datagrams that found a socket's buffer full
}

const ethernetHeader = 14

// IPBytes is what was sent, without the Ethernet headers.
func (c Counters) IPBytes() uint64 { return c.TxBytes - ethernetHeader*c.TxPackets }

// Drops sums everything that was dropped outside the loss the cell asks for.
func (c Counters) Drops() uint64 { return c.TxDropped + c.RxDropped + c.UDPDrops }

// sub returns what was counted since b.
func (c Counters) sub(b Counters) Counters {
	return Counters{c.TxBytes - b.TxBytes, c.TxPackets - b.TxPackets, c.RxBytes - b.RxBytes, c.RxPackets - b.RxPackets,
		c.TxDropped - b.TxDropped, c.RxDropped - b.RxDropped, c.UDPDrops - b.UDPDrops}
}

// parseDev reads one interface's line of /proc/net/dev into c.
func parseDev(text []byte, name string, c *Counters) error {
	for line := range bytes.Lines(text) {
		before, after, ok := strings.Cut(string(line), ":")
		if !ok || strings.TrimSpace(before) != name {
			continue
		}
		// bytes packets errs drop fifo frame compressed multicast, received and then sent
		f, err := numbers(strings.Fields(after), 16)
		if err != nil {
			return fmt.Errorf("/proc/net/dev: %w", err)
		}
		c.RxBytes, c.RxPackets, c.RxDropped = f[0], f[1], f[3]
		c.TxBytes, c.TxPackets, c.TxDropped = f[8], f[9], f[11]
		return nil
	}
	return fmt.Errorf("/proc/net/dev: no interface %q", name)
}

// parseSNMP6 reads the receive buffer errors of /proc/net/snmp6 into c.
func parseSNMP6(text []byte, c *Counters) error {
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == "Udp6RcvbufErrors" {
			n, err := strconv.ParseUint(f[1], 10, 64)
			c.UDPDrops = n
			return err
		}
	}
	return fmt.Errorf("/proc/net/snmp6: no Udp6RcvbufErrors")
}

// Machine is what the whole machine counted.
type Machine struct {
	Busy    time.Duration `json:"busy_ns"`    // CPU time of all processes, interrupts and soft interrupts, all processors
	SoftIRQ time.Duration `json:"softirq_ns"` // of it
	Steal   time.Duration `json:"steal_ns"`   // taken by other virtual machines, not in Busy
	Idle    time.Duration `json:"idle_ns"`    // of all processors
	Backlog uint64        `json:"backlog_drops"`
}

func (m Machine) sub(b Machine) Machine {
	return Machine{m.Busy - b.Busy, m.SoftIRQ - b.SoftIRQ, m.Steal - b.Steal, m.Idle - b.Idle, m.Backlog - b.Backlog}
}

// BusyShare is the part of the processors' time in which they were not idle, 0 to 1.
func (m Machine) BusyShare() float64 {
	if total := m.Busy + m.Steal + m.Idle; total > 0 {
		return 1 - float64(m.Idle)/float64(total)
	}
	return 0
}

// parseStat reads the first line of /proc/stat, in ticks of 10 ms.
func parseStat(text []byte, m *Machine) error {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 9 || f[0] != "cpu" {
		return fmt.Errorf("/proc/stat: begins with %q", line)
	}
	// user nice system idle iowait irq softirq steal
	n, err := numbers(f[1:], 8)
	if err != nil {
		return fmt.Errorf("/proc/stat: %w", err)
	}
	const tick = 10 * time.Millisecond
	m.Busy = time.Duration(n[0]+n[1]+n[2]+n[5]+n[6]) * tick
	m.SoftIRQ = time.Duration(n[6]) * tick
	m.Steal = time.Duration(n[7]) * tick
	m.Idle = time.Duration(n[3]+n[4]) * tick
	return nil
}

// parseSoftnet sums the packets which a full backlog dropped, from /proc/net/softnet_stat (a line a processor, hexadecimal).
func parseSoftnet(text []byte, m *Machine) error {
	m.Backlog = 0
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 2 {
			return fmt.Errorf("/proc/net/softnet_stat: line %q", s.Text())
		}
		n, err := strconv.ParseUint(f[1], 16, 64)
		if err != nil {
			return fmt.Errorf("/proc/net/softnet_stat: %w", err)
		}
		m.Backlog += n
	}
	return s.Err()
}

func numbers(fields []string, want int) ([]uint64, error) {
	if len(fields) < want {
		return nil, fmt.Errorf("%d numbers where %d belong", len(fields), want)
	}
	n := make([]uint64, want)
	for i := range n {
		v, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	return n, nil
}
