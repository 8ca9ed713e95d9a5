package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil || !slices.Equal(o.tests, defaultTests) || !o.bench || o.run != "Kernel" || len(o.benchArgs) == 0 {
		t.Errorf("without flags: %+v, %v", o, err)
	}
	o, err = parse([]string{"-test", "./a,./b", "-run", "X", "--", "-test.count=2"}, io.Discard)
	if err != nil || !slices.Equal(o.tests, []string{"./a", "./b"}) || o.bench || !slices.Equal(o.testArgs, []string{"-test.count=2"}) {
		t.Errorf("tests: %+v, %v", o, err)
	}
	o, err = parse([]string{"-bench", "-timeout", "5m", "--", "-r", "2"}, io.Discard)
	if err != nil || o.tests != nil || !slices.Equal(o.benchArgs, []string{"-r", "2"}) || o.timeout != 5*time.Minute {
		t.Errorf("bench: %+v, %v", o, err)
	}
	for _, args := range [][]string{
		{"x"}, {"-accel", "xen"}, {"-cpus", "0"}, {"-memory", "1"}, {"-timeout", "0"}, {"-test", ".", "-bench", "--", "-r"}, {"-nonsense"},
	} {
		if o, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken: %+v", args, o)
		}
	}
}

func TestParseApt(t *testing.T) {
	const depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n  Suggests: other\n"
	if got := parseDependency(depends); got != "linux-image-6.1.0-56-cloud-amd64" {
		t.Errorf("package %q", got)
	}
	if got := parseDependency("linux-image-cloud-amd64\n"); got != "" {
		t.Errorf("package %q of none", got)
	}
	const uris = "'http://deb.debian.org/pool/linux-image-6.1.0-56_6.1.192-2_amd64.deb' linux-image-6.1.0-56_6.1.192-2_amd64.deb 26713492 SHA256:e7d0\n"
	if got := parseURI(uris); got != "linux-image-6.1.0-56_6.1.192-2_amd64.deb" {
		t.Errorf("file %q", got)
	}
	for _, text := range []string{"", "E: Unable to locate package x\n", "'http://x/y.deb' ../../y 1 2\n"} {
		if got := parseURI(text); got != "" {
			t.Errorf("file %q in %q", got, text)
		}
	}
}

func TestOpenKernel(t *testing.T) {
	cache := t.TempDir()
	add := func(dir string, names ...string) {
		for _, name := range names {
			name = filepath.Join(cache, dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok := cachedKernel(cache); ok {
		t.Error("found a kernel in an empty directory")
	}
	add("linux-image-6.1_2_amd64", "boot/vmlinuz-6.1", "lib/modules/6.1/modules.builtin")
	add("linux-image-7.0_1_amd64", "boot/vmlinuz-7.0", "usr/lib/modules/7.0/modules.builtin")
	add("linux-image-8.0_1_amd64", "boot/vmlinuz-8.0") // no modules
	add("part-1", "boot/vmlinuz-9", "lib/modules/9/modules.builtin")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(cache, "linux-image-6.1_2_amd64"), old, old); err != nil {
		t.Fatal(err)
	}
	k, ok := cachedKernel(cache)
	if !ok || filepath.Base(k.image) != "vmlinuz-7.0" || filepath.Base(k.modules) != "7.0" {
		t.Errorf("found %+v, %v", k, ok)
	}
	// A package that is unpacked is taken from there: its file may be gone.
	k, err := findKernel(cache, "/nowhere/linux-image-6.1_2_amd64.deb")
	if err != nil || !strings.HasSuffix(k.image, "linux-image-6.1_2_amd64/boot/vmlinuz-6.1") {
		t.Errorf("found %+v, %v", k, err)
	}
	if _, err := findKernel(cache, "/nowhere/linux-image-9_1_amd64.deb"); err == nil {
		t.Error("a package that is not there was unpacked")
	}
}

func TestTail(t *testing.T) {
	var b tail
	if b.String() != "" {
		t.Errorf("of nothing: %q", b.String())
	}
	for range 1000 {
		b.Write([]byte("0123456789"))
	}
	b.Write([]byte("end\n"))
	if s := b.String(); len(s) > tailBytes+1 || !strings.HasSuffix(s, "789end") {
		t.Errorf("%d bytes, the end is %q", len(s), s[max(0, len(s)-10):])
	}
}
