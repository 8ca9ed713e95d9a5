package window

import (
	"encoding/binary"

	"github.com/rmcast/rmcast/seq"
)

// check panics if an invariant of the type's comment does not hold.
func (r *Receive) check() {
	known := r.end.Sub(r.next)
	if known < 0 || known > len(r.slots) || r.run.Less(r.next) || r.end.Less(r.run) {
		bug("next %d, run %d, end %d, ring of %d slots", r.next, r.run, r.end, len(r.slots))
	}
	if r.next != r.end && r.slot(r.next).state == Done || r.run != r.end && r.slot(r.run).state != Missing {
		bug("next %d is %v, run %d is %v", r.next, r.slot(r.next).state, r.run, r.slot(r.run).state)
	}
	if r.top.Less(r.next) || r.end.Less(r.top) {
		bug("top %d, known are %v", r.top, seq.Range{From: r.next, To: r.end})
	}
	missing, beyond, held, inUse := 0, 0, 0, r.checkKept()
	bytes := int64(0)
	for n := r.next; n != r.end; n++ {
		s := r.slot(n)
		switch s.state {
		case Missing:
			missing++
			if r.top.LessEq(n) {
				beyond++
			}
			if n.Less(r.run) {
				bug("%d is missing before run %d", n, r.run)
			}
		case Have:
			held++
			bytes += int64(s.payload)
			if (s.buffer == noBuffer) != (s.payload == 0 || r.hollow) {
				bug("%d has %d bytes in buffer %#x", n, s.payload, s.buffer)
			}
			if s.buffer != noBuffer {
				inUse++
				if r.top.LessEq(n) {
					bug("%d has a buffer, top is %d", n, r.top)
				}
			}
		case Unknown:
			bug("%d is unknown before end %d", n, r.end)
		}
	}
	if missing != r.missing || beyond != r.beyond || held != r.held || bytes != r.bytes {
		bug("%d missing, %d of them beyond, %d held, %d bytes, counted as %d, %d, %d, %d",
			missing, beyond, held, bytes, r.missing, r.beyond, r.held, r.bytes)
	}
	if n := r.buffers.check(); n != inUse {
		bug("%d buffers in use, %d slots have one", n, inUse)
	}
}

// check panics if the counts or lists are wrong, and returns how many buffers are in use.
func (b *buffers) check() int {
	if len(b.chunks) > b.maxChunks {
		bug("%d chunks of at most %d", len(b.chunks), b.maxChunks)
	}
	var free, empty, partial [classes]int32
	inUse := 0
	for k := range b.chunks {
		ch := &b.chunks[k]
		inUse += int(ch.used)
		free[ch.class] += perChunk[ch.class] - int32(ch.used)
		if ch.used == 0 {
			empty[ch.class]++
		}
		if int32(ch.used) < perChunk[ch.class] {
			partial[ch.class]++
		}
		recycled := 0
		for i := ch.free; i != noFree; recycled++ {
			at := uint32(i) * classBytes[ch.class]
			i = binary.LittleEndian.Uint16(b.memory[k][at:])
		}
		if recycled+int(ch.used) != int(ch.fresh) {
			bug("chunk %d: %d used, %d free, %d ever used", k, ch.used, recycled, ch.fresh)
		}
	}
	for c := range b.first {
		linked := int32(0)
		for k := b.first[c]; k != noChunk; k = b.chunks[k].next {
			linked++
		}
		if free[c] != b.free[c] || empty[c] != b.empty[c] || linked != partial[c] {
			bug("class %d: %d free, %d empty, %d partly used, counted as %d, %d, %d",
				c, free[c], empty[c], partial[c], b.free[c], b.empty[c], linked)
		}
	}
	if b.hot != nil {
		for c := range b.hot {
			for _, id := range b.hot[c].ids[:b.hot[c].n] {
				if id.class() != class(c) || b.chunks[id.chunk()].class != class(c) {
					bug("buffer %#x is hot in class %d", id, c)
				}
				inUse--
			}
		}
	}
	return inUse
}
