package session

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// told is a receiver of one source that a test plays.
type toldReceiver struct {
	t    *testing.T
	ps   *Peers
	r    *Receiver
	now  mono.Time
	sqn  seq.Num
	next seq.Num
	buf  [2000]byte
	sent []sentReport // ACKs and NAKs
	slow bool         // the application does not read
}

type sentReport struct {
	at  mono.Time
	typ wire.Type
	q   wire.Peer
}

const reporter = wire.ReceiverID(7)

func newToldReceiver(t *testing.T, edit func(*PeersConfig)) *toldReceiver {
	return &toldReceiver{t: t, ps: forgedPeers(func(c *PeersConfig) {
		c.ID = reporter
		if edit != nil {
			edit(c)
		}
	})}
}

// spm has the source say pace. Round trips take 10 ms, the group is small.
func (x *toldReceiver) spm(pace wire.Pace, flags uint8) {
	p := forgedSPM(x.sqn, 0, x.next.Add(-1))
	x.sqn++
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	p.Options.Peer = wire.Peer{Flags: flags, Time: micros(x.now), GRTT: flow.EncodeGRTT(10 * time.Millisecond), GroupSize: flow.EncodeGroupSize(5), Window: 1024}
	if pace != (wire.Pace{}) {
		pace.On = true
		if pace.Every == 0 {
			pace.Every = flow.EncodeGRTT(2 * time.Millisecond)
		}
		p.Options.Peer.Pace = pace
	}
	x.ps.Handle(x.now, forgedMeta, p)
	x.settle()
}

// data sends count packets of 1000 bytes, one each gap.
func (x *toldReceiver) data(count int, gap time.Duration) {
	for range count {
		x.ps.Handle(x.now, forgedMeta, forgedData(x.next, 0, make([]byte, 1000)))
		x.next++
		x.settle()
		for err := error(nil); err == nil && x.r != nil && !x.slow; {
			_, err = x.r.ReadMessage(x.now, x.buf[:])
		}
		x.pass(gap)
	}
}

// pass lets time pass.
func (x *toldReceiver) pass(d time.Duration) {
	for end := x.now.Add(d); ; {
		at := max(min(x.ps.Deadline(), end), x.now)
		x.now = at
		x.settle()
		if at == end {
			return
		}
	}
}

// settle lets the engine say what it has to say.
func (x *toldReceiver) settle() {
	if x.r == nil {
		x.r = x.ps.Accept()
	}
	x.ps.Advance(x.now)
	for n := 0; ; n++ {
		tr := Transmit{B: make([]byte, 0, RunBytes)}
		if !x.ps.Poll(x.now, &tr) {
			break
		}
		var p wire.Packet
		if err := p.Decode(tr.B); err != nil {
			x.t.Fatal(err)
		}
		if p.Type != wire.TypeSPMR {
			x.sent = append(x.sent, sentReport{x.now, p.Type, p.Options.Peer})
		}
		if n > 1000 {
			x.t.Fatalf("does not come to rest at %v", x.now)
		}
	}
	if x.ps.Deadline() <= x.now {
		x.t.Fatalf("a deadline of %v at %v, with nothing to do", x.ps.Deadline(), x.now)
	}
}

// reports returns what was sent since it was called last.
func (x *toldReceiver) reports() []sentReport {
	all := x.sent
	x.sent = nil
	return all
}

// unread counts ACKs that carry a report.
func countReports(all []sentReport) (n int) {
	for _, r := range all {
		if r.q.Report.On {
			n++
		}
	}
	return n
}

