package carousel

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What a directory holds already: stages of a former Inbox, and files that have an object's name.

// target looks at what has the object's name already: it may be the object.
func (in *Inbox) target(m *manifest) (same bool, err error) {
	st, err := in.dir.Lstat(m.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t := newTree(in.dir, m.name, m.entries, os.O_RDONLY, in.cfg.MaxOpenFiles)
	same, err = verify(t, m)
	if err = errors.Join(err, t.close()); err != nil || same {
		if same && err == nil {
			err = sealTop(in.dir, m.name, &m.entries[0])
		}
		return same, err
	}
	if !in.cfg.Replace || !st.Mode().IsRegular() || m.entries[0].dir {
		return false, fmt.Errorf("%s: %w, and differs", m.name, fs.ErrExist)
	}
	return false, nil
}

// verify reports whether the files of a tree are what the manifest says.
func verify(t *tree, m *manifest) (bool, error) {
	for i := range t.entries {
		e := &t.entries[i]
		st, err := t.root.Lstat(t.name(e))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if st.IsDir() != e.dir || !e.dir && (!st.Mode().IsRegular() || st.Size() != e.size) {
			return false, nil
		}
	}
	part := m.partition()
	for b := range part.blocks {
		sum, err := hashBlock(t, &part, b)
		if err != nil || sum != m.hashes[b] {
			return false, err
		}
	}
	return true, nil
}

// hashBlock reads and hashes a block, a little at a time.
func hashBlock(t *tree, part *partition, b int) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	off, n := part.span(b, 0, part.k(b))
	for n > 0 {
		piece := buf[:min(n, int64(len(buf)))]
		if _, err := t.ReadAt(piece, off); err != nil {
			return sum, err
		}
		h.Write(piece)
		off, n = off+int64(len(piece)), n-int64(len(piece))
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// resume goes on with the stages in the directory. mu is held.
func (in *Inbox) resume() error {
	list, err := fs.ReadDir(in.dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		if !d.IsDir() || !strings.HasPrefix(d.Name(), stagePrefix) {
			continue
		}
		m, b, sum, err := storedManifest(in.dir, d.Name(), &in.lim)
		if err != nil { // it was killed before there was one, or is none of ours
			in.log.Info("carousel: not resumed", "directory", d.Name(), "error", err)
			continue
		}
		r := Root{Name: m.name, Bytes: m.bytes, Manifest: sum, manifestBytes: len(b), code: m.code}
		if !in.accept(r) {
			continue
		}
		o := in.add(r)
		if o == nil {
			continue
		}
		if err := in.resumeObject(o, m, b); err != nil {
			in.fail(o, err)
		}
	}
	return nil
}

func (in *Inbox) resumeObject(o *incoming, m *manifest, b []byte) error {
	if err := in.open(o, m, b); err != nil || o.done {
		return err
	}
	for i := range o.blocks {
		have, n, err := o.stage.held(i)
		if err != nil {
			return err
		}
		bl := &o.blocks[i]
		bl.have, bl.dirty = have, true
		bl.held = min(n, o.part.k(i))
		o.resumed += int64(bl.held)
		if n >= o.part.k(i) {
			bl.state = blockFull
			in.enqueue(job{o, i})
		}
	}
	in.log.Info("carousel: resumed", "name", m.name, "object", o.id, "symbols", o.resumed, "of", o.part.symbols)
	return nil
}
