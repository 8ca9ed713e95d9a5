package window

import "github.com/rmcast/rmcast/internal/invariant"

// buffers is payload memory in chunks of one size, each cut into buffers of one class. It is bounded, and chunks that have
// become empty can be cut anew, so that no mixture of sizes can use up the bound with free memory.
//
// The buffer that was freed last is given first: in the ordinary course, where a packet is read soon after it came, few
// buffers are in use and they stay in the processor's cache. A free buffer's first two bytes link to the next free one of
// its chunk; the chunks of a class that have a free buffer are linked in a list.
type buffers struct {
	chunks    []chunk
	maxChunks int
	largest   class          // seen so far, and not below that of the usual MTU
	first     [classes]int32 // chunk with a free buffer in which one was freed last; noChunk if there is none
	free      [classes]int32 // buffers
	empty     [classes]int32 // chunks without a buffer in use
}

// bufferID is the number of a chunk and, in the low 8 bits, the number of a buffer in it.
type bufferID uint32

type class uint8

type chunk struct {
	memory     *[chunkBytes]byte
	next, prev int32  // in the class's list
	used       uint16 // buffers
	fresh      uint16 // buffers from here on were never used
	free       uint16 // first of the free ones below fresh; noFree if there is none
	class      class
}

const (
	chunkBytes = 64 << 10
	classes    = 4
	maxChunks  = 1 << 22 // 256 GiB

	noBuffer bufferID = 1<<32 - 1
	noChunk  int32    = -1
	noFree   uint16   = 1<<16 - 1
)

// classBytes are the buffers' sizes: small messages, packets of the usual MTU, jumbo frames, all.
var classBytes = [classes]uint32{256, 1472, 9216, chunkBytes}

// perChunk is how many buffers of a class one chunk has.
var perChunk = [classes]int32{256, 44, 7, 1}

func classOf(size int) class {
	switch {
	case size <= 256:
		return 0
	case size <= 1472:
		return 1
	case size <= 9216:
		return 2
	}
	return 3
}

func (b *buffers) init(maxBytes int64) {
	b.largest = classOf(1472)
	b.maxChunks = int(min(max(maxBytes/chunkBytes, 1), maxChunks))
	for c := range b.first {
		b.first[c] = noChunk
	}
}

func (b *buffers) memory() int64 { return int64(len(b.chunks)) * chunkBytes }

// bytes returns a buffer's memory.
func (b *buffers) bytes(id bufferID) []byte {
	c := &b.chunks[id>>8]
	size := classBytes[c.class%classes]
	at := uint32(id&0xff) * size
	return c.memory[at : at+size]
}

// get returns a buffer for size bytes such that afterwards spare is at least keep. It returns noBuffer for size 0.
func (b *buffers) get(size, keep int) (bufferID, bool) {
	if size == 0 {
		return noBuffer, true
	}
	c := classOf(size)
	if c > b.largest {
		b.largest = c
	}
	if keep == 0 && b.free[c] > 0 {
		return b.take(c), true
	}
	return b.getKeeping(c, keep)
}

// spare returns how many buffers of the largest class are to be had.
func (b *buffers) spare() int {
	return int(b.free[b.largest]) + b.freeChunks(b.largest)*int(perChunk[b.largest])
}

// freeChunks returns how many chunks could become class c.
func (b *buffers) freeChunks(c class) int {
	n := b.maxChunks - len(b.chunks)
	for d := range b.empty {
		if class(d) != c {
			n += int(b.empty[d])
		}
	}
	return n
}

// getKeeping takes a buffer of class c or, if that would leave less than keep, of a larger one. Only a chunk that is cut for
// a smaller class makes spare fall by more than one, so that if spare exceeds keep, a buffer of the largest class will do.
func (b *buffers) getKeeping(c class, keep int) (bufferID, bool) {
	spare := b.spare()
	for ; c <= b.largest; c++ {
		cost := 0
		switch {
		case b.free[c] == 0 && b.freeChunks(c) == 0:
			continue
		case c == b.largest:
			cost = 1
		case b.free[c] == 0 || b.chunks[b.first[c]].used == 0:
			cost = int(perChunk[b.largest])
		}
		if spare-cost < keep {
			continue
		}
		if b.free[c] == 0 {
			b.addChunk(c)
		}
		return b.take(c), true
	}
	return noBuffer, false
}

// addChunk gives class c an empty chunk: a new one, or one of another class.
func (b *buffers) addChunk(c class) {
	k := int32(len(b.chunks))
	if len(b.chunks) < b.maxChunks {
		b.chunks = append(b.chunks, chunk{memory: new([chunkBytes]byte)})
	} else {
		k = 0
		for b.chunks[k].used > 0 {
			k++
		}
		old := b.chunks[k].class
		b.unlink(k)
		b.free[old] -= perChunk[old]
		b.empty[old]--
	}
	b.chunks[k].class, b.chunks[k].fresh, b.chunks[k].free = c, 0, noFree
	b.link(k)
	b.free[c] += perChunk[c]
	b.empty[c]++
}

// take returns a free buffer of class c, of which there must be one.
func (b *buffers) take(c class) bufferID {
	k := b.first[c]
	ch := &b.chunks[k]
	i := ch.free
	if i != noFree {
		at := uint32(i) * classBytes[c]
		ch.free = uint16(ch.memory[at]) | uint16(ch.memory[at+1])<<8
	} else {
		i = ch.fresh
		ch.fresh++
	}
	if ch.used == 0 {
		b.empty[c]--
	}
	ch.used++
	b.free[c]--
	if int32(ch.used) == perChunk[c] {
		b.unlink(k)
	}
	return bufferID(uint32(k)<<8 | uint32(i))
}

// put frees a buffer.
func (b *buffers) put(id bufferID) {
	k, i := int32(id>>8), uint16(id&0xff)
	ch := &b.chunks[k]
	c := ch.class % classes
	if invariant.Enabled {
		fill(b.bytes(id))
	}
	switch {
	case int32(ch.used) == perChunk[c]:
		b.link(k)
	case b.first[c] != k:
		b.unlink(k)
		b.link(k)
	}
	ch.used--
	b.free[c]++
	if ch.used == 0 {
		b.empty[c]++
	}
	at := uint32(i) * classBytes[c]
	ch.memory[at], ch.memory[at+1] = byte(ch.free), byte(ch.free>>8)
	ch.free = i
}

// link puts chunk k first in its class's list.
func (b *buffers) link(k int32) {
	ch := &b.chunks[k]
	ch.prev, ch.next = noChunk, b.first[ch.class]
	if ch.next != noChunk {
		b.chunks[ch.next].prev = k
	}
	b.first[ch.class] = k
}

// unlink takes chunk k out of its class's list.
func (b *buffers) unlink(k int32) {
	ch := &b.chunks[k]
	if ch.prev != noChunk {
		b.chunks[ch.prev].next = ch.next
	} else {
		b.first[ch.class] = ch.next
	}
	if ch.next != noChunk {
		b.chunks[ch.next].prev = ch.prev
	}
}
