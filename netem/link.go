package netem

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// Link is one direction of a link: it says when packets arrive, and in what state, and holds no packet itself. It reads no
// clock and no global randomness: the same impairment, seed and calls give the same answers on every machine. It is not
// safe for concurrent use.
//
//	packet -> loss, duplication -> queue (Limit) -> transmitter (Rate) -> Delay ± Jitter -> arrival
type Link struct {
	imp   Impairment
	pcg   rand.PCG
	limit int
	// thresholds of a uniform 64-bit number, with "always" apart because 2^64 does not fit.
	loss, duplicate, reorder, corrupt chance

	free  time.Duration // when the transmitter has sent all that is queued
	queue departures
	stats LinkStats
}

// Fate is what a Link does to one packet.
type Fate struct {
	N    int     // how many copies arrive: 0, 1 or 2
	Copy [2]Copy // the first N are valid, in the order in which they were sent
}

// Copy is one arrival.
type Copy struct {
	At      time.Duration // arrival, on the clock of the caller's now
	Corrupt bool          // an error is in it
}

// LinkStats counts a Link's packets and what became of them.
type LinkStats struct {
	Packets    uint64 // given to Send
	Bytes      uint64 // of these
	Arrived    uint64 // copies that arrive, corrupted ones included
	Lost       uint64 // copies lost at random
	Overflow   uint64 // copies dropped by a full queue
	TooBig     uint64 // packets larger than the MTU
	Duplicated uint64
	Reordered  uint64
	Corrupted  uint64
}

// NewLink returns a Link in one direction. Links with different seeds, or of one seed with different streams, are independent. It
// panics if the impairment is not valid: use [Impairment.Validate] on what comes from a user.
func NewLink(i Impairment, seed, stream uint64) *Link {
	if err := i.Validate(); err != nil {
		panic(err)
	}
	l := &Link{imp: i, limit: i.Limit}
	if l.limit == 0 {
		l.limit = defaultLimit
	}
	l.pcg.Seed(seed, stream)
	l.loss, l.duplicate = newChance(i.Loss), newChance(i.Duplicate)
	l.reorder, l.corrupt = newChance(i.Reorder), newChance(i.Corrupt)
	return l
}

// Impairment returns what the link was made with.
func (l *Link) Impairment() Impairment { return l.imp }

// Stats returns the counters so far.
func (l *Link) Stats() LinkStats { return l.stats }

// Send gives the link an IP packet of size bytes at the instant now, counted from any epoch the caller likes. Calls should come
// in order of now; an earlier now is treated by a Rate as if it came when the queue last moved.
func (l *Link) Send(now time.Duration, size int) Fate {
	var f Fate
	l.stats.Packets++
	l.stats.Bytes += uint64(size)
	copies := 1
	if l.duplicate.draw(&l.pcg) {
		copies = 2
		l.stats.Duplicated++
	}
	for range copies {
		// All draws are made for each copy, whatever comes of it: so a change of one setting does not reshuffle the others.
		lost, early := l.loss.draw(&l.pcg), l.reorder.draw(&l.pcg)
		corrupt, spread := l.corrupt.draw(&l.pcg), l.pcg.Uint64()
		if lost {
			l.stats.Lost++
			continue
		}
		if l.imp.MTU > 0 && size > l.imp.MTU {
			l.stats.TooBig++
			continue
		}
		at, ok := l.transmit(now, size)
		if !ok {
			l.stats.Overflow++
			continue
		}
		if early {
			l.stats.Reordered++
		} else {
			at += l.travel(spread)
		}
		if corrupt {
			l.stats.Corrupted++
		}
		l.stats.Arrived++
		f.Copy[f.N] = Copy{At: at, Corrupt: corrupt}
		f.N++
	}
	return f
}

// Backlog returns for how long the transmitter will be busy with what is queued.
func (l *Link) Backlog(now time.Duration) time.Duration { return max(0, l.free-now) }

// BacklogBytes returns how many bytes are queued, as the time they will take at Rate. It is 0 on a link without Rate.
func (l *Link) BacklogBytes(now time.Duration) int {
	if l.imp.Rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(l.Backlog(now)), uint64(l.imp.Rate))
	q, _ := bits.Div64(hi, lo, 8*uint64(time.Second)) // cannot overflow: it is at most what Send was given
	return int(q)
}

// transmit returns when the packet has left the transmitter; false if the queue is full.
func (l *Link) transmit(now time.Duration, size int) (time.Duration, bool) {
	if l.imp.Rate == 0 {
		return now, true
	}
	l.queue.leave(now)
	if l.queue.n >= l.limit {
		return 0, false
	}
	rate := uint64(l.imp.Rate)
	takes := time.Duration((uint64(size)*8*uint64(time.Second) + rate/2) / rate)
	l.free = max(now, l.free) + takes
	l.queue.push(l.free)
	return l.free, true
}

// travel is Delay ± Jitter, placed by u, which is uniform over 64 bits.
func (l *Link) travel(u uint64) time.Duration {
	d := l.imp.Delay
	if j := l.imp.Jitter; j > 0 {
		at, _ := bits.Mul64(u, 2*uint64(j)+1)
		d += time.Duration(at) - j
	}
	return max(0, d)
}

// chance is a probability as a threshold for a uniform 64-bit number.
type chance struct {
	below  uint64
	always bool
}

func newChance(p float64) chance {
	if p >= 1 {
		return chance{always: true}
	}
	return chance{below: uint64(p * (1 << 63) * 2)}
}

// draw takes one number from the generator, also when the answer is known.
func (c chance) draw(pcg *rand.PCG) bool { return pcg.Uint64() < c.below || c.always }

// departures is a ring of the instants at which queued packets leave the transmitter, in order.
type departures struct {
	at   []time.Duration // length a power of two, or nil
	head int
	n    int
}

func (d *departures) push(at time.Duration) {
	if d.n == len(d.at) {
		grown := make([]time.Duration, max(16, 2*len(d.at)))
		for i := range d.n {
			grown[i] = d.at[(d.head+i)&(len(d.at)-1)]
		}
		d.at, d.head = grown, 0
	}
	d.at[(d.head+d.n)&(len(d.at)-1)] = at
	d.n++
}

// leave forgets what has left by now.
func (d *departures) leave(now time.Duration) {
	for d.n > 0 && d.at[d.head] <= now {
		d.head = (d.head + 1) & (len(d.at) - 1)
		d.n--
	}
}
