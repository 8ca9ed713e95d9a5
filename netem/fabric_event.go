package netem

import (
	"math/bits"
	"time"
)

// event is a packet in flight, which at the instant at comes out of a link. Without a buffer it is only an instant at which waiting
// writers look again.
type event struct {
	at    time.Duration
	order uint64 // events of one instant happen in the order in which they were scheduled
	p     packet
	place
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// eventQueue is a binary heap by time. It holds values and so allocates only to grow.
type eventQueue struct {
	heap  []event
	order uint64
}

func (q *eventQueue) push(e event) {
	e.order = q.order
	q.order++
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *eventQueue) pop() event {
	first := q.heap[0]
	n := len(q.heap) - 1
	e := q.heap[n]
	q.heap[n] = event{} // lets go of the buffer
	q.heap = q.heap[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q.heap[down+1].before(&q.heap[down]) {
			down++
		}
		if !q.heap[down].before(&e) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	q.heap[i] = e
	return first
}

// next returns when the first event happens, never if there is none.
func (q *eventQueue) next() time.Duration {
	if len(q.heap) == 0 {
		return never
	}
	return q.heap[0].at
}

// arm sets the timer for the first event.
func (f *Fabric) arm() {
	next := f.events.next()
	if next >= f.due {
		return // it fires early enough
	}
	f.due = next
	wait := next - f.now()
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.tick)
	} else {
		f.timer.Reset(wait)
	}
}

func (f *Fabric) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = never
	f.catchUp(f.now())
	f.arm()
}

// catchUp lets everything happen that is due.
func (f *Fabric) catchUp(now time.Duration) {
	if f.run(now) {
		f.wake()
	}
}

// buffer is a piece of packet memory, shared by all who still need it. Guarded by the tree's lock, but for the bytes: these are
// written once, before the buffer is shared.
type buffer struct {
	b    []byte
	refs int
	next *buffer // in the free list
}

// bufferPool keeps free buffers by size: powers of two from 2 KiB, so that one small packet does not hold the memory of a run.
type bufferPool struct {
	free [6]*buffer
	made int // buffers ever allocated
}

const (
	smallestBuffer = 2 << 10
	maxRun         = 65535 // bytes of one run, as for UDP_SEGMENT
)

// get returns a buffer of at least n bytes, n ≤ 64 KiB, with one reference.
func (p *bufferPool) get(n int) *buffer {
	class := 0
	if n > smallestBuffer {
		class = bits.Len(uint(n-1)) - bits.Len(smallestBuffer-1)
	}
	buf := p.free[class]
	if buf == nil {
		p.made++
		return &buffer{b: make([]byte, smallestBuffer<<class), refs: 1}
	}
	p.free[class], buf.next, buf.refs = buf.next, nil, 1
	return buf
}

// release gives up one reference.
func (p *bufferPool) release(buf *buffer) {
	buf.refs--
	switch {
	case buf.refs > 0:
		return
	case buf.refs < 0:
		panic("netem: BUG: buffer released twice")
	}
	class := bits.Len(uint(len(buf.b))) - bits.Len(smallestBuffer)
	buf.next, p.free[class] = p.free[class], buf
}