// A source that does not adapt gets no report, whatever happens, and one that asks no receiver for anything.
func TestReportUnasked(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{}, peerProbe)
	x.data(100, time.Millisecond)
	x.next += 3
	x.data(10, time.Millisecond)
	x.spm(wire.Pace{}, peerProbe)
	x.pass(100 * time.Millisecond)
	all := x.reports()
	if countReports(all) > 0 || x.r.report != nil || len(all) == 0 {
		t.Errorf("%d of %d packets carry reports to a source that wants none", countReports(all), len(all))
	}
	x = newToldReceiver(t, func(c *PeersConfig) { c.ReceiveOnly = true })
	x.spm(wire.Pace{Acker: reporter}, peerProbe)
	x.data(100, time.Millisecond)
	if all := x.reports(); len(all) > 0 {
		t.Errorf("a receive-only session sent %d packets", len(all))
	}
}

// The first data is reported once, soon; nothing before it.
func TestReportFirst(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.pass(50 * time.Millisecond)
	if n := len(x.reports()); n > 0 {
		t.Errorf("%d packets before there was data", n)
	}
	began := x.now
	x.data(20, time.Millisecond)
	x.pass(time.Second)
	all := x.reports()
	if len(all) != 1 || !all[0].q.Report.On || all[0].at.Sub(began) > firstReport || all[0].q.Flags&peerUnasked == 0 {
		t.Fatalf("%+v, want one report within %v", all, firstReport)
	}
	want := wire.Report{On: true, ID: reporter, Lead: 0, Clock: micros(began), Held: uint32(all[0].at.Sub(began) / time.Microsecond),
		Bytes: (1000 + wire.HeadData + 48) / 64, Heard: 1, Room: 1024, Front: 1}
	if got := all[0].q.Report; got != want {
		t.Errorf("reported %+v,\nwant %+v", got, want)
	}
}

// The acker reports at once when it is named, then at a steady interval while data comes, and the end of it twice.
func TestReportAcker(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(10, time.Millisecond)
	x.reports()
	at := x.now
	x.spm(wire.Pace{Acker: reporter}, 0)
	if all := x.reports(); len(all) != 1 || all[0].at != at {
		t.Fatalf("named, it sent %+v", all)
	}
	x.data(1000, 100*time.Microsecond)
	all := x.reports()
	if n := len(all); n < 45 || n > 50 {
		t.Errorf("%d reports in 100 ms, want one each 2 ms", n)
	}
	for i := 1; i < len(all); i++ {
		if gap := all[i].at.Sub(all[i-1].at); gap < 2*time.Millisecond {
			t.Fatalf("reports %v apart", gap)
		}
		a, b := all[i-1].q.Report, all[i].q.Report
		if got, want := b.Heard-a.Heard, uint32(b.Lead.Sub(a.Lead)); got != want {
			t.Fatalf("%d packets of %d numbers", got, want)
		}
	}
	x.pass(time.Second)
	all = x.reports()
	if n := len(all); n < 1 || n > 2 || all[n-1].q.Report.Lead != x.next.Add(-1) || x.now.Sub(all[n-1].at) < 500*time.Millisecond {
		t.Errorf("after the end it sent %+v, want the lead %d once or twice", all, x.next.Add(-1))
	}
	// A probe is answered at once; another acker is none of its business.
	x.pass(time.Second)
	x.spm(wire.Pace{Acker: reporter}, peerProbe)
	if all := x.reports(); len(all) != 1 || all[0].at != x.now || all[0].q.Flags&peerUnasked != 0 {
		t.Errorf("asked, it sent %+v", all)
	}
	x.spm(wire.Pace{Acker: reporter + 1, Slow: 1}, 0)
	x.data(1000, 100*time.Microsecond)
	if all := x.reports(); len(all) > 0 {
		t.Errorf("not the acker any more, it sent %d reports", len(all))
	}
	// However short the interval, reports are no flood; a lost SPM that says nothing of the rate ends them.
	x.spm(wire.Pace{Acker: reporter, Every: 1}, 0)
	x.reports()
	x.data(1000, 100*time.Microsecond)
	if n := len(x.reports()); n < 90 || n > 101 {
		t.Errorf("%d reports in 100 ms, want one each ms", n)
	}
	x.spm(wire.Pace{}, 0)
	x.data(1000, 100*time.Microsecond)
	if n := countReports(x.reports()); n > 0 {
		t.Errorf("%d reports that nobody wants", n)
	}
}

