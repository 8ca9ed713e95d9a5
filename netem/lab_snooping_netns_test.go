//go:build netns && linux

package netem_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"golang.org/x/sys/unix"
)

// tap reads all frames that reach a node, whatever it has joined.
type tap struct {
	t  *testing.T
	fd int
	n  netem.Node
}

func newTap(t *testing.T, l network, n netem.Node) *tap {
	t.Helper()
	p := &tap{t: t, fd: -1, n: n}
	err := l.Do(n, func() (err error) {
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
		return unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 10_000})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.fd) })
	return p
}

// until reads up to a frame with the mark in it, and returns how many with the word came before; false if the mark does not come for a while.
func (p *tap) until(mark, word string, patience time.Duration) (n int, ok bool) {
	b := make([]byte, 2000)
	for start := time.Now(); time.Since(start) < patience; {
		k, _, err := unix.Recvfrom(p.fd, b, 0)
		switch {
		case err != nil: // nothing there now
		case bytes.Contains(b[:k], []byte(mark)):
			return n, true
		case bytes.Contains(b[:k], []byte(word)):
			n++
		}
	}
	return n, false
}

// groupsOf are two groups of one family: one that is joined and left, and one in which all are.
var groupsOf = []struct {
	own         netip.Addr
	group, mark netip.AddrPort
}{
	{netem.Sender.Addr6(), netip.MustParseAddrPort("[ff15::8000:81]:7500"), netip.MustParseAddrPort("[ff15::8000:82]:7500")},
	{netem.Sender.Addr4(), netip.MustParseAddrPort("239.192.0.81:7500"), netip.MustParseAddrPort("239.192.0.82:7500")},
}

// With Snooping a group that one node has joined costs another's link nothing; without, it comes to all.
func TestLabSnooping(t *testing.T) {
	const patience, packets = time.Minute, 100
	for _, snooping := range []bool{true, false} {
		l := newLab(t, netem.LabConfig{Receivers: 3, Snooping: snooping, Wire: true})
		for _, c := range groupsOf {
			t.Run(fmt.Sprintf("%v, snooping %v", c.group, snooping), func(t *testing.T) {
				s := labSender(t, l, c.own)
				send := func(to netip.AddrPort, text string) {
					t.Helper()
					if _, err := s.WriteToUDPAddrPort([]byte(text), to); err != nil {
						t.Fatal(err)
					}
				}
				var taps []*tap
				for n := range netem.Node(l.Receivers()) {
					taps = append(taps, newTap(t, l, n))
					labReceiver(t, l, n, c.mark)
				}
				labReceiver(t, l, 0, c.group)
				// await sends until it comes to a node: the bridge hears of a join somewhat later than the kernel does.
				await := func(n netem.Node, to netip.AddrPort, text string) {
					t.Helper()
					for start := time.Now(); time.Since(start) < patience; {
						send(to, text)
						if _, ok := taps[n].until(text, "nothing", 50*time.Millisecond); ok {
							return
						}
					}
					t.Fatalf("%q does not come to %v", text, n)
				}
				await(0, c.group, "probe")
				for n := range netem.Node(l.Receivers()) {
					await(n, c.mark, "begin")
				}
				for range packets {
					send(c.group, "data")
				}
				send(c.mark, "end")
				for n, p := range taps {
					got, ok := p.until("end", "data", patience)
					if !ok {
						t.Fatalf("receiver %d: the end does not come", n)
					}
					if none := snooping && n > 0; none && got > 0 || !none && got == 0 {
						t.Errorf("receiver %d got %d packets", n, got)
					}
				}
			})
		}
	}
}

