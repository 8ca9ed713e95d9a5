package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/netem"
)

// capture reads what leaves a node's interface.
type capture struct {
	fd   int
	stop chan struct{}
	done sync.WaitGroup
	sent map[string]int // by classify
	err  error
}

// newCapture begins one. What the node receives is passed over in the kernel.
func newCapture(l *netem.Lab, n netem.Node) (*capture, error) {
	c := &capture{fd: -1, stop: make(chan struct{}), sent: map[string]int{}}
	err := l.Do(n, func() (err error) {
		eth, err := net.InterfaceByName(netem.LabInterface)
		if err != nil {
			return err
		}
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("socket(AF_PACKET)", err)
		}
		const packetType = 0xfffff000 + 4 // SKF_AD_OFF + SKF_AD_PKTTYPE
		outgoing := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: packetType},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PACKET_OUTGOING, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
			{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		}
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return errors.Join(
			unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(outgoing)), Filter: &outgoing[0]}),
			unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
			unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: eth.Index}))
	})
	if err != nil {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
		return nil, fmt.Errorf("capture at %v: %w", n, err)
	}
	c.done.Go(c.read)
	return c, nil
}

func (c *capture) read() {
	b := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		switch {
		case err == nil:
			c.sent[classify(b[:n])]++
		case err == unix.EINTR:
		case err != unix.EAGAIN:
			c.err = os.NewSyscallError("recvfrom(AF_PACKET)", err)
			return
		default:
			select {
			case <-c.stop:
				return
			default:
			}
		}
	}
}

// end stops it, and fails if it has missed anything.
func (c *capture) end() (sent map[string]int, err error) {
	close(c.stop)
	c.done.Wait()
	defer unix.Close(c.fd)
	if c.err != nil {
		return nil, c.err
	}
	st, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return nil, err
	}
	if st.Drops > 0 {
		return nil, fmt.Errorf("the capture missed %d packets", st.Drops)
	}
	return c.sent, nil
}
