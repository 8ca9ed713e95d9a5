package carousel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rmcast/rmcast/fec"
)

// Object is what a source sends: a file, a directory tree, or an io.ReaderAt, with its manifest and its parity. It may be sent several times, also at once.
type Object struct {
	cfg          ObjectConfig
	root         Root
	part         partition
	manifest     []byte // its symbols, data and then parity
	manifestPart partition
	source       io.ReaderAt
	parity       *parityStore
	unchanged    func() error
	closers      []io.Closer
}

// Open makes an Object of the file or directory at path, under its last element as name. It reads all of it. Files must not change until the Object is
// closed: that is noticed when a turn begins, by their sizes and times. Links and other special files in a directory are refused with ErrSpecial.
func Open(ctx context.Context, path string, cfg *ObjectConfig) (*Object, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	entries, err := scan(root, name)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	t := newTree(root, name, entries, os.O_RDONLY, 128)
	o := &Object{source: t, unchanged: t.unchanged, closers: []io.Closer{closing(t.close), root}}
	return o.prepare(ctx, name, entries, cfg)
}

// NewObject makes an Object, which receivers get as a file, of size bytes of r. They must not change until the Object is closed.
func NewObject(ctx context.Context, name string, r io.ReaderAt, size int64, cfg *ObjectConfig) (*Object, error) {
	o := &Object{source: r, unchanged: func() error { return nil }}
	return o.prepare(ctx, name, []entry{{path: ".", mode: 0o644, size: size}}, cfg)
}

type closing func() error

func (c closing) Close() error { return c() }

