package planted

import (
	"bytes"
	"context"
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bugs are the diffs there must be, by the names of their files.
var bugs = []string{
	"01-skip-one-nak",
	"02-trail-off-by-one",
	"03-forgotten-retry",
	"04-wrong-wrap-compare",
	"05-duplicate-delivery",
	"06-lost-fragment",
	"07-limiter-without-ceiling",
	"08-smaller-request-suppresses",
	"09-window-jump-accepted",
	"10-stale-timer",
	"11-counts-are-added",
	"12-parity-index-again",
	"13-held-for-ever",
}

// root is the module's directory, seen from here and absolute.
func root(t *testing.T) string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func readBug(t *testing.T, name string) *bug {
	t.Helper()
	text, err := os.ReadFile(name + ".diff")
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s.diff: %v", name, err)
	}
	return b
}

// plant writes what b makes of its files to a temporary directory, and beside them the overlay that puts them into the tree, whose
// name it returns.
func plant(t *testing.T, b *bug) (overlay string) {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, c := range b.files {
		original := filepath.Join(root(t), filepath.FromSlash(c.path))
		src, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		made, err := c.apply(string(src))
		if err != nil {
			t.Fatalf("does not apply any more: %v", err)
		}
		formatted, err := format.Source([]byte(made))
		if err != nil {
			t.Fatalf("%s with the bug in it: %v", c.path, err)
		}
		if plain, err := format.Source(src); err == nil && bytes.Equal(plain, src) && string(formatted) != made {
			t.Errorf("%s with the bug in it: gofmt would change it", c.path)
		}
		copied := filepath.Join(dir, strings.ReplaceAll(c.path, "/", "_"))
		if err := os.WriteFile(copied, []byte(made), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[original] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// goTool returns a command of the go tool that runs in dir.
func goTool(ctx context.Context, t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go tool: ", err)
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	return cmd
}

// TestDiffsApply: every diff fits the tree, and what it makes compiles. That it is found, the test with the tag planted shows.
func TestDiffsApply(t *testing.T) {
	files, err := filepath.Glob("*.diff")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range bugs {
		want = append(want, name+".diff")
	}
	if !slices.Equal(files, want) {
		t.Errorf("there are the diffs %q, want %q", files, want)
	}
	for _, name := range bugs {
		t.Run(name, func(t *testing.T) {
			b := readBug(t, name)
			overlay := plant(t, b)
			if testing.Short() {
				return
			}
			args := []string{"build", "-overlay", overlay}
			for _, c := range b.files {
				args = append(args, "./"+filepath.ToSlash(filepath.Dir(c.path)))
			}
			if out, err := goTool(t.Context(), t, root(t), args...).CombinedOutput(); err != nil {
				t.Errorf("does not compile with the bug in it: %v\n%s", err, bytes.TrimSpace(out))
			}
		})
	}
}
