package carousel

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// Inbox is a directory that objects are received into. Packets come to it by Handle, from one or several sources; Receive takes them from one. What
// a former Inbox left unfinished in the directory, this one goes on with. Its methods may be called from several goroutines.
type Inbox struct {
	cfg InboxConfig
	lim limits
	log *slog.Logger
	dir *os.Root

	mu       sync.Mutex
	objects  map[ID]*incoming
	order    []ID // of objects, oldest first
	early    early
	unwanted map[ID]bool // their packets are not kept; at most maxUnwanted
	stats    InboxStats
	closed   bool
	finished map[ID]bool // objects that are complete or failed, up to Count

	jobs    []job
	work    chan struct{} // there is a job, or the Inbox is closed
	idle    *sync.Cond    // there is none, and no worker has one
	busy    int           // workers that have one
	done    chan struct{} // closed when that many objects are finished
	workers sync.WaitGroup
	decoder decoder
}

// InboxStats is what an Inbox counted.
type InboxStats struct {
	Packets      uint64 // all that came to Handle
	Foreign      uint64 // not of a carousel
	Damaged      uint64 // with a wrong checksum
	Stored       uint64 // data symbols that were written
	Duplicate    uint64 // data symbols that were there already
	Unneeded     uint64 // data symbols of blocks and objects that were complete
	Early        uint64 // packets that came before their manifest and were not kept
	Refused      uint64 // roots and manifests that are invalid, beyond a limit or not wanted
	Conflicts    uint64 // roots that contradict another with the same id
	OutOfRange   uint64 // symbols that their object does not have
	BadBlocks    uint64 // blocks thrown away for a wrong hash
	BadManifests uint64 // manifests thrown away for a wrong hash
}

// ObjectStatus says how far an object is.
type ObjectStatus struct {
	Root
	Known         bool  // the manifest is there
	Symbols, Held int64 // data symbols of the object; symbols that are there and count
	Resumed       int64 // of Held, those a former Inbox had left
	Blocks, Ready int   // blocks of the object, and verified ones
	Done          bool  // it is complete, or failed
	Err           error // why it failed
}

const (
	maxUnwanted      = 256
	conflictsToYield = 3 // roots in a row that contradict the first replace it while the manifest is not there
)

// NewInbox opens a directory as an Inbox, and makes it if it is not there. It checks what a former Inbox left: that takes as long as reading that.
func NewInbox(dir string, cfg *InboxConfig) (*Inbox, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	in := &Inbox{
		cfg: c, lim: c.limits(), log: c.Logger, dir: root, objects: map[ID]*incoming{}, unwanted: map[ID]bool{}, finished: map[ID]bool{}, early: early{most: c.EarlyBytes},
		work: make(chan struct{}, 1), done: make(chan struct{}),
	}
	in.idle = sync.NewCond(&in.mu)
	for range goroutines() {
		in.workers.Go(in.worker)
	}
	in.mu.Lock()
	err = in.resume()
	in.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// Close ends receiving. What is unfinished stays in the directory for the next Inbox.
func (in *Inbox) Close() error {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return os.ErrClosed
	}
	in.closed = true
	in.mu.Unlock()
	in.signal()
	in.workers.Wait()
	var errs []error
	for _, o := range in.objects {
		if o.stage != nil {
			errs = append(errs, o.stage.close())
		}
	}
	return errors.Join(append(errs, in.dir.Close())...)
}

// Stats returns what was counted so far.
func (in *Inbox) Stats() InboxStats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.stats
	s.Early = in.early.dropped
	return s
}

// Objects returns the objects that are known, oldest first.
func (in *Inbox) Objects() []ObjectStatus {
	in.mu.Lock()
	defer in.mu.Unlock()
	list := make([]ObjectStatus, 0, len(in.order))
	for _, id := range in.order {
		list = append(list, in.objects[id].status())
	}
	return list
}

// Done returns a channel that is closed when as many objects as InboxConfig.Count are complete or failed.
func (in *Inbox) Done() <-chan struct{} { return in.done }

// Err returns why objects failed, or nil.
func (in *Inbox) Err() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var errs []error
	for _, id := range in.order {
		errs = append(errs, in.objects[id].err)
	}
	return errors.Join(errs...)
}

// flush writes what is on its way to the disk. Close does it for a closed Inbox.
func (in *Inbox) flush() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return
	}
	for _, id := range in.order {
		if o := in.objects[id]; o.stage != nil && !o.done && o.left > 0 {
			if err := o.stage.flushAll(); err != nil {
				in.fail(o, err)
			}
		}
	}
}

// settle waits until the workers have nothing to do.
func (in *Inbox) settle() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for (in.busy > 0 || len(in.jobs) > 0) && !in.closed {
		in.idle.Wait()
	}
}

