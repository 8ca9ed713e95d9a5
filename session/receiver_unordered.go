package session

import (
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
)

// Unordered delivery (RFC 3208, 6.1 allows it by APDU): a message is handed out when it is whole, whatever is missing before
// it. Losses show in Stats only.

// loose is where the application stands in unordered delivery.
type loose struct {
	whole   queue              // first numbers of messages that are complete, in the order in which they became so
	partial map[seq.Num]uint32 // bytes held of messages that are not, by first number
	current seq.Num            // the message being read; valid while started
	started bool
}

// newReading is where an application stands that has read nothing.
func (c *common) newReading(skipTail bool) reading {
	rd := reading{skipTail: skipTail}
	if c.cfg.Unordered {
		rd.loose = &loose{partial: make(map[seq.Num]uint32)}
	}
	return rd
}

// arrived books packet n, now held: it may complete a message.
func (r *Receiver) arrived(n seq.Num, f window.Fragment, size int) {
	if r.window.State(n) != window.Have {
		return // swept: what it belonged to was given up as it came
	}
	rd := r.read.loose
	if f.Length == 0 {
		rd.whole.push(n)
		return
	}
	rd.partial[f.First] += uint32(size)
	if rd.partial[f.First] >= f.Length && r.window.State(f.First) == window.Have {
		if end, whole, _ := r.scan(f.First); whole && n.Less(end) {
			delete(rd.partial, f.First)
			rd.whole.push(f.First)
		}
	}
	r.sweep()
}

// dropLost moves past lost numbers at once: nobody reads them.
func (r *Receiver) dropLost(span seq.Range) {
	for n := span.From; n != span.To; n++ {
		if r.window.State(n) == window.Lost {
			r.window.Release(n)
		}
	}
	r.sweep()
}

// sweep frees fragments at the edge of the window whose message can no longer become whole, so that the window moves on.
func (r *Receiver) sweep() {
	if !r.accepted {
		return // an earlier start may still be found
	}
	for {
		n := r.window.Next()
		if r.window.State(n) != window.Have {
			return
		}
		p, _ := r.window.Packet(n)
		first := p.Fragment.First
		if p.Fragment.Length == 0 {
			return
		}
		if _, open := r.read.loose.partial[first]; first == n {
			if !open {
				return // whole, and waiting to be read
			}
			if _, _, broken := r.scan(n); !broken {
				return
			}
		}
		delete(r.read.loose.partial, first)
		r.read.bytes = 0
		r.window.Release(n)
	}
}

// edgeUnordered is edge for unordered delivery.
func (r *Receiver) edgeUnordered() (edge, seq.Range) {
	rd := r.read.loose
	if !rd.started {
		first, ok := rd.whole.pop()
		if !ok {
			r.sweep()
			return r.over()
		}
		rd.current, rd.started = first, true
	}
	p, _ := r.window.Packet(rd.current)
	end := rd.current.Add(1)
	for have := uint32(len(p.Payload)); have < p.Fragment.Length; end++ {
		q, _ := r.window.Packet(end)
		have += uint32(len(q.Payload))
	}
	return edgeMessage, seq.Range{From: rd.current, To: end}
}

// queue is a first-in, first-out list of numbers of whole messages that the receive window holds, each once.
type queue struct {
	nums []seq.Num
	head int
}

func (q *queue) push(n seq.Num) {
	if len(q.nums) == cap(q.nums) && q.head > len(q.nums)/2 {
		q.nums, q.head = append(q.nums[:0], q.nums[q.head:]...), 0
	}
	q.nums = append(q.nums, n)
}

func (q *queue) pop() (seq.Num, bool) {
	if q.head == len(q.nums) {
		return 0, false
	}
	n := q.nums[q.head]
	q.head++
	if q.head == len(q.nums) {
		q.nums, q.head = q.nums[:0], 0
	}
	return n, true
}
