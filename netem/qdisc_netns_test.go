//go:build netns && linux

package netem_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/rmcast/rmcast/netem"
	"golang.org/x/sys/unix"
)

// These tests compare what the kernel's netem does with what a Link does with the same packets. The kernel draws its numbers
// from nowhere we know, so the yardstick is how Links with many seeds differ among themselves.

// landing is a packet that came out of a link.
type landing struct {
	number   int
	sent, at time.Duration // since trialEpoch
}

const (
	trialPort  = 7000
	lastNumber = math.MaxUint32
)

var trialEpoch = time.Now().UnixNano()

// path is a way through a Lab for the packets of a trial, and the qdisc on it.
type path struct {
	t        *testing.T
	lab      *netem.Lab
	from, to netem.Node
	set      func(netem.Impairment) error
	stats    func() (netem.QdiscStats, error)
	in       *net.UDPConn
	out      *net.UDPConn
}

// newPath makes a way from one node to another with a qdisc at the receiver's end of the link, or at the sender's with leaving.
func newPath(t *testing.T, l *netem.Lab, from, to netem.Node, leaving bool) *path {
	t.Helper()
	p := &path{t: t, lab: l, from: from, to: to}
	none := netem.Impairment{}
	if leaving {
		p.set = func(i netem.Impairment) error { return l.SetQdisc(from, none, i) }
		p.stats = func() (netem.QdiscStats, error) { _, out, err := l.QdiscStats(from); return out, err }
	} else {
		p.set = func(i netem.Impairment) error { return l.SetQdisc(to, i, none) }
		p.stats = func() (netem.QdiscStats, error) { in, _, err := l.QdiscStats(to); return in, err }
	}
	p.in = p.socket(to, trialPort)
	p.out = p.socket(from, 0)
	p.send(lastNumber, 100) // the neighbours know each other now
	for {
		if n, _, _ := p.receive(); n == lastNumber {
			return p
		}
	}
}

// socket opens a socket with much room, whose packets come with the instant at which the kernel got them.
func (p *path) socket(n netem.Node, port uint16) *net.UDPConn {
	p.t.Helper()
	var c *net.UDPConn
	err := p.lab.Do(n, func() error {
		lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
					if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[0], 32<<20) != nil { // in a user namespace
						unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[1], 32<<20)
					}
				}
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
			})
		}}
		conn, err := lc.ListenPacket(context.Background(), "udp6", netip.AddrPortFrom(n.Addr6(), port).String())
		if err == nil {
			c = conn.(*net.UDPConn)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// send sends a packet that says when.
func (p *path) send(number uint32, size int) time.Duration {
	p.t.Helper()
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, number)
	now := time.Now().UnixNano() - trialEpoch
	binary.BigEndian.PutUint64(b[4:], uint64(now))
	if _, err := p.out.WriteToUDPAddrPort(b, netip.AddrPortFrom(p.to.Addr6(), trialPort)); err != nil {
		p.t.Fatal(err)
	}
	return time.Duration(now)
}

