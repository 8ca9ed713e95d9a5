package carousel

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/rmcast/rmcast/fec"
)

var (
	// ErrInvalid is what a root or a manifest is refused for that contradicts itself or names what it must not.
	ErrInvalid = errors.New("carousel: invalid")
	// ErrLimit is what an object is refused for that is larger than InboxConfig allows.
	ErrLimit = errors.New("carousel: beyond a limit")
)

const (
	maxName        = 255       // bytes of a path element
	maxPath        = 4096      // bytes of a path
	maxSymbolBytes = 65472     // the greatest multiple of fec.BulkMultiple that two bytes hold
	maxBlocks      = 1<<31 - 1 // what the type int holds everywhere
	stagePrefix    = ".rmcast-"
)

// limits bound what an object may be.
type limits struct {
	bytes      int64
	manifest   int // bytes
	files      int // and directories
	blocks     int
	symbols    int64
	blockBytes int64
}

// checkObject checks what decides about the size of tables. It divides before it multiplies: bytes may be anything.
func (l *limits) checkObject(bytes int64, c code) error {
	if c.symbolBytes < fec.BulkMultiple || c.symbolBytes > maxSymbolBytes || c.symbolBytes%fec.BulkMultiple != 0 {
		return fmt.Errorf("%w: symbols of %d bytes", ErrInvalid, c.symbolBytes)
	}
	if c.blockSymbols < 1 || c.blockSymbols > fec.MaxBulk {
		return fmt.Errorf("%w: blocks of %d symbols", ErrInvalid, c.blockSymbols)
	}
	if bytes < 0 {
		return fmt.Errorf("%w: %d bytes", ErrInvalid, bytes)
	}
	if bytes > l.bytes {
		return fmt.Errorf("%w: %d bytes, want at most %d", ErrLimit, bytes, l.bytes)
	}
	symbols := ceilDiv(bytes, int64(c.symbolBytes))
	if symbols > l.symbols {
		return fmt.Errorf("%w: %d symbols, want at most %d", ErrLimit, symbols, l.symbols)
	}
	if most := min(int64(c.blockSymbols), symbols) * int64(c.symbolBytes); most > l.blockBytes {
		return fmt.Errorf("%w: blocks of %d bytes, want at most %d", ErrLimit, most, l.blockBytes)
	}
	if blocks := ceilDiv(symbols, int64(c.blockSymbols)); blocks > int64(l.blocks) {
		return fmt.Errorf("%w: %d blocks, want at most %d", ErrLimit, blocks, l.blocks)
	}
	return nil
}

// checkManifest checks the size of a manifest, which is one block.
func (l *limits) checkManifest(bytes, symbolBytes int) error {
	if bytes < 1 {
		return fmt.Errorf("%w: a manifest of %d bytes", ErrInvalid, bytes)
	}
	if most := min(l.manifest, fec.MaxBulk*symbolBytes); bytes > most {
		return fmt.Errorf("%w: a manifest of %d bytes, want at most %d", ErrLimit, bytes, most)
	}
	return nil
}

// validName reports whether an object may have this name in a directory of the receiver.
func validName(name string) bool {
	return name != "." && !strings.Contains(name, "/") && !strings.HasPrefix(name, stagePrefix) && validPath(name)
}

// validPath reports whether a file may have this path in an object: one of slashes that names something beneath, here and on this system.
func validPath(p string) bool {
	if len(p) > maxPath || !fs.ValidPath(p) || !utf8.ValidString(p) || strings.ContainsRune(p, 0) {
		return false
	}
	for e := range strings.SplitSeq(p, "/") {
		if len(e) > maxName {
			return false
		}
	}
	if filepath.Separator != '/' && strings.ContainsAny(p, `\:`) {
		return false
	}
	return filepath.IsLocal(filepath.FromSlash(p))
}
