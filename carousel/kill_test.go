package carousel

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The receiver that is killed is the test binary itself, started again with killEnv set: TestMain then receives in place of the tests, from a source
// in the same process, into the directory that the variable names. It prints how many symbols it resumed, and then how many it stored, now and then. It
// reads a byte for each report that was read, and does not go further ahead than a few: else who kills it might come too late on a busy machine.
const (
	killEnv   = "RMCAST_TEST_CAROUSEL"
	killTold  = 64 // packets between two reports
	killAhead = 4  // reports
	mostKills = 20
)

func TestMain(m *testing.M) {
	if arg := os.Getenv(killEnv); arg != "" {
		if err := receiveUntilKilled(arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// seeded reads as a fixed sequence of bytes, some of which are zeros.
type seeded struct{}

func (seeded) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		at := uint64(off) + uint64(i)
		if at>>16%5 == 0 {
			b[i] = 0
			continue
		}
		x := (at>>3 + 1) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		b[i] = byte(x >> (8 * (at & 7)))
	}
	return len(b), nil
}

func receiveUntilKilled(arg string) error {
	var n uint64
	var size int64
	var block int
	var dir string
	if _, err := fmt.Sscanf(arg, "%d %d %d %s", &n, &size, &block, &dir); err != nil {
		return err
	}
	o, err := NewObject(context.Background(), "file", seeded{}, size, &ObjectConfig{BlockSymbols: block, TempDir: filepath.Dir(dir)})
	if err != nil {
		return err
	}
	in, err := NewInbox(dir, quiet(InboxConfig{}))
	if err != nil {
		return err
	}
	resumed := int64(0)
	if l := in.Objects(); len(l) > 0 {
		resumed = l[0].Resumed
	}
	fmt.Println("resumed", resumed, o.Symbols())
	s := newSending(SendConfig{Seed: n, RootInterval: defaultRootInterval, ParityFirst: n%2 == 0}, []*Object{o}, 1)
	rng := rand.New(rand.NewPCG(n, 3))
	start := time.Now()
	read, reports := bufio.NewReader(os.Stdin), 0
	for i := 0; ; i++ {
		a, _, _ := s.program.next(time.Since(start))
		b, err := s.encode(a)
		if err != nil {
			return err
		}
		if rng.IntN(10) > 0 {
			in.Handle(b)
		}
		if i%killTold != 0 {
			continue
		}
		fmt.Println("stored", in.Stats().Stored)
		select {
		case <-in.Done():
			fmt.Println("stored", in.Stats().Stored)
			return in.Err()
		default:
		}
		if reports++; reports > killAhead {
			if _, err := read.ReadByte(); err != nil {
				return err
			}
		}
		time.Sleep(2 * time.Millisecond) // about 360 Mbit/s
	}
}

// Killed 20 times at random moments, a receiver takes in all hardly more than the object has, and has it right.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("processes are killed in real time")
	}
	killed(t, 16<<20, 2048)
}

// So it is with an object of a realistic size.
func TestLargeKilled(t *testing.T) {
	large(t)
	killed(t, 500e6, 32768)
}

func killed(t *testing.T, size int64, block int) {
	part := newPartition(size, defaultSymbolBytes, block)
	unwritten := part.blocks * newPending(&part).rows
	dir := filepath.Join(t.TempDir(), "inbox")
	rng := rand.New(rand.NewPCG(1, 9))
	stored, symbols, kills, last := 0, 0, 0, 0
	for round := 1; ; round++ {
		if round > 60 {
			t.Fatal("it does not come to an end")
		}
		cmd := exec.Command("/proc/self/exe")
		if self, err := os.Executable(); err == nil {
			cmd = exec.Command(self)
		}
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %s", killEnv, round, size, block, dir))
		var complaint strings.Builder
		cmd.Stderr = &complaint
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		read, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// It is killed after it stored a twentieth of the object, more or less, from then on at any moment.
		limit, now := 1+rng.IntN(int(size)/defaultSymbolBytes/10), 0
		killed := false
		for lines.Scan() {
			var what string
			var n, of int
			fmt.Sscan(lines.Text(), &what, &n, &of)
			switch what {
			case "resumed":
				symbols = of
				// Printed every so many packets, of which it can have forgotten those that were not written yet.
				if lost := last - n; lost > 2*killTold+unwritten {
					t.Errorf("round %d: resumed %d symbols of at least %d", round, n, last)
				}
				last = n
			case "stored":
				now = n
			}
			if !killed && kills < mostKills && what == "stored" && now >= limit {
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				killed = true
				kills++
			}
			if what == "stored" {
				_, _ = read.Write([]byte{0}) // it may be gone
			}
		}
		err = cmd.Wait()
		stored += now
		last += now
		if !killed {
			if err != nil {
				t.Fatalf("round %d: %v: %s", round, err, complaint.String())
			}
			break
		}
	}
	f, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, want := sha256.New(), sha256.New()
	if _, err := io.Copy(got, f); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(want, io.NewSectionReader(seeded{}, 0, size)); err != nil {
		t.Fatal(err)
	}
	if g, w := hex.EncodeToString(got.Sum(nil)), hex.EncodeToString(want.Sum(nil)); g != w {
		t.Errorf("hash %s, want %s", g, w)
	}
	wantOnly(t, dir, "file")
	most := stored + killTold*kills // of each process the last few may not have been told
	again := float64(most-symbols) * defaultSymbolBytes
	t.Logf("%d kills, %d to %d symbols stored, of %d", kills, stored, most, symbols)
	if kills < 10 || stored > symbols+unwritten*kills || again > 0.02*float64(size)+2e6*float64(kills) {
		t.Errorf("after %d kills %d to %d symbols were stored, want %d: %.0f bytes were received again", kills, stored, most, symbols, again)
	}
}
