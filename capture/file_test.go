package capture

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

var (
	from = netip.MustParseAddrPort("[fd00::1]:7500")
	to   = netip.MustParseAddrPort("[ff15::1]:7500")
)

// add puts a run of n datagrams into f, all that fit.
func add(f *File, n, segment int) {
	f.lock.Lock()
	defer f.lock.Unlock()
	p := packet{from: from, to: to, hops: 1}
	f.run(0, flagsOut, &p, make([]byte, n*segment), segment)
}

// A full file holds what came first and says how much it does not hold.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		f := open(t, &b, &Config{MaxBytes: minMaxBytes})
		f.describe("eth0", "test")
		for range 100 {
			add(f, 10, 1000)
			synctest.Wait()
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		c, st := readBack(t, b.Bytes()), f.Stats()
		t.Logf("%+v", st)
		if n := uint64(len(c.packets)); n != st.Packets || n+st.Dropped != 1000 || c.received[0] != n || c.dropped[0] != st.Dropped || n < 200 {
			t.Errorf("%d packets, %+v, in the file's statistics %d and %d", n, st, c.received[0], c.dropped[0])
		}
		if b.Len() > minMaxBytes || int64(b.Len()) != st.Bytes {
			t.Errorf("%d bytes, %+v", b.Len(), st)
		}
		if !st.Full || len(c.comments) != 1 {
			t.Errorf("full is %v, comments %q", st.Full, c.comments)
		}
	})
}

// A slow disk holds nobody up: what has no room is dropped, which the next packet says.
func TestSlowWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{release: make(chan bool)}
		f := open(t, w, &Config{BufferBytes: 10 << 10})
		f.describe("eth0", "test")
		synctest.Wait() // it holds the section's header
		add(f, 100, 1000)
		if st := f.Stats(); st.Packets < 8 || st.Packets > 9 || st.Packets+st.Dropped != 100 || st.Full {
			t.Errorf("%+v", st)
		}
		close(w.release)
		synctest.Wait()
		add(f, 1, 1000)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		c, st := readBack(t, w.Bytes()), f.Stats()
		if n := len(c.packets); n != int(st.Packets) || c.packets[n-1].dropped != st.Dropped || c.packets[0].dropped != 0 {
			t.Errorf("%d packets, the last says that %d were dropped: %+v", n, c.packets[n-1].dropped, st)
		}
	})
}

// slowWriter waits for release.
type slowWriter struct {
	bytes.Buffer
	release chan bool
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.release
	return w.Buffer.Write(b)
}

// A disk that fails ends the capture, not the session, and Close says why.
func TestFailingWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, failingWriter{}, nil)
		f.describe("eth0", "test")
		synctest.Wait()
		add(f, 10, 1000)
		if st := f.Stats(); st.Dropped != 10 || st.Packets != 0 {
			t.Errorf("%+v", st)
		}
		if err := f.Close(); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("Close: %v", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Close again: %v", err)
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A ring has the newest packets, in two files that each can be read, of MaxBytes together.
func TestRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "session.pcapng")
		f, err := Create(name, &Config{MaxBytes: minMaxBytes, Ring: true})
		if err != nil {
			t.Fatal(err)
		}
		f.describe("eth0", "test")
		const packets = 1000
		for i := range packets {
			add(f, 1, 500+i%500)
			if i == packets/2 {
				f.describe("eth1", "test") // what is described late is in later files too
			}
			if i%10 == 0 {
				synctest.Wait()
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		st := f.Stats()
		if st.Rotations < 3 || st.Full || st.Dropped > 0 || st.Packets != packets {
			t.Errorf("%+v", st)
		}
		var all []captured
		size := 0
		for _, name := range []string{f.Old(), name} {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			size += len(b)
			c := readBack(t, b)
			if len(c.interfaces) != 2 {
				t.Errorf("%s: interfaces %q", name, c.interfaces)
			}
			all = append(all, c.packets...)
		}
		for i, p := range all {
			if want := 48 + 500 + (packets-len(all)+i)%500; p.length != want {
				t.Fatalf("packet %d of %d has %d bytes, want %d", i, len(all), p.length, want)
			}
		}
		t.Logf("%d packets, %d bytes, %+v", len(all), size, st)
		if size > minMaxBytes || size < minMaxBytes/3 {
			t.Errorf("%d bytes in both files, want %d at most and no small part of it", size, minMaxBytes)
		}
	})
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{SnapBytes: -1}, {BufferBytes: -1}, {MaxBytes: 1000}, {MaxBytes: -1, Ring: true}} {
		if _, err := Create(filepath.Join(t.TempDir(), "x"), &cfg); err == nil {
			t.Errorf("Create takes %+v", cfg)
		}
	}
	if _, err := New(io.Discard, &Config{Ring: true}); err == nil {
		t.Error("New takes Ring")
	}
	if _, err := Create(t.TempDir(), nil); !errors.Is(err, fs.ErrInvalid) && err == nil {
		t.Error("Create takes a directory")
	}
}

// Conns that differ in nothing are one interface, and no number of them makes the file grow without bound.
func TestInterfaces(t *testing.T) {
	var b bytes.Buffer
	f := open(t, &b, nil)
	if x, y := f.describe("eth0", "a"), f.describe("eth0", "a"); x != 0 || y != 0 {
		t.Errorf("ids %d and %d, want 0", x, y)
	}
	for i := range 1000 {
		if id := f.describe("eth0", string(rune('b'+i))); id != min(i+1, maxInterfaces-1) {
			t.Fatalf("the %d. has id %d", i, id)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if c := readBack(t, b.Bytes()); len(c.interfaces) != maxInterfaces {
		t.Errorf("%d interfaces", len(c.interfaces))
	}
}

func TestAllocs(t *testing.T) {
	cfg, err := (&Config{BufferBytes: 1 << 20}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	f := &File{cfg: cfg} // nobody writes
	f.describe("eth0", "test")
	f.pending.blocks = make([]byte, 0, cfg.BufferBytes)
	if n := testing.AllocsPerRun(100, func() { add(f, 1, 1400) }); n > 1 { // add's own buffer
		t.Errorf("%v allocations a packet", n-1)
	}
	if st := f.Stats(); st.Packets != 101 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkRun(b *testing.B) {
	f, err := New(io.Discard, &Config{MaxBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	f.describe("eth0", "test")
	run, p := make([]byte, 46*1432), packet{from: from, to: to}
	b.SetBytes(int64(len(run)))
	b.ReportAllocs()
	for b.Loop() {
		f.lock.Lock()
		f.run(0, flagsOut, &p, run, 1432)
		f.lock.Unlock()
	}
}