// receive reads the next packet, but waits no longer than a minute.
func (p *path) receive() (number uint32, sent, at time.Duration) {
	p.in.SetReadDeadline(time.Now().Add(time.Minute))
	b, oob := make([]byte, 2000), make([]byte, 100)
	n, oobn, _, _, err := p.in.ReadMsgUDPAddrPort(b, oob)
	if err != nil || n < 12 {
		p.t.Errorf("read %d bytes: %v", n, err)
		return lastNumber, 0, 0
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 || messages[0].Header.Type != unix.SCM_TIMESTAMPNS {
		p.t.Errorf("no timestamp: %+v, %v", messages, err)
		return lastNumber, 0, 0
	}
	stamp := (*unix.Timespec)(unsafe.Pointer(&messages[0].Data[0]))
	return binary.BigEndian.Uint32(b), time.Duration(binary.BigEndian.Uint64(b[4:])), time.Duration(stamp.Nano() - trialEpoch)
}

// trial is what a number of packets met.
type trial struct {
	sent     []time.Duration // when, by number
	size     int             // of IP packets
	arrivals []landing
	stats    netem.QdiscStats
}

// run sends packets through a link that does i, some at once each millisecond.
func (p *path) run(i netem.Impairment, packets, perMilli, size int) *trial {
	t := p.t
	t.Helper()
	if err := p.set(i); err != nil {
		t.Fatal(err)
	}
	tr := &trial{size: size + 48}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n, sent, at := p.receive()
			if n == lastNumber {
				return
			}
			tr.arrivals = append(tr.arrivals, landing{int(n), sent, at})
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := range packets {
		if n%perMilli == 0 {
			<-tick.C
		}
		tr.sent = append(tr.sent, p.send(uint32(n), size))
	}
	for range tick.C {
		var err error
		if tr.stats, err = p.stats(); err != nil {
			t.Fatal(err)
		}
		if tr.stats.Queued == 0 {
			break
		}
	}
	if err := p.set(netem.Impairment{}); err != nil {
		t.Fatal(err)
	}
	p.send(lastNumber, 100)
	<-done
	return tr
}

// link gives the same packets to a Link.
func (tr *trial) link(i netem.Impairment, seed uint64) *trial {
	out := &trial{sent: tr.sent, size: tr.size}
	l := netem.NewLink(i, seed, 0)
	for n, sent := range tr.sent {
		f := l.Send(sent, tr.size)
		for _, c := range f.Copy[:f.N] {
			out.arrivals = append(out.arrivals, landing{n, sent, c.At})
		}
	}
	slices.SortStableFunc(out.arrivals, func(a, b landing) int { return int(a.at - b.at) })
	return out
}

// lost returns which packets did not arrive.
func (tr *trial) lost() []bool {
	lost := slices.Repeat([]bool{true}, len(tr.sent))
	for _, a := range tr.arrivals {
		lost[a.number] = false
	}
	return lost
}

// What is measured of a trial. Each is a number to compare.
var measures = map[string]func(*trial) float64{
	"loss": func(tr *trial) float64 {
		n := 0
		for _, lost := range tr.lost() {
			if lost {
				n++
			}
		}
		return float64(n) / float64(len(tr.sent))
	},
	"burst": func(tr *trial) float64 { // mean length of runs of losses
		n, bursts, before := 0, 0, false
		for _, lost := range tr.lost() {
			if lost {
				n++
				if !before {
					bursts++
				}
			}
			before = lost
		}
		return float64(n) / float64(max(bursts, 1))
	},
	"between": func(tr *trial) float64 { // share of packets with the one before and the one after lost
		n, lost := 0, tr.lost()
		for k := 1; k+1 < len(lost); k++ {
			if lost[k-1] && !lost[k] && lost[k+1] {
				n++
			}
		}
		return float64(n) / float64(len(lost))
	},
	"duplicates": func(tr *trial) float64 {
		seen := map[int]bool{}
		n := 0
		for _, a := range tr.arrivals {
			if seen[a.number] {
				n++
			}
			seen[a.number] = true
		}
		return float64(n) / float64(len(tr.sent))
	},
	"early": func(tr *trial) float64 { // share of packets that did not wait as the median did
		d := tr.delays()
		half := d[len(d)/2] / 2
		n, _ := slices.BinarySearch(d, half)
		return float64(n) / float64(len(tr.sent))
	},
	"overtaken": func(tr *trial) float64 { // share of arrivals behind one with a higher number
		n, most := 0, -1
		for _, a := range tr.arrivals {
			if a.number < most {
				n++
			}
			most = max(most, a.number)
		}
		return float64(n) / float64(len(tr.sent))
	},
}

// delays returns how long each arrival took, in order.
func (tr *trial) delays() []time.Duration {
	d := make([]time.Duration, len(tr.arrivals))
	for k, a := range tr.arrivals {
		d[k] = a.at - a.sent
	}
	slices.Sort(d)
	return d
}

// quantile is a delay that a share of the packets does not exceed.
func (tr *trial) quantile(share float64) time.Duration {
	d := tr.delays()
	return d[min(len(d)-1, int(share*float64(len(d))))]
}

// compare checks a measure of the kernel's trial against those of many Links.
func (tr *trial) compare(t *testing.T, i netem.Impairment, name string) {
	t.Helper()
	const seeds = 200
	measure := measures[name]
	var sum, squares float64
	for seed := range uint64(seeds) {
		v := measure(tr.link(i, seed))
		sum, squares = sum+v, squares+v*v
	}
	mean := sum / seeds
	deviation := math.Sqrt(max(0, squares/seeds-mean*mean))
	got := measure(tr)
	t.Logf("%s: kernel %.4f, Links %.4f ± %.4f", name, got, mean, deviation)
	if math.Abs(got-mean) > 5*deviation+1e-9 {
		t.Errorf("%s is %.4f in the kernel, %.4f ± %.4f in Links", name, got, mean, deviation)
	}
}

func TestKernelChance(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	for _, c := range []struct {
		text     string
		measures []string
	}{
		{"loss 10%", []string{"loss", "burst", "between"}},
		{"loss gemodel 2% 20% 90% 1%", []string{"loss", "burst", "between"}},
		{"loss state 2% 20% 20% 40% 1%", []string{"loss", "burst", "between"}},
		{"duplicate 5%", []string{"duplicates", "loss"}},
		{"loss 10% duplicate 1%", []string{"duplicates"}},
	} {
		t.Run(c.text, func(t *testing.T) {
			i, err := netem.ParseImpairment(c.text)
			if err != nil {
				t.Fatal(err)
			}
			p.t = t
			const packets = 10_000
			tr := p.run(i, packets, 5, 60)
			if tr.stats.Packets < uint64(len(tr.arrivals)) || tr.stats.Packets > uint64(len(tr.arrivals))+20 {
				t.Fatalf("%d packets left the qdisc and %d were read: the socket is too small", tr.stats.Packets, len(tr.arrivals))
			}
			for _, m := range c.measures {
				tr.compare(t, i, m)
			}
		})
	}
}

func TestKernelDelay(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	for _, text := range []string{
		// The kernel takes a number of 32 bits modulo twice the jitter, and this jitter, nearly 2^32 / 10 ns, is where that makes
		// no delay likelier than another. With 400 ms the median would be 471 ms instead of 500.
		"delay 200ms", "delay 500ms 429.496ms", "delay 1s 250ms distribution normal", "delay 500ms 300ms distribution pareto",
		"delay 500ms 300ms distribution paretonormal",
	} {
		t.Run(text, func(t *testing.T) {
			i, err := netem.ParseImpairment(text)
			if err != nil {
				t.Fatal(err)
			}
			p.t = t
			tr := p.run(i, 4000, 4, 60)
			if len(tr.arrivals) != len(tr.sent) {
				t.Fatalf("%d of %d arrived", len(tr.arrivals), len(tr.sent))
			}
			link := tr.link(i, 1)
			first := tr.quantile(0)
			if least := max(0, i.Delay-i.Jitter); i.Distribution == netem.Uniform && (first < least || first > least+i.Jitter/20+late) {
				t.Errorf("the first took %v, want %v or a little more", first, least)
			}
			for _, share := range []float64{0.1, 0.25, 0.5, 0.75} {
				got, want := tr.quantile(share), link.quantile(share)
				t.Logf("%.0f %% took at most %v, by Link %v", share*100, got, want)
				// A tenth of Jitter is what quantiles of so many draws differ by, and more.
				if got < want-i.Jitter/10 || got > want+i.Jitter/10+late {
					t.Errorf("%.0f %% took at most %v, by Link %v", share*100, got, want)
				}
			}
			if i.Jitter > 0 {
				tr.compareShare(t, i, "overtaken", 0.05)
			}
		})
	}
}

// late is by how much a slow machine may be late with most packets. None is early.
const late = 50 * time.Millisecond

// compareShare compares a share that depends on when packets are sent.
func (tr *trial) compareShare(t *testing.T, i netem.Impairment, name string, most float64) {
	t.Helper()
	got, want := measures[name](tr), measures[name](tr.link(i, 1))
	t.Logf("%s: kernel %.4f, Link %.4f", name, got, want)
	if math.Abs(got-want) > most {
		t.Errorf("%s is %.4f in the kernel, %.4f in a Link", name, got, want)
	}
}

func TestKernelReorder(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	for _, text := range []string{"delay 500ms reorder 25%", "delay 500ms reorder 100% gap 5", "delay 500ms reorder 50% gap 4"} {
		t.Run(text, func(t *testing.T) {
			i, err := netem.ParseImpairment(text)
			if err != nil {
				t.Fatal(err)
			}
			p.t = t
			tr := p.run(i, 4000, 4, 60)
			if i.Reorder == 1 { // no chance in it, but where it begins
				tr.compareShare(t, i, "early", 0.005)
			} else {
				tr.compare(t, i, "early")
			}
			tr.compareShare(t, i, "overtaken", 0.1)
		})
	}
}

// TestKernelCorrupt: a wrong bit makes the receiver's kernel drop the packet, but where the bit does not count.
func TestKernelCorrupt(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	const packets, share = 5000, 0.2
	i := netem.Impairment{Corrupt: share}
	tr := p.run(i, packets, 5, 1000)
	if tr.stats.Packets < packets {
		t.Errorf("the qdisc passed on %d packets of %d", tr.stats.Packets, packets)
	}
	corrupt := 0
	link := netem.NewLink(i, 1, 0)
	for range packets {
		link.Send(0, tr.size)
	}
	if s := link.Stats(); s.Arrived != packets {
		t.Errorf("Link: %+v", s)
	} else {
		corrupt = int(s.Corrupted)
	}
	lost := packets - len(tr.arrivals)
	t.Logf("%d dropped for a wrong checksum, %d corrupted by Link", lost, corrupt)
	// Of 1062 bytes, less than 30 do not count for the UDP checksum, or nearly.
	if deviation := math.Sqrt(packets * share * (1 - share)); math.Abs(float64(lost)-0.97*packets*share) > 7*deviation {
		t.Errorf("%d of %d packets were dropped, want about %v", lost, packets, packets*share)
	}
}

func TestKernelRate(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	i := netem.Impairment{Rate: 8e6, Delay: 10 * time.Millisecond, Limit: 10_000}
	const packets = 2000
	tr := p.run(i, packets, 4, 952) // of 1000 bytes: 1 ms each, most of them queued at the end
	link := tr.link(i, 1)
	if len(tr.arrivals) != packets || len(link.arrivals) != packets {
		t.Fatalf("%d of %d got through, by Link %d", len(tr.arrivals), packets, len(link.arrivals))
	}
	// How much later than by Link the most punctual come, in the first third and in the last: with another rate they drift apart.
	behind := func(from, to int) (least time.Duration) {
		least = time.Hour
		for k := from; k < to; k++ {
			least = min(least, tr.arrivals[k].at-link.arrivals[k].at)
		}
		return least
	}
	first, last := behind(0, packets/3), behind(packets*2/3, packets)
	span := link.arrivals[packets*5/6].at - link.arrivals[packets/6].at
	t.Logf("the most punctual are %v late in the beginning and %v at the end, %v later", first, last, span)
	if least := min(first, last); least < -time.Millisecond || first > late || (last-first).Abs() > span/50 {
		t.Errorf("the most punctual are %v late in the beginning and %v at the end, %v later", first, last, span)
	}
	// A short queue overflows as Link's does.
	i = netem.Impairment{Rate: 8e6, Limit: 50}
	tr = p.run(i, 1000, 5, 952)
	link = tr.link(i, 1)
	t.Logf("%d of %d passed a queue of %d, by Link %d", len(tr.arrivals), len(tr.sent), i.Limit, len(link.arrivals))
	if d := len(tr.arrivals) - len(link.arrivals); d < -20 || d > 20 {
		t.Errorf("%d of %d packets got through, by Link %d", len(tr.arrivals), len(tr.sent), len(link.arrivals))
	}
}

// TestKernelDirections sets a different impairment at each of the four ends, and looks for each at its place only.
func TestKernelDirections(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Receivers: 2, Wire: true})
	for _, c := range []struct {
		from, to netem.Node
		leaving  bool
	}{
		{netem.Sender, 0, false}, {netem.Sender, 0, true}, {0, netem.Sender, false}, {0, netem.Sender, true},
	} {
		t.Run(fmt.Sprintf("%v to %v, leaving %v", c.from, c.to, c.leaving), func(t *testing.T) {
			back := newPath(t, l, c.to, c.from, !c.leaving) // the same link, the other way
			p := newPath(t, l, c.from, c.to, c.leaving)
			i := netem.Impairment{Loss: 0.5}
			tr := p.run(i, 1000, 2, 60)
			tr.compare(t, i, "loss")
			if err := p.set(i); err != nil {
				t.Fatal(err)
			}
			back.set = func(netem.Impairment) error { return nil }
			if got := back.run(i, 200, 2, 60); len(got.arrivals) != 200 {
				t.Errorf("%d of 200 came through the other way", len(got.arrivals))
			}
			if err := p.set(netem.Impairment{}); err != nil {
				t.Fatal(err)
			}
			if got := p.run(netem.Impairment{}, 200, 2, 60); len(got.arrivals) != 200 {
				t.Errorf("%d of 200 came through a qdisc that is gone", len(got.arrivals))
			}
			p.in.Close()
			back.in.Close()
		})
	}
}

