package carousel

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"runtime/metrics"
	"sync"

	"github.com/rmcast/rmcast/fec"
)

// job is a block to decode and verify, or, with block -1, an object to make visible.
type job struct {
	o     *incoming
	block int
}

// enqueue gives the workers something to do. mu is held.
func (in *Inbox) enqueue(j job) {
	in.jobs = append(in.jobs, j)
	in.signal()
}

func (in *Inbox) signal() {
	select {
	case in.work <- struct{}{}:
	default: // somebody will look anyway
	}
}

// worker does one job after another until the Inbox is closed. There are several, which check whole blocks at once, but decode one after another.
func (in *Inbox) worker() {
	for range in.work {
		for in.next() {
		}
		in.mu.Lock()
		closed := in.closed
		in.mu.Unlock()
		if closed {
			in.signal() // to the next one
			return
		}
	}
}

// next does a job, and reports whether there was one.
func (in *Inbox) next() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.jobs) == 0 || in.closed {
		in.rest()
		return false
	}
	j := in.jobs[0]
	if in.jobs = in.jobs[1:]; len(in.jobs) > 0 {
		in.signal()
	}
	in.busy++
	if !j.o.done {
		in.do(j, &in.decoder)
	}
	in.busy--
	in.rest()
	return true
}

// rest tells who waits that there is nothing to do, if so, and gives memory back first. mu is held since the last worker had something to do, so that nobody
// finds the Inbox idle and its memory still there.
func (in *Inbox) rest() {
	if in.busy > 0 || len(in.jobs) > 0 && !in.closed {
		return
	}
	if !in.expects() {
		in.decoder.free()
	}
	in.idle.Broadcast()
}

// expects reports whether there are objects with blocks to come: until then the memory to decode them stays. mu is held.
func (in *Inbox) expects() bool {
	for _, id := range in.order {
		if o := in.objects[id]; o.man != nil && !o.done && o.left > 0 {
			return true
		}
	}
	return false
}

// do does a job. mu is held, but not while it works.
func (in *Inbox) do(j job, d *decoder) {
	o, s := j.o, j.o.stage
	if j.block < 0 {
		in.mu.Unlock()
		err := s.finish(in.dir, o.man.name, in.cfg.Replace, !in.cfg.NoSync)
		in.mu.Lock()
		if err != nil {
			in.fail(o, err)
			return
		}
		o.stage = nil
		in.log.Info("carousel: object is complete", "name", o.man.name, "object", o.id, "bytes", o.man.bytes)
		in.over(o, nil)
		return
	}
	bl := &o.blocks[j.block]
	have := bl.have // nobody changes it while the block is full
	in.mu.Unlock()
	good, err := d.block(s, j.block, have, &o.man.hashes[j.block])
	in.mu.Lock()
	switch {
	case o.done: // it failed meanwhile
	case err != nil:
		in.fail(o, err)
	case !good:
		in.stats.BadBlocks++
		in.log.Warn("carousel: block is taken again: its hash is wrong", "name", o.root.Name, "object", o.id, "block", j.block)
		*bl = block{dirty: true}
	default:
		*bl = block{state: blockReady, held: bl.held}
		o.ready += int64(o.part.k(j.block))
		if o.left--; o.left == 0 {
			in.enqueue(job{o, -1})
		}
	}
}

// decoder decodes and verifies blocks, and keeps the memory for that: one block, on which several goroutines work. Workers take turns at it.
type decoder struct {
	mu    sync.Mutex
	code  coder
	buf   []byte
	index []int
	marks []byte
}

// block makes a block whole on disk of the symbols that are there, k at least, if that gives the right hash; if not it takes their marks away.
func (d *decoder) block(s *stage, b int, have bitmap, want *[sha256.Size]byte) (good bool, err error) {
	k := s.part.k(b)
	if have.run(0, k) == k {
		sum, err := hashBlock(s.data, &s.part, b)
		if err == nil && sum != *want {
			return false, s.forget(b)
		}
		return err == nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.choose(have, k)
	if collects(k*s.part.symbolBytes, liveHeap()) {
		runtime.GC()
	}
	if err := d.load(s, b, have); err != nil {
		return false, err
	}
	if err := d.code.prepare(k, s.part.symbolBytes, decoders(k, s.part.symbolBytes)); err != nil {
		return false, err
	}
	if err := d.code.each(func(c *fec.Bulk) error { return c.Reconstruct(d.buf, d.index) }); err != nil {
		return false, err
	}
	if sha256.Sum256(d.buf[:s.part.blockBytes(b)]) != *want {
		return false, s.forget(b)
	}
	return true, d.store(s, b)
}

const (
	collectFrom = 16 << 20  // bytes of a block
	collectTo   = 512 << 20 // bytes of the heap
)

// collects reports whether garbage is collected before a block. The code's working memory and tables make most of a receiver's heap where blocks are
// large, and what a few of them leave behind would double it before the runtime thought that worth while. It takes little, as all that has no pointers.
// In a program with much else on its heap it would take long, and save little.
func collects(blockBytes int, live uint64) bool {
	return blockBytes >= collectFrom && live <= collectTo
}

// liveHeap is how much the last collection has left, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(s); s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

// free gives its memory back.
func (d *decoder) free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.code, d.buf, d.index, d.marks = coder{}, nil, nil, nil
}

// choose lists which symbols the block is made of: data in their places, and parity in the places of data that are missing.
func (d *decoder) choose(have bitmap, k int) {
	if cap(d.index) < k {
		d.index = make([]int, k)
	}
	d.index = d.index[:k]
	parity := k
	for i := range d.index {
		d.index[i] = i
		if have.has(i) {
			continue
		}
		n, ok := have.next(parity)
		if !ok {
			panic("BUG: carousel: a full block lacks symbols")
		}
		d.index[i], parity = n, n+1
	}
}

// loadRows is how many data symbols are read at once.
const loadRows = 64

// load reads the chosen symbols into memory.
func (d *decoder) load(s *stage, b int, have bitmap) error {
	k, size := s.part.k(b), s.part.symbolBytes
	if cap(d.buf) < k*size {
		d.buf = nil // not both at once
		d.buf = make([]byte, s.part.k(0)*size)
	}
	d.buf = d.buf[:k*size]
	for i := 0; i < k; i += loadRows { // what lies between them is read too, and overwritten
		n := min(loadRows, k-i)
		if first, ok := have.next(i); !ok || first >= i+n {
			continue
		}
		if err := s.readData(b, i, n, d.buf[i*size:]); err != nil {
			return err
		}
	}
	return parallel(k, func(from, to int) error {
		for i := from; i < to; i++ {
			if n := d.index[i]; n != i {
				if err := s.readParity(b, n, d.buf[i*size:]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// store writes the data that was missing, and then the marks of all data.
func (d *decoder) store(s *stage, b int) error {
	k, size := s.part.k(b), s.part.symbolBytes
	if cap(d.marks) < 4*k {
		d.marks = make([]byte, 4*k)
	}
	d.marks = d.marks[:4*k]
	_ = parallel(k, func(from, to int) error {
		for i := from; i < to; i++ {
			binary.BigEndian.PutUint32(d.marks[4*i:], mark(s.id, b, i, d.buf[i*size:(i+1)*size]))
		}
		return nil
	})
	for i := 0; i < k; {
		n := 0
		for i+n < k && d.index[i+n] != i+n {
			n++
		}
		if n == 0 {
			i++
			continue
		}
		if err := s.writeData(b, i, n, d.buf[i*size:]); err != nil {
			return err
		}
		i += n
	}
	return s.writeMarks(b, d.marks)
}
