package window

import (
	"encoding/binary"
	"slices"

	"github.com/rmcast/rmcast/internal/invariant"
)

// buffers is payload memory in chunks of one size, each cut into buffers of one class. It is bounded, and chunks that have
// become empty can be cut anew, so that no mixture of sizes can use up the bound with free memory.
//
// The buffer that was freed last is given first: in the ordinary course, where a packet is read soon after it came, few
// buffers are in use and they stay in the processor's cache. Each class has a short stack of hot buffers, which their
// chunks count as used; below it, a free buffer's first two bytes link to the next free one of its chunk, and the chunks of
// a class that have a free buffer are linked in a list.
type buffers struct {
	memory    []*[chunkBytes]byte
	chunks    []chunk // what memory is used for
	maxChunks int
	untouched int             // buffers of the largest class that chunks not allocated yet would make
	hot       *[classes]stack // nil before the first chunk
	largest   class           // seen so far, and not below that of the usual MTU
	first     [classes]int32  // chunk with a free buffer in which one was freed last; noChunk if there is none
	free      [classes]int32  // buffers in chunks of that list
	empty     [classes]int32  // chunks without a buffer in use
}

type stack struct {
	n   uint32
	ids [63]bufferID
}

// bufferID is the number of a chunk, in the low 8 bits the number of a buffer in it, and between them 2 bits of class.
type bufferID uint32

func (id bufferID) chunk() int32  { return int32(id >> 10) }
func (id bufferID) class() class  { return class(id >> 8 % classes) }
func (id bufferID) index() uint32 { return uint32(id & 0xff) }

type class uint8

type chunk struct {
	next, prev int32  // in the class's list
	used       uint16 // buffers
	fresh      uint16 // buffers from here on were never used
	free       uint16 // first of the free ones below fresh; noFree if there is none
	kept       uint16 // scratch of Receive.spareOfKept; 0 otherwise
	class      class
}

const (
	chunkBytes = 64 << 10
	classes    = 4
	maxChunks  = 1<<22 - 1 // nearly 256 GiB

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
	b.count()
}

// raise lets memory grow to maxBytes.
func (b *buffers) raise(maxBytes int64) {
	b.maxChunks = max(b.maxChunks, int(min(maxBytes/chunkBytes, maxChunks)))
	b.count()
}

// clone returns the same with memory of its own.
func (b *buffers) clone() buffers {
	c := *b
	c.chunks = slices.Clone(b.chunks)
	c.memory = make([]*[chunkBytes]byte, len(b.memory))
	for i, m := range b.memory {
		memory := *m
		c.memory[i] = &memory
	}
	if b.hot != nil {
		hot := *b.hot
		c.hot = &hot
	}
	return c
}

func (b *buffers) allocated() int64 { return int64(len(b.chunks)) * chunkBytes }

// bytes returns a buffer's memory.
func (b *buffers) bytes(id bufferID) []byte {
	size := classBytes[id.class()]
	at := id.index() * size
	return b.memory[id.chunk()][at : at+size]
}

// get returns a buffer for size bytes such that afterwards spare is at least keep. It returns noBuffer for size 0.
func (b *buffers) get(size, keep int) (bufferID, bool) {
	if size == 0 {
		return noBuffer, true
	}
	c := classOf(size)
	if c <= b.largest && keep <= b.untouched && b.hot != nil {
		if hot := &b.hot[c]; hot.n > 0 {
			hot.n--
			return hot.ids[hot.n], true
		}
	}
	return b.getCold(c, keep)
}

// getCold is get where the hot buffers do not do.
func (b *buffers) getCold(c class, keep int) (bufferID, bool) {
	if c > b.largest {
		b.largest = c
		b.count()
	}
	if id, ok := b.getKeeping(c, c, keep); ok {
		return id, true
	}
	if b.hot != nil {
		b.cool()
	}
	return b.getKeeping(c, b.largest, keep)
}

// count sets untouched.
func (b *buffers) count() {
	b.untouched = (b.maxChunks - len(b.chunks)) * int(perChunk[b.largest])
}

// spare returns how many buffers of the largest class are to be had, or less if the hot buffers of other classes, by
// themselves, keep a chunk from being empty.
func (b *buffers) spare() int {
	n := int(b.free[b.largest]) + b.freeChunks(b.largest)*int(perChunk[b.largest])
	if b.hot != nil {
		n += int(b.hot[b.largest].n)
	}
	return n
}

// cool gives the hot buffers back to their chunks.
func (b *buffers) cool() {
	for c := range b.hot {
		hot := &b.hot[c]
		for _, id := range hot.ids[:hot.n] {
			b.give(id)
		}
		hot.n = 0
	}
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

// getKeeping takes a buffer of class c or, if that would leave less than keep, of a larger one up to most. Only a chunk that is cut for
// a smaller class makes spare fall by more than one, so that if spare exceeds keep, a buffer of the largest class will do.
func (b *buffers) getKeeping(c, most class, keep int) (bufferID, bool) {
	spare := b.spare()
	for ; c <= most; c++ {
		isHot := b.hot != nil && b.hot[c].n > 0
		cost := 0
		switch {
		case !isHot && b.free[c] == 0 && b.freeChunks(c) == 0:
			continue
		case c == b.largest:
			cost = 1
		case isHot:
		case b.free[c] == 0 || b.chunks[b.first[c]].used == 0:
			cost = int(perChunk[b.largest])
		}
		if spare-cost < keep {
			continue
		}
		if isHot {
			hot := &b.hot[c]
			hot.n--
			return hot.ids[hot.n], true
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
	if b.hot == nil {
		b.hot = new([classes]stack)
	}
	k := int32(len(b.chunks))
	if len(b.chunks) < b.maxChunks {
		b.chunks = append(b.chunks, chunk{})
		b.memory = append(b.memory, new([chunkBytes]byte))
		b.count()
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

// take returns a free buffer of class c from the chunk that is first in the list of c.
func (b *buffers) take(c class) bufferID {
	k := b.first[c]
	ch := &b.chunks[k]
	i := ch.free
	if i != noFree {
		at := uint32(i) * classBytes[c]
		ch.free = binary.LittleEndian.Uint16(b.memory[k][at:])
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
	return bufferID(uint32(k)<<10 | uint32(c)<<8 | uint32(i))
}

// put frees a buffer.
func (b *buffers) put(id bufferID) {
	if invariant.Enabled {
		fill(b.bytes(id))
	}
	if hot := &b.hot[id.class()]; hot.n < uint32(len(hot.ids)) {
		hot.ids[hot.n] = id
		hot.n++
		return
	}
	b.give(id)
}

// give returns a buffer to its chunk.
func (b *buffers) give(id bufferID) {
	k, c := id.chunk(), id.class()
	ch := &b.chunks[k]
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
	binary.LittleEndian.PutUint16(b.bytes(id), ch.free)
	ch.free = uint16(id.index())
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
