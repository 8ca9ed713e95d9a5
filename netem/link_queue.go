package netem

import "time"

// queue is what stands in front of a link with a Rate, as a ring of the instants at which packets leave the transmitter, in order.
type queue struct {
	free time.Duration // when the transmitter has sent all that is queued
	// rest is what the instant free leaves out: less than a nanosecond, in units of 1/Rate of one. Half a unit is added when the queue
	// was empty, so that each packet of a busy time leaves at the exact instant, rounded.
	rest  uint64
	ring  []departure // length a power of two, or nil
	head  int
	n     int
	bytes int // of the n packets
}

type departure struct {
	at   time.Duration
	size int
}

const (
	bitTime = 8 * uint64(time.Second) // nanoseconds that a byte takes at 1 bit/s
	// maxTimed bounds the bytes of a packet for which time is reckoned, so that sums fit 64 bits.
	maxTimed = 1 << 26
)

// transmit returns when a packet has left the transmitter; false if the queue is full.
func (q *queue) transmit(now time.Duration, size int, c *compiled) (time.Duration, bool) {
	q.leave(now)
	if q.n >= c.limit || size > c.limitBytes-q.bytes || q.free > maxInstant {
		return 0, false
	}
	rate := uint64(c.imp.Rate)
	if q.free <= now {
		q.free, q.rest = now, rate/2
	}
	work := uint64(min(max(0, size), maxTimed))*bitTime + q.rest
	q.free += time.Duration(work / rate)
	q.rest = work % rate
	q.push(departure{q.free, size})
	return q.free, true
}

func (q *queue) push(d departure) {
	if q.n == len(q.ring) {
		grown := make([]departure, max(16, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = d
	q.n++
	q.bytes += d.size
}

// leave forgets what has left by now.
func (q *queue) leave(now time.Duration) {
	for q.n > 0 && q.ring[q.head].at <= now {
		q.bytes -= q.ring[q.head].size
		q.head = (q.head + 1) & (len(q.ring) - 1)
		q.n--
	}
}
