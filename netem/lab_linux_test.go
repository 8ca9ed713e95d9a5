package netem_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/rmcast/rmcast/netem"
	"golang.org/x/sys/unix"
)

func newLab(t *testing.T, cfg netem.LabConfig) *netem.Lab {
	t.Helper()
	netem.NeedLab(t)
	l, err := netem.NewLab(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// network is a Lab or a Relay.
type network interface {
	Do(netem.Node, func() error) error
}

// labSender opens a socket at the sender that multicasts to group.
func labSender(t testing.TB, l network, own netip.Addr) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := l.Do(netem.Sender, func() error {
		lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			ifi, err := net.InterfaceByName(netem.LabInterface)
			if err != nil {
				return err
			}
			raw.Control(func(fd uintptr) {
				if own.Is4() {
					err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(ifi.Index)})
				} else {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifi.Index)
				}
			})
			return err
		}}
		p, err := lc.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(own, 0).String())
		if err == nil {
			c = p.(*net.UDPConn)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetWriteBuffer(256 << 10)
	return c
}

func labReceiver(t testing.TB, l network, n netem.Node, group netip.AddrPort) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := l.Do(n, func() error {
		ifi, err := net.InterfaceByName(netem.LabInterface)
		if err != nil {
			return err
		}
		c, err = net.ListenMulticastUDP("udp", ifi, net.UDPAddrFromAddrPort(group))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadBuffer(4 << 20)
	return c
}

// count reads datagrams until none comes for a while after stop is closed.
func count(c *net.UDPConn, stop <-chan struct{}) (n int) {
	b := make([]byte, 2000)
	for {
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, _, err := c.ReadFromUDPAddrPort(b); err == nil {
			n++
			continue
		}
		select {
		case <-stop:
			return n
		default:
		}
	}
}

// dropped counts what the kernel dropped at a node's sockets of a group's family and port because their buffers were full.
func dropped(t *testing.T, l *netem.Lab, n netem.Node, group netip.AddrPort) (sum int) {
	t.Helper()
	table, port := "udp", fmt.Sprintf(":%04X", group.Port())
	if group.Addr().Is6() {
		table = "udp6"
	}
	err := l.Do(n, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 12 && strings.HasSuffix(f[1], port) {
				drops, err := strconv.Atoi(f[12])
				if err != nil {
					return err
				}
				sum += drops
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestLabShapedMulticastWithLoss(t *testing.T) {
	const (
		packets = 3000
		size    = 1000
		rate    = 60e6
		loss    = 0.1
	)
	l := newLab(t, netem.LabConfig{Receivers: 3, Rate: rate, Loss: loss, Wire: true})
	var before [3]netem.LabCounters
	for _, c := range []struct {
		own   netip.Addr
		group string
	}{
		{netem.Sender.Addr6(), "[ff15::8000:77]:7500"},
		{netem.Sender.Addr4(), "239.192.0.77:7500"},
	} {
		group := netip.MustParseAddrPort(c.group)
		s := labSender(t, l, c.own)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var got [3]int
		for n := range l.Receivers() {
			r := labReceiver(t, l, netem.Node(n), group)
			wg.Go(func() { got[n] = count(r, stop) })
		}
		start := time.Now()
		for range packets {
			if _, err := s.WriteToUDPAddrPort(make([]byte, size), group); err != nil {
				t.Fatal(err)
			}
		}
		took := time.Since(start)
		for n := range l.Receivers() { // what waits in the shaper is still to come
			for range 10_000 {
				if c, err := l.Counters(netem.Node(n)); err != nil || c.Offered-before[n].Offered >= packets {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		close(stop)
		wg.Wait()
		overhead := 14 + 8 + 20
		if c.own.Is6() {
			overhead += 20
		}
		// What a burst and a send buffer hold has not passed the shaper when the last write returns.
		bits := float64(packets*(size+overhead)) * 8
		if fastest := (bits - 8*(80<<10+600<<10)) / rate; took.Seconds() < fastest { // that it is not slower either TestLabShaping says
			t.Errorf("%s: sent %.1f Mbit in %v over a link of %v Mbit/s", c.group, bits/1e6, took, rate/1e6)
		}
		for n := range got {
			counters, err := l.Counters(netem.Node(n))
			if err != nil {
				t.Fatal(err)
			}
			offered, lost := counters.Offered-before[n].Offered, counters.Lost-before[n].Lost
			before[n] = counters
			t.Logf("%s receiver %d: %d received, %d of %d lost", c.group, n, got[n], lost, offered)
			if offered != packets {
				t.Errorf("%d packets reached receiver %d, want %d", offered, n, packets)
			}
			if dev := math.Sqrt(packets * loss * (1 - loss)); math.Abs(float64(lost)-packets*loss) > 5*dev {
				t.Errorf("receiver %d lost %d of %d, want about %v", n, lost, packets, packets*loss)
			}
			if full := dropped(t, l, netem.Node(n), group); got[n]+full != int(offered-lost) || got[n] == 0 {
				t.Errorf("receiver %d read %d, and %d had no room, want %d", n, got[n], full, offered-lost)
			}
		}
	}
	c, err := l.Counters(netem.Sender)
	if err != nil || c.QueueDrops != 0 || c.TxPackets < 2*packets || c.TxBytes < 2*packets*size {
		t.Errorf("sender's counters: %+v, %v", c, err)
	}
	// Loss can be changed, and the counters go on.
	if err := l.SetLoss(0, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := l.Counters(0); err != nil || after.Offered != before[0].Offered || after.Lost != before[0].Lost {
		t.Errorf("counters after a change of loss: %+v, %v; before %+v", after, err, before[0])
	}
}

// TestLabShaping measures by the receiver's interface what comes through the shaper of a sender that never pauses.
func TestLabShaping(t *testing.T) {
	const rate, burst = 40e6, 8 * 80 << 10
	l := newLab(t, netem.LabConfig{Rate: rate, Wire: true})
	group := netip.MustParseAddrPort("[ff15::8000:78]:7500")
	s := labSender(t, l, netem.Sender.Addr6())
	go func() {
		for {
			if _, err := s.WriteToUDPAddrPort(make([]byte, 1400), group); err != nil {
				return
			}
		}
	}()
	// The count is of some instant between earliest and latest.
	look := func() (earliest time.Time, bits float64, latest time.Time) {
		earliest = time.Now()
		c, err := l.Counters(0)
		if err != nil {
			t.Fatal(err)
		}
		return earliest, 8 * float64(c.RxBytes), time.Now()
	}
	time.Sleep(100 * time.Millisecond) // the first burst
	for try := 1; ; try++ {
		t0, before, t1 := look()
		time.Sleep(800 * time.Millisecond)
		t2, after, t3 := look()
		least, most := 0.8*rate*t2.Sub(t1).Seconds(), rate*t3.Sub(t0).Seconds()+burst
		t.Logf("%.2f Mbit/s of frames through a shaper of %v", (after-before)/t3.Sub(t0).Seconds()/1e6, rate/1e6)
		switch got := after - before; {
		case got > most, got < least && try == 10:
			t.Errorf("%.2f Mbit of frames in %v, want %.2f to %.2f", got/1e6, t3.Sub(t0), least/1e6, most/1e6)
		case got < least: // on a busy machine the sender may have paused after all
			continue
		}
		break
	}
	s.Close()
}

func TestLabLinkLocalOnly(t *testing.T) {
	l := newLab(t, netem.LabConfig{Receivers: 2, LinkLocalOnly: true})
	group := netip.MustParseAddrPort("[ff12::8000:79]:7500")
	s := labSender(t, l, netem.Sender.LinkLocal())
	for n := range netem.Node(l.Receivers()) {
		r := labReceiver(t, l, n, group)
		if _, err := s.WriteToUDPAddrPort([]byte("down"), group); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		r.SetReadDeadline(time.Now().Add(2 * time.Second))
		k, from, err := r.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:k]) != "down" || from.Addr() != netem.Sender.LinkLocal() {
			t.Fatalf("%v got %q from %v, %v", n, b[:k], from, err)
		}
		err = l.Do(n, func() error {
			ifi, err := net.InterfaceByName(netem.LabInterface)
			if err != nil {
				return err
			}
			if addrs, err := ifi.Addrs(); err != nil || len(addrs) != 1 || !strings.HasPrefix(addrs[0].String(), n.LinkLocal().WithZone("").String()) {
				t.Errorf("%v has addresses %v, %v", n, addrs, err)
			}
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(from))
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("up"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.SetReadDeadline(time.Now().Add(2 * time.Second))
		if k, from, err := s.ReadFromUDPAddrPort(b); err != nil || string(b[:k]) != "up" || from.Addr() != n.LinkLocal() {
			t.Fatalf("sender got %q from %v, %v", b[:k], from, err)
		}
	}
}

// gso is the control message that makes a write a run of datagrams of size bytes.
func gso(size uint16) []byte {
	oob := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[unix.CmsgLen(0):], size)
	return oob
}

// TestLabWire: with Wire a run of datagrams crosses the link as packets, without it as one.
func TestLabWire(t *testing.T) {
	const runs, segments, size = 20, 40, 1000
	for _, wire := range []bool{true, false} {
		l := newLab(t, netem.LabConfig{Wire: wire})
		group := netip.MustParseAddrPort("[ff15::8000:7a]:7500")
		s := labSender(t, l, netem.Sender.Addr6())
		labReceiver(t, l, 0, group)
		oob := gso(size)
		for range runs {
			if _, _, err := s.WriteMsgUDPAddrPort(make([]byte, segments*size), oob, group); err != nil {
				t.Skipf("skipped: no UDP_SEGMENT: %v", err)
			}
		}
		// Delivery over veth ends with the send, or very soon after.
		var c netem.LabCounters
		for range 100 {
			c, _ = l.Counters(0)
			if c.RxBytes >= runs*segments*size {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if want := uint64(runs * segments); wire && c.RxPackets < want || !wire && c.RxPackets > want/4 {
			t.Errorf("wire %v: %d runs of %d came as %d packets", wire, runs, segments, c.RxPackets)
		}
	}
}

func TestLabRefuses(t *testing.T) {
	for _, cfg := range []netem.LabConfig{{Receivers: -1}, {Receivers: 1e6}, {Rate: -1}, {Loss: 1.5}, {SenderLoss: -1}, {MTU: 1000}} {
		if l, err := netem.NewLab(cfg); err == nil {
			l.Close()
			t.Errorf("%+v was taken", cfg)
		}
	}
	l := newLab(t, netem.LabConfig{})
	if l.Do(1, func() error { return nil }) == nil || l.SetLoss(0, 2) == nil {
		t.Error("a node or a loss that cannot be was taken")
	}
	want := fmt.Errorf("from inside")
	if err := l.Do(0, func() error { return want }); err != want {
		t.Errorf("Do returned %v", err)
	}
	l.Close()
	if l.Do(0, func() error { return nil }) == nil || l.Start(0, exec.Command("/proc/self/exe")) == nil {
		t.Error("a closed lab still works")
	}
}

func init() {
	roles["addresses"] = func() {
		addrs, _ := net.InterfaceAddrs()
		fmt.Println(addrs)
		io.Copy(io.Discard, os.Stdin)
	}
	roles["parent"] = func() {
		l, err := netem.NewLab(netem.LabConfig{})
		if err != nil {
			fmt.Println(err)
			return
		}
		child := role("sleep")
		child.Stdout = os.Stdout // which the test watches
		if err := l.Start(0, child); err != nil {
			fmt.Println(err)
			return
		}
		time.Sleep(time.Minute)
	}
	roles["sleep"] = func() {
		fmt.Println("started")
		time.Sleep(time.Minute)
	}
}

// role returns a command that is this test binary in a role.
func role(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+name)
	return cmd
}

func TestLabChildren(t *testing.T) {
	for range 10 { // in some of them the main thread comes along, which does not end with a goroutine
		labChildren(t)
	}
}

func labChildren(t *testing.T) {
	l := newLab(t, netem.LabConfig{Receivers: 2})
	var cmds []*exec.Cmd
	for n := range netem.Node(2) {
		cmd := role("addresses")
		must(cmd.StdinPipe())
		out := must(cmd.StdoutPipe())
		if err := l.Start(n, cmd); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.Contains(line, n.Addr4().String()) || strings.Contains(line, (1-n).Addr4().String()) {
			t.Errorf("child of %v has addresses %q, %v", n, line, err)
		}
		cmds = append(cmds, cmd)
	}
	l.Close()
	for _, cmd := range cmds { // or this waits for ever
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("child ended with %v, want it killed", err)
		}
	}
}

// TestLabSurvivesNothing kills a process that has a Lab with a child in it: the child must end too.
func TestLabSurvivesNothing(t *testing.T) {
	netem.NeedLab(t)
	cmd := role("parent")
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "started\n" {
		t.Errorf("the child said %q, %v", line, err)
	}
	cmd.Process.Kill()
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, r) // ends when the last process that has the pipe does
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the child outlives its parent")
	}
	cmd.Wait()
}

// TestLabAsOrdinaryUser runs one of the tests as nobody, who has only a user namespace to make a Lab in.
func TestLabAsOrdinaryUser(t *testing.T) { asNobody(t, "^TestLabLinkLocalOnly$") }

func asNobody(t *testing.T, test string) {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv("RMCAST_USER_NAMESPACE") != "" {
		t.Skip("skipped: this already runs as an ordinary user")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run="+test, "-test.v", "-test.testlogfile=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("skipped: netem:")):
		if !bytes.Contains(out, []byte("CLONE_NEW")) {
			t.Errorf("the reason names no refused call: %s", out)
		}
		t.Logf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS")):
		t.Errorf("%s", out)
	}
}

func BenchmarkLab(b *testing.B) {
	netem.NeedLab(b)
	for b.Loop() {
		l, err := netem.NewLab(netem.LabConfig{Receivers: 8, Rate: 200e6, Loss: 0.1, Wire: true})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

// A node of a new Lab hears who looks for it: the kernel joins the groups of neighbour discovery some time after it has taken an
// address, and a question that comes before is not repeated for a second.
func TestLabNeighbours(t *testing.T) {
	for range 10 {
		l := newLab(t, netem.LabConfig{Receivers: 4})
		for n := netem.Sender; n < 4; n++ {
			low := n.Addr6().As16()
			want := fmt.Sprintf("ff0200000000000000000001ff%x", low[13:])
			err := l.Do(n, func() error {
				b, err := os.ReadFile("/proc/thread-self/net/igmp6")
				if err == nil && !bytes.Contains(b, []byte(want)) {
					err = fmt.Errorf("no group %s among\n%s", want, b)
				}
				return err
			})
			if err != nil {
				t.Errorf("%v: %v", n, err)
			}
		}
		l.Close()
	}
}