// Close closes the object's files, and removes its parity. It must not be sent any more.
func (o *Object) Close() error {
	var errs []error
	if o.parity != nil {
		errs = append(errs, o.parity.close())
	}
	for _, c := range o.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Root returns what the object's announcements say.
func (o *Object) Root() Root { return o.root }

// Symbols returns how many packets of data a receiver needs.
func (o *Object) Symbols() int64 { return o.part.symbols }

// scan lists a file, or a directory and all that is in it, in the order of a manifest.
func scan(root *os.Root, name string) (entries []entry, err error) {
	err = fs.WalkDir(root.FS(), filepath.ToSlash(name), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			return fmt.Errorf("%s: %w (%v)", p, ErrSpecial, d.Type())
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{path: ".", dir: d.IsDir(), mode: st.Mode().Perm(), time: st.ModTime()}
		if p != name {
			e.path = strings.TrimPrefix(p, name+"/")
		}
		if !e.dir {
			e.size = st.Size()
		}
		if !validPath(e.path) {
			return fmt.Errorf("%w: path %q", ErrInvalid, p)
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// prepare reads the whole object: what it returns can be sent. If it fails it closes o.
func (o *Object) prepare(ctx context.Context, name string, entries []entry, cfg *ObjectConfig) (*Object, error) {
	err := o.init(name, entries, cfg)
	var m *manifest
	if err == nil {
		m, err = o.encode(ctx, name, entries)
	}
	if err == nil {
		err = o.describe(m)
	}
	if err == nil {
		err = o.unchanged()
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Object) init(name string, entries []entry, cfg *ObjectConfig) (err error) {
	if o.cfg, err = cfg.withDefaults(); err != nil {
		return err
	}
	if !validName(name) {
		return fmt.Errorf("%w: name %q", ErrInvalid, name)
	}
	size := int64(0)
	for i := range entries {
		if size += entries[i].size; entries[i].size < 0 || size < 0 {
			return fmt.Errorf("%w: size of %q", ErrInvalid, entries[i].path)
		}
	}
	if blocks := ceilDiv(ceilDiv(size, int64(o.cfg.SymbolBytes)), int64(o.cfg.BlockSymbols)); blocks > maxBlocks {
		return fmt.Errorf("%w: %d blocks", ErrLimit, blocks)
	}
	o.part = newPartition(size, o.cfg.SymbolBytes, o.cfg.BlockSymbols)
	return nil
}

// encode makes parity and hashes of all blocks. It needs the memory of two blocks.
func (o *Object) encode(ctx context.Context, name string, entries []entry) (*manifest, error) {
	m := &manifest{code: code{o.cfg.SymbolBytes, o.cfg.BlockSymbols}, name: name, bytes: o.part.bytes}
	for _, e := range entries {
		if o.cfg.NoTimes {
			e.time = time.Time{}
		}
		m.entries = append(m.entries, e)
	}
	m.hashes = make([][sha256.Size]byte, o.part.blocks)
	if o.part.blocks == 0 {
		return m, nil
	}
	var err error
	if !o.cfg.NoParity {
		if o.parity, err = newParityStore(&o.cfg, &o.part); err != nil {
			return nil, err
		}
	}
	var code coder
	buf := make([]byte, o.part.k(0)*o.part.symbolBytes)
	for b := range o.part.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k := o.part.k(b)
		data := buf[:k*o.part.symbolBytes]
		if err := o.readData(b, 0, k, data); err != nil {
			return nil, err
		}
		var hashing sync.WaitGroup
		hashing.Go(func() { m.hashes[b] = sha256.Sum256(data[:o.part.blockBytes(b)]) })
		if o.parity != nil {
			if err = code.prepare(k, o.part.symbolBytes, goroutines()); err == nil {
				err = o.parity.encode(&code, b, data)
			}
		}
		if hashing.Wait(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// describe makes the symbols of the manifest, and the root.
func (o *Object) describe(m *manifest) error {
	b := m.append(nil)
	if most := fec.MaxBulk * o.part.symbolBytes; len(b) > most {
		return fmt.Errorf("%w: a manifest of %d bytes, want at most %d", ErrLimit, len(b), most)
	}
	o.root = Root{Name: m.name, Bytes: m.bytes, Manifest: sha256.Sum256(b), manifestBytes: len(b), code: m.code}
	o.manifestPart = onePart(len(b), o.part.symbolBytes)
	k := o.manifestPart.k(0)
	half := k * o.part.symbolBytes
	o.manifest = make([]byte, 2*half)
	copy(o.manifest, b)
	bulk, err := fec.NewBulk(k, o.part.symbolBytes)
	if err != nil {
		return err
	}
	bulk.Encode(o.manifest[:half], o.manifest[half:])
	return nil
}

// readData reads n data symbols of a block, from one on, into b, zeros after the object's end.
func (o *Object) readData(block, symbol, n int, b []byte) error {
	off, length := o.part.span(block, symbol, n)
	if k, err := o.source.ReadAt(b[:length], off); err != nil && (int64(k) < length || !errors.Is(err, io.EOF)) {
		if errors.Is(err, io.EOF) {
			err = ErrChanged
		}
		return err
	}
	clear(b[length:])
	return nil
}

// parityStore holds the parity of an object, in memory or in a file.
type parityStore struct {
	part   *partition
	memory [][]byte // by block
	file   *os.File
	buf    []byte // a block's parity on its way to the file
	remove bool   // the file has its name still
}

func newParityStore(cfg *ObjectConfig, part *partition) (*parityStore, error) {
	p := &parityStore{part: part}
	if part.symbols*int64(part.symbolBytes) <= cfg.ParityMemory {
		p.memory = make([][]byte, part.blocks)
		return p, nil
	}
	f, err := os.CreateTemp(cfg.TempDir, "rmcast-parity-")
	if err != nil {
		return nil, err
	}
	p.file = f
	p.remove = os.Remove(f.Name()) != nil // where open files can lose their names nothing is left behind, however the process ends
	return p, nil
}

func (p *parityStore) close() error {
	p.memory = nil
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	if p.remove {
		err = errors.Join(err, os.Remove(p.file.Name()))
	}
	return err
}

// encode makes and keeps a block's parity.
func (p *parityStore) encode(code *coder, block int, data []byte) error {
	encode := func(parity []byte) {
		_ = code.each(func(c *fec.Bulk) error { c.Encode(data, parity); return nil })
	}
	if p.memory != nil {
		p.memory[block] = make([]byte, len(data))
		encode(p.memory[block])
		return nil
	}
	if len(p.buf) < len(data) {
		p.buf = make([]byte, len(data))
	}
	encode(p.buf[:len(data)])
	_, err := p.file.WriteAt(p.buf[:len(data)], p.part.first(block)*int64(p.part.symbolBytes))
	if block == p.part.blocks-1 {
		p.buf = nil
	}
	return err
}

// read reads n parity symbols of a block, from one on, which is counted from 0.
func (p *parityStore) read(block, symbol, n int, b []byte) error {
	size := p.part.symbolBytes
	if p.memory != nil {
		copy(b[:n*size], p.memory[block][symbol*size:])
		return nil
	}
	_, err := p.file.ReadAt(b[:n*size], (p.part.first(block)+int64(symbol))*int64(size))
	return err
}
