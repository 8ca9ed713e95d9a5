//go:build interop && linux

package interop_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

// requiredEnv is an environment variable: if it is not empty, what would skip a test fails it. For continuous integration.
const requiredEnv = "INTEROP_REQUIRED"

func TestMain(m *testing.M) {
	netem.EnterUser()
	code := m.Run()
	if peers.dir != "" {
		os.RemoveAll(peers.dir)
	}
	os.Exit(code)
}

// skip skips the test, or fails it when it is required.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(requiredEnv) != "" {
		t.Fatalf("%s is set, but %s", requiredEnv, fmt.Sprintf(format, args...))
	}
	t.Skipf("skipped: "+format, args...)
}

func newLab(t *testing.T, cfg netem.LabConfig) *netem.Lab {
	t.Helper()
	if err := netem.Available(); err != nil {
		skip(t, "%v", err)
	}
	l, err := netem.NewLab(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
