package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// source is one of our sources in the model, with its acker: runs as the limiter lets them go, repairs of what was lost first, reports at
// the interval the controller asks for.
type source struct {
	id      int
	c       *Congestion
	l       *Limiter
	start   mono.Time
	writes  func(now mono.Time) mono.Time // when the application has data: now or later; nil: always
	lie     func(*Delivery)               // what the acker makes of its reports
	dead    bool                          // the acker does not report
	stalls  time.Duration                 // after one report in four the acker's process waits for its turn, up to so long
	stalled mono.Time                     // until when it does
	sent    int                           // one after the highest number
	repairs int
	wake    mono.Time
	asked   []mono.Time // when NAKs arrive
	reports []told      // on their way
	last    told        // taken

	arriving []parcel
	got      tally
	told     mono.Time // when the next report leaves
}

type tally struct {
	lead        int
	leadAt      mono.Time
	bytes       int64
	came        int
	seen        bool
	anythingNew bool
}

type told struct {
	at mono.Time // arrival
	tally
	held time.Duration
}

// base is where the numbers begin: they wrap soon.
const base = seq.Num(0xffffff00)

func newSource(b *bottleneck, cfg CongestionConfig, start mono.Time) *source {
	if cfg.PacketBytes == 0 {
		cfg.PacketBytes = packetBytes
	}
	c := NewCongestion(start, cfg)
	s := &source{c: c, l: NewLimiter(LimiterConfig{Rate: c.Rate()}, start), start: start, wake: start, told: mono.Never}
	s.got.lead = -1
	s.last.lead = -1
	s.id = b.add(s)
	return s
}

func (s *source) next() mono.Time {
	at := min(s.wake, max(s.told, s.stalled), s.c.Deadline())
	if len(s.asked) > 0 {
		at = min(at, s.asked[0])
	}
	if len(s.reports) > 0 {
		at = min(at, s.reports[0].at)
	}
	if len(s.arriving) > 0 {
		at = min(at, max(s.arriving[0].at, s.stalled))
	}
	return at
}

func (s *source) passed(p parcel, b *bottleneck) { s.arriving = append(s.arriving, p) }

func (s *source) act(now mono.Time, b *bottleneck) {
	for now >= s.stalled && len(s.arriving) > 0 && s.arriving[0].at <= now {
		s.arrive(now, s.arriving[0], b)
		s.arriving = s.arriving[1:]
	}
	if now >= s.stalled && s.told <= now {
		s.report(now, b)
	}
	for len(s.asked) > 0 && s.asked[0] <= now {
		s.asked = s.asked[1:]
		s.repairs++
	}
	for len(s.reports) > 0 && s.reports[0].at <= now {
		s.take(now, s.reports[0])
		s.reports = s.reports[1:]
	}
	if now < s.start {
		return
	}
	s.c.Advance(now)
	s.send(now, b)
}

func (s *source) send(now mono.Time, b *bottleneck) {
	if r, was := s.c.Rate(), s.l.Rate(); r != was && (float64(r) > 1.01*float64(was) || float64(r) < 0.99*float64(was)) {
		s.l.SetRate(now, r)
	}
	s.wake = mono.Never
	for {
		room := s.c.Window() - (s.sent - s.last.lead - 1)
		ready := now
		if s.writes != nil {
			ready = s.writes(now)
		}
		if ready > now {
			s.c.Limited(now)
			s.wake = ready
		}
		data := room > 0 && ready <= now
		run := s.l.RunPackets(packetBytes)
		switch {
		case s.repairs > 0 && s.l.Repair(now, data):
			n := min(run, s.repairs)
			s.repairs -= n
			for range n {
				b.send(parcel{flow: s.id, bytes: packetBytes, repair: true})
			}
			s.l.TookRepair(now, n*packetBytes)
			s.c.Sent(now, base.Add(s.sent), n*packetBytes)
		case data && s.l.Data(now):
			n := min(run, room)
			for range n {
				b.send(parcel{flow: s.id, num: s.sent, bytes: packetBytes})
				s.sent++
			}
			s.l.TookData(now, n*packetBytes)
			s.c.Sent(now, base.Add(s.sent), n*packetBytes)
		default:
			if data {
				s.wake = min(s.wake, s.l.DataAt(now))
			}
			if s.repairs > 0 {
				s.wake = min(s.wake, s.l.RepairAt(now, data))
			}
			return
		}
	}
}

// arrive is at the receiver.
func (s *source) arrive(now mono.Time, p parcel, b *bottleneck) {
	g := &s.got
	g.bytes += int64(p.bytes)
	g.anythingNew = true
	if !p.repair {
		for range p.num - g.lead - 1 { // the queue keeps the order
			s.asked = append(s.asked, now.Add(b.delay+ms))
		}
		g.lead, g.leadAt, g.seen = p.num, now, true
		g.came++
	}
	if s.told == mono.Never && !s.dead {
		s.told = now.Add(s.c.Every())
	}
}

func (s *source) report(now mono.Time, b *bottleneck) {
	s.told = mono.Never
	if !s.got.seen || s.dead {
		return
	}
	if s.got.anythingNew {
		s.told = now.Add(s.c.Every())
	}
	s.got.anythingNew = false
	if s.stalls > 0 && b.rng.IntN(4) == 0 {
		s.stalled = now.Add(time.Duration(b.rng.Int64N(int64(s.stalls))))
	}
	if b.ackLoss == 0 || b.rng.Float64() >= b.ackLoss {
		s.reports = append(s.reports, told{at: now.Add(b.delay), tally: s.got, held: now.Sub(s.got.leadAt)})
	}
}

// take is what a source makes of a report.
func (s *source) take(now mono.Time, r told) {
	d := Delivery{Lead: base.Add(r.lead), Held: r.held, Room: 1 << 20}
	if s.last.seen {
		d.Expected, d.Came = r.lead-s.last.lead, r.came-s.last.came
		d.Bytes, d.Over = r.bytes-s.last.bytes, r.leadAt.Sub(s.last.leadAt)
	}
	s.last = r
	if s.lie != nil {
		s.lie(&d)
	}
	s.c.Delivered(now, d)
}
