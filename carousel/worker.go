package carousel

import (
	"crypto/sha256"

	"github.com/rmcast/rmcast/fec"
)

// job is a block to decode and verify, or, with block -1, an object to make visible.
type job struct {
	o     *incoming
	block int
}

// enqueue gives the worker something to do. mu is held.
func (in *Inbox) enqueue(j job) {
	in.jobs = append(in.jobs, j)
	in.signal()
}

func (in *Inbox) signal() {
	select {
	case in.work <- struct{}{}:
	default: // it will look anyway
	}
}

// worker does one job after another, so that one block at a time is in memory, until the Inbox is closed.
func (in *Inbox) worker() {
	defer close(in.stopped)
	var d decoder
	for range in.work {
		for in.next(&d) {
		}
		in.mu.Lock()
		closed := in.closed
		in.mu.Unlock()
		if closed {
			return
		}
	}
}

// next does a job, and reports whether there was one.
func (in *Inbox) next(d *decoder) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy = false
	if len(in.jobs) == 0 || in.closed {
		d.buf = nil // blocks are far between, or over
		in.idle.Broadcast()
		return false
	}
	j := in.jobs[0]
	in.jobs = in.jobs[1:]
	in.busy = true
	if !j.o.done {
		in.do(j, d)
	}
	return true
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

// decoder decodes and verifies blocks, and keeps the memory for that.
type decoder struct {
	code  *fec.Bulk
	size  int // of code's symbols
	buf   []byte
	index []int
	four  [4]byte
}

// block makes a block whole on disk of the symbols that are there, k at least, if that gives the right hash; if not it takes their marks away.
func (d *decoder) block(s *stage, b int, have bitmap, want *[sha256.Size]byte) (good bool, err error) {
	k, size := s.part.k(b), s.part.symbolBytes
	if err := d.load(s, b, have); err != nil {
		return false, err
	}
	if missing := d.missing(); missing > 0 {
		if d.code == nil || d.code.Symbols() != k || d.size != size {
			if d.code, err = fec.NewBulk(k, size); err != nil {
				return false, err
			}
			d.size = size
		}
		if err := d.code.Reconstruct(d.buf, d.index); err != nil {
			return false, err
		}
	}
	if sha256.Sum256(d.buf[:s.part.blockBytes(b)]) != *want {
		return false, s.forget(b)
	}
	for i, n := range d.index {
		if n == i {
			continue
		}
		p := d.buf[i*size : (i+1)*size]
		if err := s.put(b, i, p, mark(s.id, b, i, p), false, &d.four); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (d *decoder) missing() (n int) {
	for i, x := range d.index {
		if x != i {
			n++
		}
	}
	return n
}

// load reads k symbols of a block into memory: data at their places, and parity at the places of data that are missing.
func (d *decoder) load(s *stage, b int, have bitmap) error {
	k, size := s.part.k(b), s.part.symbolBytes
	if cap(d.buf) < k*size {
		d.buf = make([]byte, k*size)
	}
	d.buf, d.index = d.buf[:k*size], make([]int, k)
	parity := k
	for i := 0; i < k; {
		if n := have.run(i, k); n > 0 {
			n = min(n, 64)
			if err := s.readData(b, i, n, d.buf[i*size:]); err != nil {
				return err
			}
			for range n {
				d.index[i] = i
				i++
			}
			continue
		}
		n, ok := have.next(parity)
		if !ok {
			panic("BUG: carousel: a full block lacks symbols")
		}
		if err := s.readParity(b, n, d.buf[i*size:]); err != nil {
			return err
		}
		d.index[i], parity = n, n+1
		i++
	}
	return nil
}
