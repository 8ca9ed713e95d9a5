package session

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// What a stranger, or somebody with a false name, can do to a source that adapts: each test is a defect that was there once.

// mirror is a host that sends again, as its own, some of what a source sent to the group.
type mirror struct {
	from   *node
	every  int // of so many data packets one; all SPMs
	seen   int
	queue  [][]byte
	mirror int
}

func (x *mirror) Handle(_ mono.Time, m Meta, p *wire.Packet) {
	if m.From != x.from.addr || !m.Multicast {
		return
	}
	if x.seen++; p.Type == wire.TypeSPM || x.seen%x.every == 0 {
		x.queue = append(x.queue, p.Append(nil))
	}
}

func (x *mirror) Advance(mono.Time) {}

func (x *mirror) Poll(_ mono.Time, t *Transmit) bool {
	if len(x.queue) == 0 {
		return false
	}
	t.B, t.Segment = append(t.B[:0], x.queue[0]...), len(x.queue[0])
	x.queue = x.queue[1:]
	x.mirror++
	return true
}

func (x *mirror) Deadline() mono.Time {
	if len(x.queue) == 0 {
		return mono.Never
	}
	return 0
}

// A stranger sends some of the session's packets again under its own address. What receivers make of that is none of the source's business:
// they do not tell it that little comes, and ask it for nothing.
func TestPaceMirrored(t *testing.T) {
	n := newNetwork(t, 1)
	n.delay = 500 * time.Microsecond
	nd, s := n.source(adapts)
	data := pattern(1, 24<<20)
	nd.tick = writer(s, data)
	rn, ps := n.peers(func(c *PeersConfig) { c.MaxMessage = 1 << 20 })
	var got int
	var mine *Receiver
	buf := make([]byte, 100000)
	rn.tick = func(now mono.Time) {
		for r := ps.Accept(); r != nil; r = ps.Accept() {
			if r.Addr() == nd.addr {
				mine = r
			}
		}
		for err := error(nil); err == nil && mine != nil; {
			var k int
			k, err = mine.Read(now, buf)
			got += k
		}
	}
	x := &mirror{from: nd, every: 20}
	n.nodes = append(n.nodes, &node{name: "mirror", addr: n.addr(99), engine: x, buf: make([]byte, 0, RunBytes)})
	receivers := 0
	var worst time.Duration
	n.run(mono.Time(30*time.Second), func() bool {
		st := s.Stats()
		receivers, worst = max(receivers, st.Receivers), max(worst, st.GRTT)
		return got == len(data)
	})
	if took := n.now.Sub(0); took > 3*time.Second || receivers != 1 || worst > 20*time.Millisecond {
		t.Errorf("%d of %d bytes in %v, %d receivers, GRTT up to %v: %+v", got, len(data), took, receivers, worst, s.Stats())
	}
	if x.mirror < 100 || len(ps.Receivers()) != 2 {
		t.Errorf("the test tests nothing: %d packets mirrored, %d sessions", x.mirror, len(ps.Receivers()))
	}
}

// A receiver moves to another address under its name. The source follows the one that is gone no longer than any other.
func TestPaceSameNameElsewhere(t *testing.T) {
	n := newNetwork(t, 1)
	n.delay = 500 * time.Microsecond
	nd, s := n.source(adapts)
	nd.tick = writer(s, make([]byte, 1<<30))
	named := func(c *PeersConfig) { c.ID = 7 }
	old, ps := n.peers(named)
	_, old.tick = collect(ps)
	n.run(mono.Time(500*time.Millisecond), never)
	if s.Stats().Acker != 7 {
		t.Fatalf("%+v", s.Stats())
	}
	again, ps := n.peers(named)
	_, again.tick = collect(ps)
	n.run(mono.Time(700*time.Millisecond), never)
	old.paused = true
	n.run(mono.Time(3*time.Second), never)
	before := s.Stats()
	n.run(mono.Time(4*time.Second), never)
	if st := s.Stats(); st.Rate < 50*flow.Mbps || st.Bytes-before.Bytes < 4<<20 || st.Why == flow.WhySilence {
		t.Errorf("%d bytes in a second: %+v", st.Bytes-before.Bytes, st)
	}
}

// A report that is made at an instant before its lead's arrival, by a goroutine that waited for the lock, or so long after it that the field
// does not hold it, says neither an hour nor nothing.
func TestReportHeld(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(10, time.Millisecond)
	x.spm(wire.Pace{Acker: reporter}, 0)
	x.reports()
	for _, c := range []struct {
		after time.Duration
		want  uint32
	}{{-50 * time.Microsecond, 0}, {50 * time.Microsecond, 50}, {2 * time.Hour, 1<<32 - 1}} {
		p := &wire.Packet{Type: wire.TypeACK}
		x.r.addReport(x.r.report.leadAt.Add(c.after), p)
		if q := p.Options.Peer.Report; !q.On || q.Held != c.want {
			t.Errorf("%v after it came it was held for %d µs, want %d", c.after, q.Held, c.want)
		}
	}
}