// TestKernelReplaces: what the impairment before had, is gone.
func TestKernelReplaces(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Wire: true})
	p := newPath(t, l, netem.Sender, 0, false)
	all := netem.Impairment{
		Loss: 0.5, Delay: time.Hour, Jitter: time.Minute, Duplicate: 1, Reorder: 0.5, Corrupt: 1, Rate: 8000, Limit: 1,
		DelayCorrelation: 0.5, Distribution: netem.Normal,
	}
	for _, before := range []netem.Impairment{all, {GE: &netem.GilbertElliott{P: 1, H1: 1}}} {
		if err := p.set(before); err != nil {
			t.Fatal(err)
		}
		if tr := p.run(netem.Impairment{Delay: time.Millisecond}, 100, 1, 60); len(tr.arrivals) != 100 {
			t.Errorf("%d of 100 arrived", len(tr.arrivals))
		}
	}
}

// TestKernelCutsRuns: of a run of packets some are lost, not all or none.
func TestKernelCutsRuns(t *testing.T) {
	netem.NeedQdisc(t)
	const runs, segments, size = 50, 40, 1000
	l := newLab(t, netem.LabConfig{}) // runs cross links whole
	for _, leaving := range []bool{true, false} {
		p := newPath(t, l, netem.Sender, 0, leaving)
		if err := p.set(netem.Impairment{Loss: 0.5}); err != nil {
			t.Fatal(err)
		}
		oob := make([]byte, unix.CmsgSpace(2))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(oob[unix.CmsgLen(0):], size)
		for range runs {
			if _, _, err := p.out.WriteMsgUDPAddrPort(make([]byte, segments*size), oob, netip.AddrPortFrom(p.to.Addr6(), trialPort)); err != nil {
				t.Skipf("skipped: no UDP_SEGMENT: %v", err)
			}
		}
		s, err := p.stats()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("leaving %v: %d passed, %d dropped", leaving, s.Packets, s.Dropped)
		total, deviation := s.Packets+s.Dropped, math.Sqrt(runs*segments)/2
		if total < runs*segments || math.Abs(float64(s.Dropped)-float64(total)/2) > 5*deviation {
			t.Errorf("leaving %v: %d passed and %d dropped of %d runs of %d", leaving, s.Packets, s.Dropped, runs, segments)
		}
		if err := p.set(netem.Impairment{}); err != nil {
			t.Fatal(err)
		}
		p.in.Close()
	}
}

