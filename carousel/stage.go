package carousel

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Names in a stage directory.
const (
	stageManifest = "manifest"
	stageNew      = "manifest.new"
	stageData     = "data"
	stageParity   = "parity"
	stageMarks    = "marks"
)

// stage is where an object grows on disk: a directory beside its target. What it holds outlives the process; see the package comment for its files.
type stage struct {
	id   ID
	part partition
	data *tree

	root          *os.Root // of the stage
	parity, marks *os.File
	padded        []byte // a symbol
	pending       *pending
}

func stageName(id ID) string { return stagePrefix + id.String() }

// newStage makes an object's stage in dir. If there is one already it is opened instead.
func newStage(dir *os.Root, id ID, m *manifest, manifestBytes []byte, mostOpen int) (*stage, error) {
	name := stageName(id)
	err := dir.Mkdir(name, 0o700)
	if fresh := err == nil; fresh || errors.Is(err, fs.ErrExist) {
		var s *stage
		if s, err = openStage(dir, id, m, mostOpen); err != nil {
			return nil, err
		}
		if err = s.prepare(manifestBytes, fresh); err == nil {
			return s, nil
		}
		err = errors.Join(err, s.close())
		if fresh { // it has nothing of worth
			err = errors.Join(err, dir.RemoveAll(name))
		}
	}
	return nil, err
}

func openStage(dir *os.Root, id ID, m *manifest, mostOpen int) (*stage, error) {
	root, err := dir.OpenRoot(stageName(id))
	if err != nil {
		return nil, err
	}
	part := m.partition()
	return &stage{
		id: id, part: part, root: root, padded: make([]byte, part.symbolBytes), pending: newPending(&part),
		data: newTree(root, stageData, m.entries, os.O_RDWR, mostOpen),
	}, nil
}

// prepare makes what is not there.
func (s *stage) prepare(manifestBytes []byte, fresh bool) (err error) {
	if err = s.root.WriteFile(stageNew, manifestBytes, 0o600); err != nil {
		return err
	}
	if err = s.root.Rename(stageNew, stageManifest); err != nil {
		return err
	}
	if err = s.data.make(fresh); err != nil {
		return err
	}
	if s.parity, err = s.root.OpenFile(stageParity, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	s.marks, err = s.root.OpenFile(stageMarks, os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// storedManifest returns the manifest of a stage that a former process left, if it is whole.
func storedManifest(dir *os.Root, name string, lim *limits) (m *manifest, b []byte, sum [sha256.Size]byte, err error) {
	f, err := dir.Open(name + string(os.PathSeparator) + stageManifest)
	if err != nil {
		return nil, nil, sum, err
	}
	defer f.Close()
	b, err = io.ReadAll(io.LimitReader(f, int64(lim.manifest)+1))
	if err != nil {
		return nil, nil, sum, err
	}
	if sum = sha256.Sum256(b); stageName(ID(sum[:8])) != name || len(b) > lim.manifest {
		return nil, nil, sum, fmt.Errorf("%w: %s does not hold its own manifest", ErrInvalid, name)
	}
	m, err = parseManifest(b, lim)
	return m, b, sum, err
}

// close writes what is pending and closes the files; the stage stays on disk.
func (s *stage) close() error {
	var errs []error
	if s.parity != nil && s.marks != nil {
		errs = append(errs, s.flushAll())
	}
	errs = append(errs, s.data.close(), s.root.Close())
	for _, f := range []*os.File{s.parity, s.marks} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// writeData writes n data symbols of a block, from one on.
func (s *stage) writeData(block, symbol, n int, b []byte) error {
	off, length := s.part.span(block, symbol, n)
	_, err := s.data.WriteAt(b[:length], off)
	return err
}

// writeMarks writes the marks of all data symbols of a block.
func (s *stage) writeMarks(block int, marks []byte) error {
	_, err := s.marks.WriteAt(marks, s.marksAt(block))
	return err
}

// forget takes the marks of a whole block away.
func (s *stage) forget(block int) error {
	_, err := s.marks.WriteAt(make([]byte, 8*s.part.k(block)), s.marksAt(block))
	return err
}

func (s *stage) parityAt(block, symbol int) int64 {
	return (s.part.first(block) + int64(symbol-s.part.k(block))) * int64(s.part.symbolBytes)
}

func (s *stage) marksAt(block int) int64 { return 8 * s.part.first(block) }

// readData reads n data symbols of a block, from one on, into b, zeros after the object's end.
func (s *stage) readData(block, symbol, n int, b []byte) error {
	off, length := s.part.span(block, symbol, n)
	b = b[:n*s.part.symbolBytes]
	if _, err := s.data.ReadAt(b[:length], off); err != nil {
		return err
	}
	clear(b[length:])
	return nil
}

// readParity reads a parity symbol.
func (s *stage) readParity(block, symbol int, b []byte) error {
	return readSparse(s.parity, b[:s.part.symbolBytes], s.parityAt(block, symbol))
}

// readSparse reads all of b; what is beyond the end of the file is a hole like any other.
func readSparse(f *os.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		return nil
	}
	return err
}

// held returns which symbols of a block are on disk: those whose mark is the checksum of what is there. It reads a block's marks, and each marked symbol.
func (s *stage) held(block int) (have bitmap, n int, err error) {
	k := s.part.k(block)
	marks := make([]byte, 8*k)
	if err := readSparse(s.marks, marks, s.marksAt(block)); err != nil {
		return nil, 0, err
	}
	for i := range 2 * k {
		want := binary.BigEndian.Uint32(marks[4*i:])
		if want == 0 {
			continue
		}
		if i < k {
			err = s.readData(block, i, 1, s.padded)
		} else {
			err = s.readParity(block, i, s.padded)
		}
		if err != nil {
			return nil, 0, err
		}
		if mark(s.id, block, i, s.padded) != want {
			continue
		}
		if have == nil {
			have = newBitmap(2 * k)
		}
		have.set(i)
		n++
	}
	return have, n, nil
}

// finish makes the object visible as name in dir, and removes the stage. With sync all is on the disk before it is visible. Only with replace
// may there be a file of that name.
func (s *stage) finish(dir *os.Root, name string, replace, sync bool) error {
	if _, err := dir.Lstat(name); err == nil && !replace {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	if err := s.data.seal(sync); err != nil {
		return err
	}
	stage := stageName(s.id)
	if err := dir.Rename(stage+string(os.PathSeparator)+stageData, name); err != nil {
		return err
	}
	if err := sealTop(dir, name, &s.data.entries[0]); err != nil {
		return err
	}
	if sync {
		if err := syncFile(dir, "."); err != nil {
			return err
		}
	}
	return errors.Join(s.close(), dir.RemoveAll(stage))
}

// zero reports whether all of b is zero.
func zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