// Handle takes a packet. What is wrong with packets is counted, and is no error.
func (in *Inbox) Handle(b []byte) {
	h, payload, err := parsePacket(b)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stats.Packets++
	switch {
	case in.closed:
	case err == errChecksum:
		in.stats.Damaged++
	case err != nil:
		in.stats.Foreign++
	case h.kind == kindRoot:
		in.root(h, payload)
	case h.kind == kindOffer:
		in.offer(h, payload)
	case h.kind == kindRequest:
		in.stats.Foreign++
	default:
		in.symbol(h, payload, b)
	}
}

// symbol takes a symbol of a manifest or of data. b is the whole packet.
func (in *Inbox) symbol(h head, payload, b []byte) {
	o := in.objects[h.id]
	switch {
	case o == nil && in.unwanted[h.id]:
		in.stats.Unneeded++
	case o == nil, h.kind == kindData && o.man == nil && !o.done:
		in.early.add(h.id, b)
	case h.kind == kindManifest:
		in.manifestSymbol(o, h, payload)
	default:
		in.dataSymbol(o, h, payload)
	}
}

// root takes the announcement of an object.
func (in *Inbox) root(h head, payload []byte) {
	r, err := parseRoot(h.id, payload, &in.lim)
	if err != nil {
		in.refuse(h.id, err)
		return
	}
	o := in.objects[h.id]
	switch {
	case o == nil:
		if in.accept(r) {
			if o := in.add(r); o != nil {
				in.replay(o.id)
			}
		}
	case r == o.root:
		o.conflicts = 0
	default:
		in.conflict(o, r)
	}
}

// accept asks whether an object is wanted.
func (in *Inbox) accept(r Root) bool {
	if in.cfg.Accept == nil || in.cfg.Accept(r) {
		return true
	}
	if !in.unwanted[r.ID()] {
		in.log.Info("carousel: object is not wanted", "name", r.Name, "object", r.ID())
	}
	in.stats.Refused++
	in.disregard(r.ID())
	return false
}

// refuse counts and tells, once, what is wrong with an object.
func (in *Inbox) refuse(id ID, err error) {
	in.stats.Refused++
	o := in.objects[id]
	if told := in.unwanted[id] || o != nil && o.told; !told {
		in.log.Warn("carousel: refused", "object", id, "error", err)
	}
	if o == nil {
		in.disregard(id)
	} else {
		o.told = true
	}
}

// disregard keeps no more packets of an object that is not known. Should another root of it turn out well, it is received all the same.
func (in *Inbox) disregard(id ID) {
	if len(in.unwanted) >= maxUnwanted {
		clear(in.unwanted)
	}
	in.unwanted[id] = true
	in.early.take(id)
}

// add enters an object, or returns nil if there is no room.
func (in *Inbox) add(r Root) *incoming {
	if len(in.objects) >= in.cfg.MaxObjects && !in.makeRoom() {
		in.refuse(r.ID(), fmt.Errorf("%w: %d objects, want at most %d", ErrLimit, len(in.objects)+1, in.cfg.MaxObjects))
		return nil
	}
	o := &incoming{id: r.ID(), root: r}
	in.objects[o.id] = o
	in.order = append(in.order, o.id)
	delete(in.unwanted, o.id)
	in.log.Info("carousel: object", "name", r.Name, "object", o.id, "bytes", r.Bytes)
	return o
}

// makeRoom forgets the oldest object that has only been announced or, if there is none, that is over.
func (in *Inbox) makeRoom() bool {
	for _, over := range []bool{false, true} {
		for _, id := range in.order {
			if o := in.objects[id]; o.done == over && (over || o.man == nil) {
				in.forget(o)
				return true
			}
		}
	}
	return false
}

func (in *Inbox) forget(o *incoming) {
	delete(in.objects, o.id)
	for i, id := range in.order {
		if id == o.id {
			in.order = append(in.order[:i], in.order[i+1:]...)
			break
		}
	}
}

// conflict takes a root that is not the one that an object has. The manifest's hash is in both, or at least its beginning, so one of them is forged. Once the
// manifest is there it has decided; until then a few in a row are taken for the right one.
func (in *Inbox) conflict(o *incoming, r Root) {
	in.stats.Conflicts++
	if !o.told {
		o.told = true
		in.log.Warn("carousel: two objects with one id", "object", o.id, "name", o.root.Name, "other", r.Name)
	}
	if o.man != nil || o.done {
		return
	}
	if o.conflicts++; o.conflicts >= conflictsToYield && in.accept(r) {
		o.root, o.gather, o.conflicts = r, gather{}, 0
	}
}

// offer takes what a source says that it will send beside its turns.
func (in *Inbox) offer(h head, payload []byte) {
	o := in.objects[h.id]
	if o == nil || o.man == nil || o.done {
		return
	}
	if err := o.offer.parse(payload, &o.part); err != nil {
		in.outOfRange(o, h, len(payload))
		return
	}
	o.offers++
}

