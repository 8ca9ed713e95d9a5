package carousel

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Objects of the size that the package is for take minutes and gigabytes of disk: set largeEnv to run these tests.
const largeEnv = "RMCAST_TEST_LARGE"

func large(t *testing.T) {
	t.Helper()
	if os.Getenv(largeEnv) == "" {
		t.Skipf("%s is not set", largeEnv)
	}
}

// zeros reads as zeros.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}

// A gigabyte in 24 blocks, random and zeros, for who joins at half a turn: exactly k symbols of each block, few packets more than k, and verified.
func TestLargeObject(t *testing.T) {
	large(t)
	const size = 1e9
	cfg := ObjectConfig{BlockSymbols: 30000, TempDir: t.TempDir()}
	for _, content := range []string{"random", "zeros"} {
		t.Run(content, func(t *testing.T) {
			begin := time.Now()
			var o *Object
			var err error
			if content == "random" {
				o, err = NewObject(context.Background(), "file", seeded{}, size, &cfg)
			} else {
				o, err = NewObject(context.Background(), "file", zeros{}, size, &cfg)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d symbols in %d blocks, prepared in %v", o.part.symbols, o.part.blocks, time.Since(begin))
			for _, loss := range []float64{0, 0.1, 0.4} {
				begin := time.Now()
				dir := t.TempDir()
				in := newInbox(t, dir, InboxConfig{})
				f := newFeed(t, SendConfig{Seed: 3, RootInterval: time.Second}, o)
				f.skip(int(o.Symbols() / 2))
				rng := newRand(5)
				got, sent := 0, 0
				for n := uint64(0); n < uint64(o.Symbols()); n = in.Stats().Stored {
					b := f.next()
					sent++
					if rng.Float64() < loss {
						continue
					}
					if kind(b[1]) == kindData {
						got++
					}
					in.Handle(b)
				}
				k := float64(o.Symbols())
				beyond, late := float64(got)/k-1, float64(sent)*(1-loss)/k-1
				t.Logf("loss %v: %.3f %% more packets of data than symbols, %.3f %% more of all sent than k/(1-loss); received in %v", loss, 100*beyond, 100*late, time.Since(begin))
				if beyond > 0.015 || loss < 0.2 && late > 0.01 {
					t.Errorf("loss %v: %d packets of data, %d sent, for %v symbols", loss, got, sent, k)
				}
				if !isDone(in) || in.Err() != nil {
					t.Fatalf("not done: %v", in.Err())
				}
				t.Logf("complete after %v", time.Since(begin))
				if st := in.Stats(); st.BadBlocks != 0 {
					t.Errorf("%+v", st)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
				if err := os.Remove(filepath.Join(dir, "file")); err != nil {
					t.Error(err)
				}
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Ten gigabytes, most of them holes, at 30 % loss in the first blocks: the process, source included, stays under 300 MB and the file is sparse.
func TestLargeSparse(t *testing.T) {
	large(t)
	const size = 10 << 30
	o, err := NewObject(context.Background(), "file", zeros{}, size, &ObjectConfig{NoParity: true})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Skip(err)
	}
	o.parity, o.cfg.NoParity = &parityStore{part: &o.part, file: zero}, false // parity of zeros is zeros
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{})
	f := newFeed(t, SendConfig{Seed: 3, RootInterval: time.Second}, o)
	rng := newRand(5)
	for n := uint64(0); n < uint64(o.Symbols()); n = in.Stats().Stored {
		b := f.next()
		if h, _, err := parsePacket(b); err != nil || h.block < 20 && rng.Float64() < 0.3 {
			continue
		}
		in.Handle(b)
	}
	if !isDone(in) || in.Err() != nil {
		t.Fatalf("not done: %v", in.Err())
	}
	st, err := os.Stat(filepath.Join(dir, "file"))
	if err != nil || st.Size() != size {
		t.Errorf("%v, %v", st, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range bytes.Lines(status) {
		var kB int
		if s := string(line); strings.HasPrefix(s, "VmHWM") {
			fmt.Sscanf(s, "VmHWM: %d kB", &kB)
			t.Logf("at most %d MB were resident", kB/1000)
			if kB > 300_000 {
				t.Errorf("%s", s)
			}
		}
	}
}
