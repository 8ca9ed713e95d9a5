package rmcast_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A program in another module builds against the library with nothing but a replace line, and works: io.Copy from one
// source to two receivers on loopback.
func TestExternalModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program: not with -short")
	}
	gotool, err := exec.LookPath("go") // go test puts its own first in the path
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	put("go.mod", fmt.Appendf(nil, "module example.com/external\n\ngo 1.26.0\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, root))
	put("go.sum", get("go.sum"))
	put("main.go", get(filepath.Join("testdata", "external", "main.go")))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := func(name string, args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
		var errs bytes.Buffer // where the library warns, of small socket buffers for one
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s%s", name, args, err, errs.Bytes(), out)
		}
		return out
	}
	command(gotool, "vet", ".")
	program := filepath.Join(dir, "external.exe")
	command(gotool, "build", "-o", program, ".")
	// The port makes runs beside each other, as root and as an ordinary user, two different groups.
	out := command(program, fmt.Sprintf("239.192.77.%d:%d", 1+os.Getpid()%250, 20000+os.Getpid()%20000))
	if !bytes.HasPrefix(out, []byte("2 receivers have 8388608 bytes, SHA-256 ")) {
		t.Errorf("it says %q", out)
	}
}