// manifestSymbol takes a symbol of a manifest, and with the last one opens the object.
func (in *Inbox) manifestSymbol(o *incoming, h head, payload []byte) {
	if o.man != nil || o.done {
		return
	}
	part := onePart(o.root.manifestBytes, o.root.code.symbolBytes)
	if h.block != 0 || h.symbol >= 2*part.k(0) || len(payload) != part.symbolBytes {
		in.outOfRange(o, h, len(payload))
		return
	}
	if !o.gather.add(h.symbol, payload, part.k(0)) {
		return
	}
	b, err := o.gather.decode(part)
	o.gather = gather{}
	if err == nil && sha256.Sum256(b) != o.root.Manifest {
		err = fmt.Errorf("%w: the manifest's hash is wrong", ErrInvalid)
	}
	if err != nil {
		in.stats.BadManifests++
		in.log.Warn("carousel: manifest is taken again", "object", o.id, "name", o.root.Name, "error", err)
		return
	}
	in.manifest(o, b)
}

// manifest takes an object's manifest, whose hash is right.
func (in *Inbox) manifest(o *incoming, b []byte) {
	m, err := parseManifest(b, &in.lim)
	if err != nil {
		in.stats.Refused++
		in.fail(o, err)
		return
	}
	r := Root{Name: m.name, Bytes: m.bytes, Manifest: o.root.Manifest, manifestBytes: len(b), code: m.code}
	if r != o.root { // what was announced under the hash was something else
		in.stats.Conflicts++
		if !in.accept(r) {
			in.forget(o)
			return
		}
		o.root = r
	}
	if err := in.open(o, m, b); err != nil {
		in.fail(o, err)
		return
	}
	in.replay(o.id)
}

// replay handles the packets that came too early.
func (in *Inbox) replay(id ID) {
	for _, b := range in.early.take(id) {
		if h, payload, err := parsePacket(b); err == nil {
			in.symbol(h, payload, b)
		}
	}
}

// open makes an object ready for its symbols.
func (in *Inbox) open(o *incoming, m *manifest, b []byte) error {
	same, err := in.target(m)
	if err != nil {
		return err
	}
	o.start(m)
	if same {
		in.log.Info("carousel: object is there already", "name", m.name, "object", o.id)
		in.over(o, nil)
		return ignore(in.dir.RemoveAll(stageName(o.id)), fs.ErrNotExist)
	}
	if o.stage, err = newStage(in.dir, o.id, m, b, in.cfg.MaxOpenFiles); err != nil {
		return err
	}
	if o.left == 0 {
		in.enqueue(job{o, -1})
	}
	return nil
}

// outOfRange counts a symbol that its object does not have.
func (in *Inbox) outOfRange(o *incoming, h head, bytes int) {
	in.stats.OutOfRange++
	if !o.told {
		o.told = true
		in.log.Warn("carousel: symbol out of range", "object", o.id, "name", o.root.Name, "block", h.block, "symbol", h.symbol, "bytes", bytes)
	}
}

// dataSymbol takes a symbol of a block, and with the last one has the block decoded.
func (in *Inbox) dataSymbol(o *incoming, h head, payload []byte) {
	if o.done {
		in.stats.Unneeded++
		return
	}
	if h.block >= o.part.blocks || h.symbol >= 2*o.part.k(h.block) || len(payload) != o.part.symbolBytes {
		in.outOfRange(o, h, len(payload))
		return
	}
	bl := &o.blocks[h.block]
	o.seen++
	bl.last = o.seen
	switch {
	case bl.state != blockOpen:
		in.stats.Unneeded++
		return
	case bl.have == nil:
		bl.have = newBitmap(2 * o.part.k(h.block))
	case bl.have.has(h.symbol):
		in.stats.Duplicate++
		return
	}
	err := o.stage.put(h.block, h.symbol, payload, max(1, h.sum), !bl.dirty, bl.have)
	full := bl.held+1 == o.part.k(h.block)
	if full && err == nil {
		err = o.stage.flush(h.block)
	}
	if err != nil {
		in.fail(o, err)
		return
	}
	in.stats.Stored++
	bl.have.set(h.symbol)
	if bl.held++; full {
		bl.state = blockFull
		in.enqueue(job{o, h.block})
	}
}

// fail ends an object with an error. Its stage stays.
func (in *Inbox) fail(o *incoming, err error) {
	if o.done {
		return
	}
	in.log.Error("carousel: object failed", "name", o.root.Name, "object", o.id, "error", err)
	if o.stage != nil {
		err = errors.Join(err, o.stage.close()) // workers may be at it, and get errors then
		o.stage = nil
	}
	in.over(o, fmt.Errorf("carousel: %s: %w", o.root.Name, err))
}

// over ends an object, and forgets what it does not need any more.
func (in *Inbox) over(o *incoming, err error) {
	o.done, o.err = true, err
	o.blocks, o.gather = nil, gather{}
	if n := len(in.finished); n < in.cfg.Count { // one that was forgotten may come again
		if in.finished[o.id] = true; n+1 == in.cfg.Count && len(in.finished) == in.cfg.Count {
			close(in.done)
		}
	}
}
