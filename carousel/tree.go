package carousel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"
)

// tree is the files of a manifest on disk, read and written as the one run of bytes that they are in the object. It keeps a bounded number of
// files open. It is safe for several goroutines.
type tree struct {
	root    *os.Root
	base    string // of the object itself, in root
	entries []entry
	flag    int // os.O_RDONLY or os.O_RDWR

	files  []int   // entries that are files and not empty
	starts []int64 // by files: where they begin in the object

	mu   sync.Mutex
	open map[int]*openFile // by entry
	tick int64
	most int
}

type openFile struct {
	*os.File
	used int64 // tick
}

func newTree(root *os.Root, base string, entries []entry, flag, mostOpen int) *tree {
	t := &tree{root: root, base: base, entries: entries, flag: flag, open: map[int]*openFile{}, most: mostOpen}
	at := int64(0)
	for i, e := range entries {
		if !e.dir && e.size > 0 {
			t.files = append(t.files, i)
			t.starts = append(t.starts, at)
			at += e.size
		}
	}
	return t
}

// name is where an entry is, in root.
func (t *tree) name(e *entry) string {
	return filepath.Join(t.base, filepath.FromSlash(e.path))
}

// ReadAt reads bytes of the object, as io.ReaderAt.
func (t *tree) ReadAt(b []byte, off int64) (n int, err error) {
	return t.each(b, off, (*os.File).ReadAt)
}

// WriteAt writes bytes of the object. What would be beyond its end is an error.
func (t *tree) WriteAt(b []byte, off int64) (n int, err error) {
	return t.each(b, off, (*os.File).WriteAt)
}

// each calls do for the part of each file that the object's bytes from off on are in.
func (t *tree) each(b []byte, off int64, do func(*os.File, []byte, int64) (int, error)) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// The first file that ends behind off.
	i := sort.Search(len(t.files), func(i int) bool { return t.starts[i]+t.entries[t.files[i]].size > off })
	for ; n < len(b); i++ {
		if i == len(t.files) {
			return n, io.EOF
		}
		f, err := t.handle(t.files[i])
		if err != nil {
			return n, err
		}
		in := off + int64(n) - t.starts[i]
		part := b[n:min(int64(len(b)), int64(n)+t.entries[t.files[i]].size-in)]
		k, err := do(f, part, in)
		n += k
		if err != nil && (k < len(part) || !errors.Is(err, io.EOF)) {
			if errors.Is(err, io.EOF) { // the file is shorter than the manifest says
				err = fmt.Errorf("%s: %w", t.name(&t.entries[t.files[i]]), ErrChanged)
			}
			return n, err
		}
	}
	return n, nil
}

// handle opens the file of entry i, or finds it open. mu is held.
func (t *tree) handle(i int) (*os.File, error) {
	t.tick++
	if f := t.open[i]; f != nil {
		f.used = t.tick
		return f.File, nil
	}
	if len(t.open) >= t.most {
		if err := t.shut(); err != nil {
			return nil, err
		}
	}
	f, err := t.root.OpenFile(t.name(&t.entries[i]), t.flag, 0)
	if err != nil {
		return nil, err
	}
	t.open[i] = &openFile{f, t.tick}
	return f, nil
}

// shut closes the half of the open files that were used longest ago: so it seldom looks for them. mu is held.
func (t *tree) shut() error {
	old := make([]int, 0, len(t.open))
	for i := range t.open {
		old = append(old, i)
	}
	sort.Slice(old, func(a, b int) bool { return t.open[old[a]].used < t.open[old[b]].used })
	var first error
	for _, i := range old[:(len(old)+1)/2] {
		if err := t.open[i].Close(); err != nil && first == nil {
			first = err
		}
		delete(t.open, i)
	}
	return first
}

// close closes what is open.
func (t *tree) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for i, f := range t.open {
		errs = append(errs, f.Close())
		delete(t.open, i)
	}
	return errors.Join(errs...)
}

// make makes the directories and the files, with their sizes and nothing in them, as far as they are not there. fresh: none may be there yet.
func (t *tree) make(fresh bool) error {
	for i := range t.entries {
		e := &t.entries[i]
		var err error
		if !fresh { // a former process may have been about to make it visible
			err = ignore(t.root.Chmod(t.name(e), 0o700), fs.ErrNotExist)
		}
		switch {
		case err != nil:
		case !e.dir:
			err = t.makeFile(e, fresh)
		case fresh:
			err = t.root.Mkdir(t.name(e), 0o700)
		default:
			err = ignore(t.root.Mkdir(t.name(e), 0o700), fs.ErrExist)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ignore returns err unless it is what does not matter.
func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

func (t *tree) makeFile(e *entry, fresh bool) error {
	flag := os.O_RDWR | os.O_CREATE
	if fresh {
		flag |= os.O_EXCL // two names that are one to this file system are not one file
	}
	f, err := t.root.OpenFile(t.name(e), flag, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", t.name(e), ErrInvalid)
	}
	if err == nil && st.Size() != e.size {
		err = f.Truncate(e.size)
	}
	return errors.Join(err, f.Close())
}

// seal gives files and directories their modes and times and, with sync, brings all to the disk. If the object is a directory, that one gets its own by
// sealTop: it must stay writable until it was renamed.
func (t *tree) seal(sync bool) error {
	if err := t.close(); err != nil {
		return err
	}
	for i := len(t.entries) - 1; i >= 0; i-- { // what is in a directory before the directory
		e := &t.entries[i]
		name := t.name(e)
		if sync {
			if err := syncFile(t.root, name); err != nil {
				return err
			}
		}
		if i == 0 && e.dir {
			continue
		}
		if err := sealEntry(t.root, name, e); err != nil {
			return err
		}
	}
	return nil
}

func sealTop(root *os.Root, name string, e *entry) error {
	if !e.dir {
		return nil
	}
	return sealEntry(root, name, e)
}

func sealEntry(root *os.Root, name string, e *entry) error {
	if !e.time.IsZero() {
		if err := root.Chtimes(name, e.time, e.time); err != nil {
			return err
		}
	}
	return root.Chmod(name, e.mode)
}

// syncFile brings a file or directory to the disk, where the system can do that.
func syncFile(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	if err = f.Sync(); errors.Is(err, errors.ErrUnsupported) || os.IsPermission(err) { // directories, on some systems
		err = nil
	}
	return errors.Join(err, f.Close())
}

// unchanged returns ErrChanged for the first file that is not what the manifest says, by size and time.
func (t *tree) unchanged() error {
	for i := range t.entries {
		e := &t.entries[i]
		st, err := t.root.Lstat(t.name(e))
		if err != nil {
			return err
		}
		if st.IsDir() != e.dir || !e.dir && (st.Size() != e.size || !st.Mode().IsRegular() || !e.time.IsZero() && !st.ModTime().Equal(e.time)) {
			return fmt.Errorf("%s: %w", t.name(e), ErrChanged)
		}
	}
	return nil
}
