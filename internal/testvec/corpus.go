package testvec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CorpusEntry returns a file of a fuzz target's corpus: what "go test" reads from testdata/fuzz. Arguments are those of the
// target, each a []byte, string, byte, uint16, uint32 or uint64.
func CorpusEntry(arguments ...any) []byte {
	b := []byte("go test fuzz v1\n")
	for _, a := range arguments {
		switch a := a.(type) {
		case []byte:
			b = fmt.Appendf(b, "[]byte(%q)\n", a)
		case string:
			b = fmt.Appendf(b, "string(%q)\n", a)
		case byte:
			b = fmt.Appendf(b, "byte('\\x%02x')\n", a)
		case uint16, uint32, uint64:
			b = fmt.Appendf(b, "%T(%d)\n", a, a)
		default:
			panic(fmt.Sprintf("BUG: testvec: corpus of %T", a))
		}
	}
	return b
}

// Corpus checks that the directory testdata/fuzz/target holds entries, by file name, as they are now; with write it puts them
// there. Other files in the directory are left alone: they are what fuzzing found.
func Corpus(target string, entries map[string][]byte, write bool) error {
	dir := filepath.Join("testdata", "fuzz", target)
	if write {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var wrong []error
	for name, want := range entries {
		path := filepath.Join(dir, name)
		if write {
			wrong = append(wrong, os.WriteFile(path, want, 0o644))
			continue
		}
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("testvec: %s is not what the captures give now; run the test with -corpus", path)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}
