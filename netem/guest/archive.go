package main

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
)

// File types of an archive's entries, as in stat.
const (
	typeMask = 0o170000
	typeDir  = 0o040000
	typeFile = 0o100000
	typeChar = 0o020000
)

// archive writes a cpio archive in the newc format, which Linux unpacks into its first file system. Directories above an entry are
// made as they are needed. The same entries give the same bytes.
type archive struct {
	w    io.Writer
	ino  int
	dirs map[string]bool
	err  error // of the first write that failed
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{".": true}} }

// file adds a regular file. Names are relative to the root and have no dots.
func (a *archive) file(name string, mode int, data []byte) { a.entry(name, typeFile|mode, 0, 0, data) }

// device adds a character device.
func (a *archive) device(name string, mode, major, minor int) {
	a.entry(name, typeChar|mode, major, minor, nil)
}

// dir adds a directory, if it is not there yet.
func (a *archive) dir(name string) {
	if a.dirs[name] {
		return
	}
	a.dirs[name] = true
	a.entry(name, typeDir|0o755, 0, 0, nil)
}

// close ends the archive and returns the first error.
func (a *archive) close() error {
	a.header("TRAILER!!!", 0, 0, 0, 0, 0)
	return a.err
}

func (a *archive) entry(name string, mode, major, minor int, data []byte) {
	if clean := path.Clean(name); clean != name || path.IsAbs(name) || strings.HasPrefix(name, "..") || name == "." {
		a.fail(fmt.Errorf("%q is no name for an archive's entry", name))
		return
	}
	if int64(len(data)) > 1<<32-1 {
		a.fail(fmt.Errorf("%s: %d bytes are too many for an archive", name, len(data)))
		return
	}
	a.dir(path.Dir(name))
	a.ino++
	a.header(name, a.ino, mode, len(data), major, minor)
	a.write(data)
	a.pad(len(data))
}

// header writes the fields in their order: magic, inode, mode, uid, gid, links, time, size, the device that holds the file, the
// device that it is, length of the name with its NUL, and a checksum that this format leaves 0.
func (a *archive) header(name string, ino, mode, size, major, minor int) {
	links := 1
	if mode&typeMask == typeDir {
		links = 2
	}
	h := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		ino, mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	a.write(h)
	a.pad(len(h))
}

// pad fills up to a multiple of four, as everything begins at one.
func (a *archive) pad(n int) { a.write(make([]byte, -n&3)) }

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = io.Copy(a.w, bytes.NewReader(b))
	}
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}