// TestKernelDeafNode: a node that hears nothing is still sent to, as nobody has to ask for its link address.
func TestKernelDeafNode(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Receivers: 2, Wire: true})
	for n := netem.Sender; n < 2; n++ {
		if err := l.SetQdisc(n, netem.Impairment{Loss: 1}, netem.Impairment{}); err != nil {
			t.Fatal(err)
		}
	}
	p := &path{t: t, lab: l, from: netem.Sender, to: 1}
	p.out = p.socket(netem.Sender, 0)
	const packets = 10
	for n := range packets {
		p.send(uint32(n), 100)
	}
	for { // delivery over veth ends soon after the send
		in, _, err := l.QdiscStats(1)
		if err != nil || in.Packets > 0 {
			t.Fatalf("%+v, %v", in, err)
		}
		if in.Dropped >= packets {
			break
		}
	}
}

func TestKernelRefuses(t *testing.T) {
	netem.NeedQdisc(t)
	l := newLab(t, netem.LabConfig{Rate: 10e6, Wire: true})
	loss, none := netem.Impairment{Loss: 0.1}, netem.Impairment{}
	if err := l.SetQdisc(netem.Sender, none, loss); err == nil {
		t.Error("a qdisc was set where a shaper is")
	}
	if err := l.SetQdisc(netem.Sender, loss, none); err != nil {
		t.Error(err)
	}
	if c, err := l.Counters(netem.Sender); err != nil || c.QueueDrops != 0 {
		t.Errorf("counters: %+v, %v", c, err)
	}
	if err := l.SetQdisc(1, loss, none); err == nil {
		t.Error("a node that is not there was taken")
	}
	if err := l.SetQdisc(0, netem.Impairment{Every: 3}, none); err == nil {
		t.Error("periodic loss was taken")
	}
	l.Close()
	if err := l.SetQdisc(0, loss, none); err == nil {
		t.Error("a closed lab was taken")
	}
}
