package carousel

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// manifest says what an object is. Its bytes, whose hash names the object, are (uvarint and varint as in encoding/binary):
//
//	"rmcast manifest 1\n"
//	uvarint symbolBytes, blockSymbols
//	string  name                               uvarint length, bytes
//	uvarint number of entries, then of each:
//	  byte    1: directory, 2: has a time
//	  uvarint permission bits
//	  varint  nanoseconds since 1970           if it has a time
//	  uvarint size                             if it is a file
//	  string  path
//	32 bytes for each block: its SHA-256       there are as many as the sizes say
type manifest struct {
	code
	name    string
	entries []entry // the object itself, ".", and if it is a directory what is in it, in order of their paths
	hashes  [][sha256.Size]byte
	bytes   int64 // of all files
}

// entry is a file or a directory.
type entry struct {
	path string // of slashes, beneath the object
	dir  bool
	mode fs.FileMode // permission bits
	time time.Time   // zero: not said
	size int64       // of a file
}

const (
	manifestMagic = "rmcast manifest 1\n"
	entryDir      = 1
	entryTime     = 2
	entryLeast    = 4 // bytes of an entry at least
)

// append appends the manifest's bytes.
func (m *manifest) append(b []byte) []byte {
	b = append(b, manifestMagic...)
	b = binary.AppendUvarint(b, uint64(m.symbolBytes))
	b = binary.AppendUvarint(b, uint64(m.blockSymbols))
	b = appendString(b, m.name)
	b = binary.AppendUvarint(b, uint64(len(m.entries)))
	for _, e := range m.entries {
		flags := byte(0)
		if e.dir {
			flags |= entryDir
		}
		if !e.time.IsZero() {
			flags |= entryTime
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(e.mode))
		if !e.time.IsZero() {
			b = binary.AppendVarint(b, e.time.UnixNano())
		}
		if !e.dir {
			b = binary.AppendUvarint(b, uint64(e.size))
		}
		b = appendString(b, e.path)
	}
	for i := range m.hashes {
		b = append(b, m.hashes[i][:]...)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// partition returns how the object is cut up.
func (m *manifest) partition() partition {
	return newPartition(m.bytes, m.symbolBytes, m.blockSymbols)
}

// parseManifest reads a manifest that is within the limits. The result has no view of b. It allocates a few times the length of b at most.
func parseManifest(b []byte, lim *limits) (*manifest, error) {
	p := parser{b: b}
	if string(p.take(len(manifestMagic))) != manifestMagic {
		return nil, fmt.Errorf("%w: no manifest", ErrInvalid)
	}
	m := &manifest{}
	m.symbolBytes = p.number(maxSymbolBytes)
	m.blockSymbols = p.number(1 << 16)
	if m.name = p.text(); !p.bad && !validName(m.name) {
		return nil, fmt.Errorf("%w: name %q", ErrInvalid, m.name)
	}
	n := p.number(1<<31 - 1)
	if n > lim.files {
		return nil, fmt.Errorf("%w: %d files and directories, want at most %d", ErrLimit, n, lim.files)
	}
	if p.bad || n < 1 || n > len(p.b)/entryLeast {
		return nil, fmt.Errorf("%w: manifest is cut off", ErrInvalid)
	}
	m.entries = make([]entry, n)
	for i := range m.entries {
		if err := m.parseEntry(&p, i, lim); err != nil {
			return nil, err
		}
	}
	if err := lim.checkObject(m.bytes, m.code); err != nil {
		return nil, err
	}
	blocks := m.partition().blocks
	if len(p.b)%sha256.Size != 0 || len(p.b)/sha256.Size != blocks {
		return nil, fmt.Errorf("%w: %d bytes of hashes for %d blocks", ErrInvalid, len(p.b), blocks)
	}
	m.hashes = make([][sha256.Size]byte, blocks)
	for i := range m.hashes {
		copy(m.hashes[i][:], p.b[i*sha256.Size:])
	}
	return m, nil
}

// parseEntry reads entry i, which comes after those before it.
func (m *manifest) parseEntry(p *parser, i int, lim *limits) error {
	e := &m.entries[i]
	flags := byte(0)
	if f := p.take(1); f != nil {
		flags = f[0]
	}
	e.dir = flags&entryDir != 0
	mode := p.number(1<<31 - 1)
	if flags&entryTime != 0 {
		e.time = time.Unix(0, p.signed())
	}
	if !e.dir {
		e.size = int64(p.large())
	}
	e.path = p.text()
	e.mode = fs.FileMode(mode)
	switch {
	case p.bad:
		return fmt.Errorf("%w: manifest is cut off", ErrInvalid)
	case flags&^(entryDir|entryTime) != 0:
		return fmt.Errorf("%w: %q is neither file nor directory", ErrInvalid, e.path)
	case e.mode&^fs.ModePerm != 0:
		return fmt.Errorf("%w: mode %#o of %q", ErrInvalid, mode, e.path)
	case !validPath(e.path):
		return fmt.Errorf("%w: path %q", ErrInvalid, e.path)
	case (e.path == ".") != (i == 0):
		return fmt.Errorf("%w: entry %d is %q", ErrInvalid, i, e.path)
	case e.size < 0 || e.size > lim.bytes-m.bytes:
		return fmt.Errorf("%w: %q of %d bytes, want at most %d", ErrLimit, e.path, uint64(e.size), lim.bytes-m.bytes)
	case i > 0 && !m.follows(i):
		return fmt.Errorf("%w: %q has no place in its tree", ErrInvalid, e.path)
	}
	m.bytes += e.size
	return nil
}

// follows reports whether entry i comes after the one before it, in order of path elements, and its directory is there before it.
//
// In that order what is in a directory follows it at once, so that the directories an entry may be in are those that the entry before it is in, and
// that entry itself.
func (m *manifest) follows(i int) bool {
	before, e := &m.entries[i-1], &m.entries[i]
	if i == 1 {
		return before.dir && !strings.Contains(e.path, "/")
	}
	if comparePaths(before.path, e.path) >= 0 {
		return false
	}
	parent, in := "", strings.LastIndexByte(e.path, '/')
	if in < 0 {
		return true // in the object itself, which the second entry has proved to be a directory
	}
	parent = e.path[:in]
	return parent == before.path && before.dir || strings.HasPrefix(before.path, parent+"/")
}

// comparePaths orders paths element by element, so that what is in a directory comes right after it.
func comparePaths(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			switch {
			case a[i] == '/':
				return -1
			case b[i] == '/':
				return 1
			}
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// parser takes values off the front of b. After the first that is not there it is bad, and gives zeros.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n int) []byte {
	if p.bad || n > len(p.b) {
		p.bad = true
		return nil
	}
	t := p.b[:n]
	p.b = p.b[n:]
	return t
}

func (p *parser) large() uint64 {
	v, n := binary.Uvarint(p.b)
	if p.bad = p.bad || n <= 0; p.bad {
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) signed() int64 {
	v, n := binary.Varint(p.b)
	if p.bad = p.bad || n <= 0; p.bad {
		return 0
	}
	p.b = p.b[n:]
	return v
}

// number takes one that is at most most, which fits an int everywhere.
func (p *parser) number(most int) int {
	v := p.large()
	if v > uint64(most) {
		p.bad = true
		return 0
	}
	return int(v)
}

func (p *parser) text() string { return string(p.take(p.number(maxPath))) }
