package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// entry is what a reader of an archive finds.
type entry struct {
	name               string
	mode, links        int
	devMajor, devMinor int
	data               string
}

// readArchive reads an archive as the kernel's documentation describes the format (initramfs buffer format, newc).
func readArchive(b []byte) (entries []entry, err error) {
	for at := 0; ; {
		if len(b)-at < 110 || string(b[at:at+6]) != "070701" {
			return entries, fmt.Errorf("no header at %d", at)
		}
		var f [13]int
		for i := range f {
			n, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				return entries, err
			}
			f[i] = int(n)
		}
		size, nameSize := f[6], f[11]
		name := string(b[at+110 : at+110+nameSize])
		if !strings.HasSuffix(name, "\x00") {
			return entries, fmt.Errorf("the name %q has no end", name)
		}
		data := (at + 110 + nameSize + 3) / 4 * 4
		e := entry{name[:nameSize-1], f[1], f[4], f[9], f[10], string(b[data : data+size])}
		if e.name == "TRAILER!!!" {
			return entries, nil
		}
		entries = append(entries, e)
		at = (data + size + 3) / 4 * 4
	}
}

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.device("dev/console", 0o600, 5, 1)
	a.file("init", 0o555, []byte("abcde"))
	a.file("modules/a/x.ko", 0o444, nil)
	a.dir("modules")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	got, err := readArchive(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"dev", 0o040755, 2, 0, 0, ""}, {"dev/console", 0o020600, 1, 5, 1, ""}, {"init", 0o100555, 1, 0, 0, "abcde"},
		{"modules", 0o040755, 2, 0, 0, ""}, {"modules/a", 0o040755, 2, 0, 0, ""}, {"modules/a/x.ko", 0o100444, 1, 0, 0, ""},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestArchiveHeader compares the first bytes with those that GNU cpio writes for the same entry, but for the inode.
func TestArchiveHeader(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("job", 0o644, []byte("hi"))
	a.close()
	want := "070701" + "00000001" + "000081a4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000002" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "job\x00" + "\x00\x00" + "hi\x00\x00" + "070701"
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got  %q\nwant %q", got[:min(len(got), len(want))], want)
	}
}

func TestArchiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		a := newArchive(&b)
		want := map[string]string{}
		for range rapid.IntRange(0, 20).Draw(t, "files") {
			name := rapid.StringMatching(`[a-z]{1,9}(/[a-z]{1,9}){0,3}`).Draw(t, "name") + ".f"
			if _, have := want[name]; have {
				continue
			}
			data := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "data")
			a.file(name, 0o644, data)
			want[name] = string(data)
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		entries, err := readArchive(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{".": true}
		for _, e := range entries {
			parent := "."
			if i := strings.LastIndexByte(e.name, '/'); i >= 0 {
				parent = e.name[:i]
			}
			if !seen[parent] || seen[e.name] {
				t.Fatalf("%s comes before its directory, or twice", e.name)
			}
			seen[e.name] = true
			if e.mode&typeMask == typeFile {
				if data, ok := want[e.name]; !ok || data != e.data {
					t.Fatalf("%s has %q, want %q", e.name, e.data, data)
				}
				delete(want, e.name)
			}
		}
		if len(want) > 0 {
			t.Fatalf("missing: %v", want)
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestArchiveErrors(t *testing.T) {
	for _, name := range []string{"/init", "../x", "a/../b", ".", "", "a//b", "a/"} {
		a := newArchive(&bytes.Buffer{})
		a.file(name, 0o644, nil)
		if a.close() == nil {
			t.Errorf("%q was taken", name)
		}
	}
	a := newArchive(brokenWriter{})
	a.file("init", 0o644, nil)
	if err := a.close(); err == nil || err.Error() != "full" {
		t.Errorf("a write failed, and close says %v", err)
	}
}