// Every NAK carries a report, and the loss shows in it.
func TestReportNAK(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(10, time.Millisecond)
	x.reports()
	x.next += 5
	x.data(10, time.Millisecond)
	x.pass(20 * time.Millisecond)
	all := x.reports()
	if len(all) == 0 {
		t.Error("no NAK")
	}
	for _, r := range all {
		q := r.q.Report
		if r.typ != wire.TypeNAK || !q.On || q.Front != 10 || q.Lead < 15 || q.Heard != uint32(q.Lead)-4 {
			t.Errorf("sent %v %+v", r.typ, q)
		}
	}
}

// Who gets less than the source wants to know of speaks up, some times; who does not, or gets nothing because the source has a pause, is
// silent.
func TestReportSlow(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(10, time.Millisecond)
	x.spm(wire.Pace{Acker: reporter + 1, Slow: 4000}, 0) // data of 1072 bytes each ms is 8.6 Mbit/s
	x.reports()
	x.data(1000, time.Millisecond)
	if n := len(x.reports()); n > 0 {
		t.Errorf("%d reports at twice the rate", n)
	}
	x.data(40, 4*time.Millisecond) // 2.1 Mbit/s
	n := len(x.reports())
	if n < 2 || n > 5 {
		t.Errorf("%d reports at half the rate within 160 ms", n)
	}
	x.data(300, 4*time.Millisecond)
	if n := len(x.reports()); n < 5 || n > 40 {
		t.Errorf("%d reports at half the rate within 1.2 s", n)
	}
	x.data(100, time.Millisecond)
	x.reports()
	for range 20 { // bursts
		x.data(50, time.Millisecond)
		x.pass(300 * time.Millisecond)
	}
	if n := len(x.reports()); n > 0 {
		t.Errorf("%d reports of a source that pauses", n)
	}
}

// Half of the window unread is told, again whenever half of the rest is gone (a report may be lost), and so is room when there is some again,
// until something comes.
func TestReportBehind(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.slow = true
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(500, 100*time.Microsecond)
	x.pass(time.Second)
	x.reports()
	x.data(100, 100*time.Microsecond)
	x.pass(time.Second)
	all := x.reports()
	if len(all) != 1 || all[0].q.Flags&peerBehind == 0 {
		t.Fatalf("with half of the window unread it sent %+v", all)
	}
	x.data(300, 100*time.Microsecond)
	x.pass(5 * time.Millisecond)
	if all := x.reports(); len(all) != 2 || all[0].q.Report.Room >= 256 || all[1].q.Report.Room >= 128 || all[1].q.Flags&peerBehind == 0 {
		t.Fatalf("with an eighth of the window left it sent %+v", all)
	}
	x.spm(wire.Pace{Slow: 1}, peerProbe)
	x.pass(100 * time.Millisecond)
	if all := x.reports(); len(all) != 1 || all[0].q.Report.Room != 124 || all[0].q.Flags&peerBehind == 0 {
		t.Fatalf("asked, it sent %+v", all)
	}
	buf := make([]byte, 1000)
	read := func(n int) {
		for range n {
			if _, err := x.r.Read(x.now, buf); err != nil {
				t.Fatal(err)
			}
			x.settle()
		}
	}
	read(100)
	if n := len(x.reports()); n > 0 {
		t.Errorf("%d reports of little room", n)
	}
	read(100)
	x.pass(5 * time.Millisecond)
	if all := x.reports(); len(all) != 1 || all[0].q.Flags&peerBehind == 0 || all[0].q.Report.Room < 250 {
		t.Errorf("with room it sent %+v", all)
	}
	read(600)
	x.pass(5 * time.Millisecond)
	if all := x.reports(); len(all) == 0 || all[len(all)-1].q.Flags&peerBehind != 0 {
		t.Errorf("with all of it read it sent %+v", all)
	}
	x.pass(20 * time.Second)
	if n := len(x.reports()); n < 3 || n > roomRepeats {
		t.Errorf("room was told %d times more", n)
	}
	x.data(10, time.Millisecond)
	if n := len(x.reports()); n > 0 {
		t.Errorf("%d reports after data came", n)
	}
}

