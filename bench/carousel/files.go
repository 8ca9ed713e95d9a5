package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// The kinds of objects.
const (
	random = "random"
	zeros  = "zeros"
	tree   = "tree"
)

// treeFiles is how many files a tree has, in directories of a hundred.
const treeFiles = 10_000

// sums are the SHA-256 of all files below a path, by their names relative to it.
type sums map[string]string

// makeObject makes the files of an object at path.
func makeObject(path, kind string, size int64, seed uint64) error {
	var key [32]byte
	key[0] = byte(seed)
	bytes := rand.NewChaCha8(key)
	switch kind {
	case random:
		return writeFile(path, bytes, size)
	case zeros:
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(size)
	case tree:
		rng := rand.New(rand.NewPCG(seed, 0x7ee))
		left := size
		for i := range treeFiles {
			dir := filepath.Join(path, fmt.Sprintf("%03d", i/100))
			if i%100 == 0 {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
			}
			// Sizes from nothing to twice the mean; the last has the rest.
			n := min(left, rng.Int64N(2*size/treeFiles+1))
			if i == treeFiles-1 {
				n = left
			}
			left -= n
			if err := writeFile(filepath.Join(dir, strconv.Itoa(i)), bytes, n); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("no object is %q", kind)
}

func writeFile(path string, r io.Reader, n int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, r, n); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// hashAll returns the sums of a file, or of all files of a tree.
func hashAll(path string) (sums, error) {
	all := sums{}
	b := make([]byte, 1<<20)
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, b); err != nil {
			return err
		}
		all[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return all, err
}

// verify fails if what is at path is not what has these sums.
func (s sums) verify(path string) error {
	got, err := hashAll(path)
	if err != nil {
		return err
	}
	for name, sum := range s {
		if got[name] != sum {
			return fmt.Errorf("%s: %q has the SHA-256 %q and not %s", path, name, got[name], sum)
		}
	}
	if !maps.Equal(got, s) {
		return fmt.Errorf("%s has %d files and not %d", path, len(got), len(s))
	}
	return nil
}
