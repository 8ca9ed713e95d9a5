package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const (
	mostGap    = 10 * time.Millisecond // that reports stay out, which the window makes up for where the path is shorter
	sentMarks  = 512
	leastEpoch = 20 * time.Second // of the minimum of round trips: it is that of the current and the previous epoch
)

// sentLog remembers when each number was sent, in a ring of marks: each covers the numbers from the mark before up to its own. Runs that
// follow each other closer than the gap given share one mark.
type sentLog struct {
	marks [sentMarks]sentMark
	head  int // of the oldest
	n     int
	bytes int64 // of all that was ever sent
}

type sentMark struct {
	next   seq.Num
	at     mono.Time // of the first run it covers
	before int64     // bytes sent before that one
	after  int64     // bytes sent with the last
	rate   float64   // bit/s in force
	tag    uint32    // of the phase
	phase  Phase
	calm   bool // in Drain, but for its first round
}

// begin sets a mark for all that is before.
func (l *sentLog) begin(now mono.Time, next seq.Num) {
	l.marks[0], l.n = sentMark{next: next, at: now}, 1
}

func (l *sentLog) add(m sentMark, gap time.Duration) {
	last := &l.marks[(l.head+l.n-1)%sentMarks]
	if l.n > 1 && m.at.Sub(last.at) < gap && m.tag == last.tag {
		last.next, last.after = m.next, l.bytes
		return
	}
	m.before, m.after = last.after, l.bytes
	if l.n == sentMarks {
		l.head, l.n = (l.head+1)%sentMarks, l.n-1
	}
	l.marks[(l.head+l.n)%sentMarks] = m
	l.n++
}

// find returns the mark that covers a number, else the oldest.
func (l *sentLog) find(num seq.Num) *sentMark {
	lo, hi := 0, l.n-1 // the first mark whose next is after num
	for lo < hi {
		mid := (lo + hi) / 2
		if num.Less(l.marks[(l.head+mid)%sentMarks].next) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return &l.marks[(l.head+lo)%sentMarks]
}

// since returns how many bytes were sent since the run of a number.
func (l *sentLog) since(num seq.Num) int64 { return l.bytes - l.find(num).before }

// path is what is known of the round trip to the acker.
type path struct {
	guess     time.Duration // before the first sample
	rtt       RTT
	now, old  time.Duration // minimum of this epoch and the one before, 0: none
	epoch     mono.Time     // when this one ends
	last      time.Duration // latest sample
	peak      time.Duration // longest queue of this epoch and, fading, before
	lastValid bool
	gap       time.Duration // between reports, the longest of late, fading
}

// sample takes a round trip; held is what the receiver kept it.
func (p *path) sample(now, sent mono.Time, held time.Duration) {
	d := min(max(now.Sub(sent)-max(held, 0), leastRTT), maxRTT)
	p.rtt.Sample(d)
	p.last, p.lastValid = d, true
	if p.now == 0 || now >= p.epoch {
		p.old, p.now, p.epoch = p.now, d, now.Add(leastEpoch)
		p.peak -= p.peak / 2
	}
	p.now = min(p.now, d)
	p.peak = max(p.peak, p.queue())
}

// reported takes how long a report was waited for.
func (p *path) reported(d time.Duration) {
	p.gap = min(max(d, p.gap-p.gap/16), mostGap)
}

// forget is for another receiver; what is known becomes the guess.
func (p *path) forget() {
	*p = path{guess: p.smoothed()}
}

// smoothed returns the smoothed round trip, or the guess.
func (p *path) smoothed() time.Duration {
	if p.rtt.Valid() {
		return max(p.rtt.Smoothed(), leastRTT)
	}
	return p.guess
}

// least returns the round trip without queue, as far as known.
func (p *path) least() time.Duration {
	switch {
	case p.now == 0:
		return p.guess
	case p.old == 0:
		return p.now
	}
	return min(p.now, p.old)
}

// queue returns how long the latest packet waited in queues.
func (p *path) queue() time.Duration {
	if !p.lastValid {
		return 0
	}
	return p.last - p.least()
}

// low returns the wait below which a queue counts as empty: runs of a millisecond come in one piece.
func (p *path) low() time.Duration { return p.least()/8 + RunTime }