// What a node has left comes to it no more, and comes again when it is back.
func TestLabSnoopingLeave(t *testing.T) {
	const patience, sure = time.Minute, 20
	l := newLab(t, netem.LabConfig{Receivers: 2, Snooping: true})
	for _, c := range groupsOf {
		t.Run(c.group.String(), func(t *testing.T) {
			s, p := labSender(t, l, c.own), newTap(t, l, 0)
			labReceiver(t, l, 0, c.mark)
			round := 0
			// comes tells whether a packet to the group comes to node 0.
			comes := func() bool {
				t.Helper()
				for start := time.Now(); time.Since(start) < patience; {
					round++
					mark := fmt.Sprintf("mark %d.", round)
					_, err := s.WriteToUDPAddrPort([]byte("data"), c.group)
					if err == nil {
						_, err = s.WriteToUDPAddrPort([]byte(mark), c.mark)
					}
					if err != nil {
						t.Fatal(err)
					}
					if n, ok := p.until(mark, "data", 50*time.Millisecond); ok {
						return n > 0
					}
				}
				t.Fatal("the mark does not come")
				return false
			}
			// await waits until it comes, or does not, several times in turn.
			await := func(want bool) {
				t.Helper()
				start := time.Now()
				for turn := 0; turn < sure; {
					if turn++; comes() != want {
						turn = 0
					}
					if time.Since(start) > patience {
						t.Fatalf("a minute later it still comes or not, want %v", want)
					}
				}
				t.Logf("it comes: %v, after %v", want, time.Since(start))
			}
			await(false)
			for range 3 {
				r := labReceiver(t, l, 0, c.group)
				await(true)
				r.Close()
				await(false)
			}
		})
	}
}

// A node behind a slow link gets no more than that, loses the rest at its link, and the others lose nothing; nor does the sender wait for it, whose
// buffer is smaller than that link's queue.
func TestLabSetRate(t *testing.T) {
	const rate, queue, size, packets = 200_000, 100_000, 1000, 600
	l := newLab(t, netem.LabConfig{Receivers: 2, Wire: true})
	counters := func(n netem.Node) netem.LabCounters {
		t.Helper()
		c, err := l.Counters(n)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := l.SetRate(0, rate, queue); err != nil {
		t.Fatal(err)
	}
	group := netip.MustParseAddrPort("[ff15::8000:83]:7500")
	s := labSender(t, l, netem.Sender.Addr6())
	s.SetWriteBuffer(16 << 10)
	before, start := counters(0), time.Now()
	flood := func() {
		t.Helper()
		base := counters(1).RxBytes
		for range packets {
			if _, err := s.WriteToUDPAddrPort(make([]byte, size), group); err != nil {
				t.Fatal(err)
			}
		}
		for start := time.Now(); counters(1).RxBytes < base+packets*size; time.Sleep(time.Millisecond) {
			if time.Since(start) > time.Minute {
				t.Fatalf("the other node: %+v, want %d bytes beyond %d", counters(1), packets*size, base)
			}
		}
	}
	flood()
	after := counters(0)
	const burst = 2 * (1500 + 14)
	if got, most := after.RxBytes-before.RxBytes, burst+size+uint64(rate/8*time.Since(start).Seconds()); got > most {
		t.Errorf("%d bytes came in %v over %d bit/s", got, time.Since(start), rate)
	}
	if after.QueueDrops == before.QueueDrops {
		t.Errorf("nothing was dropped: %+v", after)
	}
	if err := l.SetRate(0, 0, 0); err != nil {
		t.Fatal(err)
	}
	base := counters(0).RxBytes
	flood()
	for start := time.Now(); counters(0).RxBytes < base+packets*size; time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("without a rate: %+v", counters(0))
		}
	}
	for _, c := range []struct {
		n     netem.Node
		rate  int64
		queue int
	}{{2, 1e6, 0}, {0, -1, 0}, {0, 1e6, -1}} {
		if l.SetRate(c.n, c.rate, c.queue) == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// A node of a Lab with Snooping finds another, and the sender, at once: their questions for neighbours come through.
func TestLabSnoopingNeighbours(t *testing.T) {
	l := newLab(t, netem.LabConfig{Receivers: 3, Snooping: true})
	heard := make(chan string, 1)
	for n := range netem.Node(l.Receivers()) {
		for _, to := range []netip.Addr{netem.Sender.Addr6(), netem.Sender.Addr4()} {
			var c net.PacketConn
			err := l.Do(netem.Sender, func() (err error) {
				c, err = net.ListenPacket("udp", netip.AddrPortFrom(to, 7501).String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				b := make([]byte, 100)
				c.SetReadDeadline(time.Now().Add(time.Minute))
				k, _, _ := c.ReadFrom(b)
				heard <- string(b[:k])
			}()
			err = l.Do(n, func() error {
				c, err := net.Dial("udp", netip.AddrPortFrom(to, 7501).String())
				if err != nil {
					return err
				}
				defer c.Close()
				_, err = c.Write([]byte(n.String()))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := <-heard; got != n.String() {
				t.Errorf("%v from %v: %q", to, n, got)
			}
			c.Close()
		}
	}
}