// A receiver that is not served any more gives out what it has, and then says so; it asks for nothing.
func TestEvicted(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		x := newToldReceiver(t, func(c *PeersConfig) { c.Unordered = unordered })
		x.slow = true
		var kinds []EventKind
		x.ps.cfg.Trace = func(e Event) { kinds = append(kinds, e.Kind) }
		x.spm(wire.Pace{Slow: 1}, 0)
		x.data(10, time.Millisecond)
		x.next += 2
		x.data(5, time.Millisecond)
		x.spm(wire.Pace{Slow: 1, Told: reporter + 1, Reason: 1}, 0)
		if x.r.evictedBy() != nil {
			t.Fatal("evicted in somebody else's place")
		}
		x.reports()
		x.spm(wire.Pace{Slow: 1, Told: reporter, Reason: 1}, 0)
		x.spm(wire.Pace{Slow: 1, Told: reporter, Reason: 1}, peerProbe)
		x.data(100, time.Millisecond)
		x.pass(time.Second)
		if all := x.reports(); len(all) > 0 {
			t.Errorf("it sent %+v", all)
		}
		packets, lost := 0, 0
		var loss *LossError
		var evicted *EvictedError
		for range 100 {
			_, err := x.r.ReadMessage(x.now, make([]byte, 2000))
			switch {
			case err == nil:
				packets++
			case errors.As(err, &loss):
				lost += loss.Lost.Len()
				if loss.Reason != LossEvicted {
					t.Errorf("lost for %v", loss.Reason)
				}
			case errors.As(err, &evicted):
			default:
				t.Fatalf("Read says %v", err)
			}
		}
		if want := 2; unordered && lost != 0 || !unordered && lost != want {
			t.Errorf("unordered %v: %d packets told as lost", unordered, lost)
		}
		if packets != 15 || evicted == nil || evicted.Reason != EvictSlow || evicted.TSI != x.r.TSI() {
			t.Errorf("unordered %v: %d packets, then %v", unordered, packets, evicted)
		}
		for _, k := range kinds {
			if k == EventEvicted {
				kinds = kinds[:0]
				break
			}
		}
		if len(kinds) > 0 {
			t.Error("no event tells of it")
		}
		x.pass(expiryOwn + time.Second)
		if len(x.ps.Receivers()) > 0 {
			t.Error("it is never forgotten")
		}
		if _, err := x.r.Read(x.now, make([]byte, 1)); !errors.As(err, &evicted) || errors.Is(err, io.EOF) {
			t.Errorf("at the end Read says %v", err)
		}
	}
}

// Reports cost no memory.
func TestReportAllocs(t *testing.T) {
	x := newToldReceiver(t, nil)
	x.spm(wire.Pace{Slow: 1}, 0)
	x.data(10, time.Millisecond)
	x.spm(wire.Pace{Acker: reporter}, 0)
	p, tr := forgedData(0, 0, make([]byte, 1000)), Transmit{B: make([]byte, 0, RunBytes)}
	buf := make([]byte, 2000)
	acks := x.r.stats.ACKs
	step := func() {
		p.Sqn = x.next
		x.next++
		x.now = x.now.Add(time.Millisecond)
		x.ps.Handle(x.now, forgedMeta, p)
		x.ps.Advance(x.now)
		for x.ps.Poll(x.now, &tr) {
		}
		if _, err := x.r.Read(x.now, buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	if x.r.stats.ACKs-acks < 1000 {
		t.Error("there were no reports: the test tests nothing")
	}
}
