package carousel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// In these tests packets go from a source to an Inbox by hand: no network, no clock. small has blocks of 40 symbols of 128 bytes.
var small = ObjectConfig{SymbolBytes: 128, BlockSymbols: 40}

// feed is a source: its packets one after another, as they would leave at 1000 a second.
type feed struct {
	t   testing.TB
	s   *sending
	now time.Duration
}

func newFeed(t testing.TB, cfg SendConfig, objects ...*Object) *feed {
	t.Helper()
	c, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &feed{t: t, s: newSending(c, objects, 1)}
}

// next returns the next packet, or nil when all is sent.
func (f *feed) next() []byte {
	f.t.Helper()
	for {
		a, wait, ok := f.s.program.next(f.now)
		if !ok {
			if f.now += wait; wait == 0 {
				return nil
			}
			continue
		}
		f.now += time.Millisecond
		b, err := f.s.encode(a)
		if err != nil {
			f.t.Fatal(err)
		}
		return b
	}
}

// skip passes over n packets.
func (f *feed) skip(n int) {
	for range n {
		f.next()
	}
}

// quiet returns cfg with no log, and no sync, which a test on a busy disk would wait for.
func quiet(cfg InboxConfig) *InboxConfig {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.NoSync = true
	return &cfg
}

func newInbox(t testing.TB, dir string, cfg InboxConfig) *Inbox {
	t.Helper()
	in, err := NewInbox(dir, quiet(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// isDone reports whether all that was to come is there, once the worker has nothing to do.
func isDone(in *Inbox) bool {
	in.settle()
	select {
	case <-in.Done():
		return true
	default:
		return false
	}
}

// run feeds an Inbox until it is done, with loss, and returns how many packets of data it took and got.
func run(t testing.TB, in *Inbox, f *feed, loss float64, rng *rand.Rand) (got int) {
	t.Helper()
	for range 1_000_000 {
		b := f.next()
		if b == nil {
			t.Fatalf("the source has ended; %+v", in.Stats())
		}
		if rng.Float64() < loss {
			continue
		}
		if kind(b[1]) == kindData {
			got++
		}
		in.Handle(b)
		if isDone(in) {
			if err := in.Err(); err != nil {
				t.Fatal(err)
			}
			return got
		}
	}
	t.Fatalf("not done after a million packets: %+v", in.Stats())
	return 0
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// object makes an object of bytes.
func object(t testing.TB, name string, b []byte, cfg ObjectConfig) *Object {
	t.Helper()
	o, err := NewObject(context.Background(), name, bytes.NewReader(b), int64(len(b)), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func wantFile(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, %v; want %d, which they are: %v", path, len(got), err, len(want), bytes.Equal(got, want))
	}
}

// wantOnly checks that a directory holds these names and nothing else.
func wantOnly(t testing.TB, dir string, want ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		got = append(got, d.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s holds %v, want %v", dir, got, want)
	}
}

// Objects of all kinds of size, random and zero, at all kinds of loss, joined anywhere: each block takes exactly k symbols.
func TestReceiveSizes(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 129, 40 * 128, 40*128 + 1, 20000, 50000} {
		for _, zeros := range []bool{false, true} {
			for _, loss := range []float64{0, 0.1, 0.4, 0.9} {
				t.Run(fmt.Sprintf("%d/%v/%v", size, zeros, loss), func(t *testing.T) {
					b := make([]byte, size)
					if !zeros {
						b = random(byte(size), size)
					}
					o := object(t, "file", b, small)
					rng := newRand(uint64(size))
					f := newFeed(t, SendConfig{Seed: 7}, o)
					f.skip(rng.IntN(1000))
					dir := t.TempDir()
					in := newInbox(t, dir, InboxConfig{})
					run(t, in, f, loss, rng)
					wantFile(t, filepath.Join(dir, "file"), b)
					wantOnly(t, dir, "file")
					if st := in.Stats(); int64(st.Stored) != o.Symbols() {
						t.Errorf("%d symbols were stored, want %d", st.Stored, o.Symbols())
					}
				})
			}
		}
	}
}

// What packets must come beyond k: without loss and from the beginning none; with blocks that lose alike few.
func TestPacketsBeyondK(t *testing.T) {
	cfg := ObjectConfig{SymbolBytes: 64, BlockSymbols: 2000}
	b := random(1, 24*2000*64-5) // 24 blocks
	o := object(t, "file", b, cfg)
	for _, c := range []struct{ loss, most float64 }{{0, 0}, {0.1, 0.06}, {0.4, 0.06}} {
		dir := t.TempDir()
		in := newInbox(t, dir, InboxConfig{})
		f := newFeed(t, SendConfig{Seed: 3}, o)
		rng := newRand(5)
		got := 0
		for int64(in.Stats().Stored) < o.Symbols() {
			b := f.next()
			if rng.Float64() < c.loss {
				continue
			}
			if kind(b[1]) == kindData {
				got++
			}
			in.Handle(b)
		}
		if beyond := float64(got)/float64(o.Symbols()) - 1; beyond > c.most {
			t.Errorf("loss %v: %.2f %% more packets than symbols, want at most %v %%", c.loss, 100*beyond, 100*c.most)
		} else {
			t.Logf("loss %v: %.2f %% more packets than symbols", c.loss, 100*beyond)
		}
		if !isDone(in) || in.Err() != nil {
			t.Fatalf("not done: %v", in.Err())
		}
		wantFile(t, filepath.Join(dir, "file"), b)
	}
}

// makeTree makes a tree of n files in directories, some empty, and a directory without any.
func makeTree(t testing.TB, dir string, n int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "empty", "er"), 0o755))
	for i := range n {
		d := filepath.Join(dir, fmt.Sprint("d", i%7), fmt.Sprint("e", i%3))
		must(os.MkdirAll(d, 0o755))
		name := filepath.Join(d, fmt.Sprint("f", i))
		must(os.WriteFile(name, random(byte(i), i*37%1000), 0o644))
		must(os.Chmod(name, fs.FileMode(0o400+i%0o377)|0o400))
		must(os.Chtimes(name, time.Time{}, time.Unix(int64(1e9+i), int64(i))))
	}
	must(os.Chtimes(filepath.Join(dir, "empty"), time.Time{}, time.Unix(5, 6)))
	must(os.Chmod(filepath.Join(dir, "d0"), 0o555))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "d0"), 0o755) })
}

// list describes a tree: paths, kinds, modes, times, contents.
func list(t testing.TB, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&s, "%s %v %v", rel, st.Mode(), st.ModTime().UnixNano())
		if !d.IsDir() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&s, " %x", b)
		}
		s.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func openObject(t testing.TB, path string, cfg ObjectConfig) *Object {
	t.Helper()
	o, err := Open(context.Background(), path, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// A tree arrives with its modes and times, with few files open.
func TestReceiveTree(t *testing.T) {
	src := filepath.Join(t.TempDir(), "tree")
	makeTree(t, src, 300)
	o := openObject(t, src, small)
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{MaxOpenFiles: 5})
	run(t, in, newFeed(t, SendConfig{}, o), 0.2, newRand(1))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "tree", "d0"), 0o755) })
	if got, want := list(t, filepath.Join(dir, "tree")), list(t, src); got != want {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", got, want)
	}
	wantOnly(t, dir, "tree")
	if got := len(o.source.(*tree).open); got == 0 || got > 128 {
		t.Errorf("%d files are open at the source", got)
	}
}

// Ten thousand files, small and large, in several blocks, at no loss and much: all arrive as they are, and no more of them are open at once than may be.
func TestReceiveManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 40,000 files")
	}
	src := filepath.Join(t.TempDir(), "tree")
	makeTree(t, src, 10_000)
	for i := range 10 {
		if err := os.WriteFile(filepath.Join(src, "d1", fmt.Sprint("large", i)), random(byte(i), 1e6+i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := openObject(t, src, ObjectConfig{BlockSymbols: 1000})
	want := list(t, src)
	for i, loss := range []float64{0, 0.4} {
		dir := t.TempDir()
		in := newInbox(t, dir, InboxConfig{MaxOpenFiles: 40})
		f, rng := newFeed(t, SendConfig{}, o), newRand(uint64(i))
		f.skip(int(o.Symbols()) / 3 * i)
		got := 0
		for n := 0; in.Stats().Stored < uint64(o.Symbols()); n++ {
			if n > 4*int(o.Symbols()) {
				t.Fatalf("loss %v: not done: %+v", loss, in.Stats())
			}
			b := f.next()
			if rng.Float64() < loss {
				continue
			}
			if kind(b[1]) == kindData {
				got++
			}
			in.Handle(b)
		}
		if !isDone(in) || in.Err() != nil {
			t.Fatalf("loss %v: %v, %+v", loss, in.Err(), in.Stats())
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, "tree", "d0"), 0o755) })
		if list(t, filepath.Join(dir, "tree")) != want {
			t.Errorf("loss %v: the tree differs", loss)
		}
		wantOnly(t, dir, "tree")
		t.Logf("loss %v: %d files, %d symbols in %d blocks, %d packets of data", loss, len(in.objects[o.root.ID()].man.entries), o.Symbols(), o.part.blocks, got)
	}
}

// A file arrives under its name, with its mode and time; parity in a temporary file is as good as in memory.
func TestReceiveFile(t *testing.T) {
	src := filepath.Join(t.TempDir(), "file")
	b := random(9, 30001)
	if err := os.WriteFile(src, b, 0o640); err != nil {
		t.Fatal(err)
	}
	cfg := small
	cfg.ParityMemory, cfg.TempDir = -1, t.TempDir()
	o := openObject(t, src, cfg)
	if o.parity.file == nil {
		t.Fatal("parity is in memory")
	}
	dir := t.TempDir()
	run(t, newInbox(t, dir, InboxConfig{}), newFeed(t, SendConfig{ParityFirst: true}, o), 0.3, newRand(1))
	if got, want := list(t, filepath.Join(dir, "file")), list(t, src); got != want {
		t.Errorf("got\n%.200s\nwant\n%.200s", got, want)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	wantOnly(t, cfg.TempDir)
}

func TestOpenRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	makeTree(t, dir, 3)
	if err := os.Symlink("f0", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	_, err := Open(context.Background(), dir, nil)
	if !errors.Is(err, ErrSpecial) || !strings.Contains(err.Error(), "tree/link") {
		t.Errorf("a link: %v", err)
	}
	if _, err := Open(context.Background(), filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := NewObject(context.Background(), "a/b", bytes.NewReader(nil), 0, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a path as a name: %v", err)
	}
	if _, err := NewObject(context.Background(), "x", bytes.NewReader(nil), 1, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("a reader that is too short: %v", err)
	}
	for _, c := range []ObjectConfig{{SymbolBytes: 1400}, {SymbolBytes: 65536}, {BlockSymbols: 32769}, {BlockSymbols: -1}} {
		if _, err := NewObject(context.Background(), "x", bytes.NewReader(nil), 0, &c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewObject(ctx, "x", bytes.NewReader([]byte{1}), 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A file that changes while it is sent ends the sending at the next turn.
func TestSourceChanges(t *testing.T) {
	src := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(src, random(1, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	o := openObject(t, src, small)
	f := newFeed(t, SendConfig{}, o)
	f.skip(10)
	if err := os.Truncate(src, 4000); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		a, _, _ := f.s.program.next(f.now)
		if _, err := f.s.encode(a); err != nil {
			if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "file") {
				t.Errorf("error %v", err)
			}
			return
		}
	}
	t.Error("it is not noticed")
}

// Two objects on one group, and three sources, one of which has the same object as another: each comes out right.
func TestTwoObjects(t *testing.T) {
	a, b := random(1, 30000), random(2, 20000)
	one, two := object(t, "a", a, small), object(t, "b", b, small)
	feeds := []*feed{newFeed(t, SendConfig{}, one, two), newFeed(t, SendConfig{}, two), newFeed(t, SendConfig{ParityFirst: true}, one)}
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{Count: 2})
	rng := newRand(3)
	for !isDone(in) {
		if p := feeds[rng.IntN(3)].next(); rng.IntN(3) > 0 {
			in.Handle(p)
		}
	}
	wantFile(t, filepath.Join(dir, "a"), a)
	wantFile(t, filepath.Join(dir, "b"), b)
	wantOnly(t, dir, "a", "b")
	if got := in.Stats(); got.Stored != uint64(one.Symbols()+two.Symbols()) {
		t.Errorf("%d symbols were stored, want %d", got.Stored, one.Symbols()+two.Symbols())
	}
}

// Two sources, of which one begins with parity, send nothing twice in a turn: half a turn of each is enough.
func TestSourcesAddUp(t *testing.T) {
	b := random(1, 50000)
	o := object(t, "file", b, small)
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{})
	feeds := []*feed{newFeed(t, SendConfig{}, o), newFeed(t, SendConfig{ParityFirst: true}, o)}
	for i := 0; !isDone(in); i++ {
		in.Handle(feeds[i%2].next())
	}
	wantFile(t, filepath.Join(dir, "file"), b)
	if st := in.Stats(); st.Duplicate > 0 || st.Unneeded > uint64(2*o.part.blocks) {
		t.Errorf("%d duplicate and %d unneeded symbols", st.Duplicate, st.Unneeded)
	}
}

// Priorities divide the packets.
func TestPriorities(t *testing.T) {
	c := small
	c.Priority = 3
	high, low := object(t, "high", random(1, 30000), c), object(t, "low", random(2, 30000), small)
	f := newFeed(t, SendConfig{}, high, low)
	n := map[ID]int{}
	for range 4000 {
		if h, _, _ := parsePacket(f.next()); h.kind == kindData {
			n[h.id]++
		}
	}
	if h, l := n[high.root.ID()], n[low.root.ID()]; h < 3*l-3 || h > 3*l+3 {
		t.Errorf("%d packets of priority 3, %d of priority 1", h, l)
	}
}

// Roots come once a second whatever the rate, and manifests take a twentieth at most once there was something to send between.
func TestProgramBudget(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	makeTree(t, tree, 200) // its manifest is a large part of it
	o := openObject(t, tree, small)
	for _, gap := range []time.Duration{10 * time.Microsecond, time.Millisecond, 100 * time.Millisecond} {
		f := newFeed(t, SendConfig{}, o)
		n := map[kind]int{}
		now, lastRoot := time.Duration(0), time.Duration(0)
		for range 40000 {
			a, _, ok := f.s.program.next(now)
			if !ok {
				t.Fatal("nothing to send")
			}
			n[a.kind]++
			now += gap
			if a.kind == kindRoot {
				lastRoot = now
			}
			if now-lastRoot > time.Second {
				t.Fatalf("a packet each %v: no root for %v", gap, now-lastRoot)
			}
		}
		if total := n[kindData] + n[kindManifest] + n[kindRoot]; n[kindManifest] > total/20+manifestBurst || n[kindManifest] == 0 {
			t.Errorf("a packet each %v: %v", gap, n)
		}
		if gap < 100*time.Millisecond && n[kindRoot] > n[kindData]/150 {
			t.Errorf("a packet each %v: %v", gap, n)
		}
	}
}

// After so many turns all was sent so often, the manifests too, and nothing more.
func TestTurns(t *testing.T) {
	for _, size := range []int{0, 1, 50000} {
		o := object(t, "file", random(1, size), small)
		f := newFeed(t, SendConfig{Turns: 3}, o)
		n, roots, manifests := map[int]int{}, 0, 0
		for b := f.next(); b != nil; b = f.next() {
			switch h, _, _ := parsePacket(b); h.kind {
			case kindRoot:
				roots++
			case kindManifest:
				manifests++
			default:
				n[h.block<<16|h.symbol]++
			}
		}
		data, parity := 0, 0
		for at, times := range n {
			if s := at & 0xffff; s < o.part.k(at>>16) {
				data += times
			} else {
				parity += times
			}
		}
		if int64(data) != 2*o.Symbols() || int64(parity) != o.Symbols() || roots < 3 || manifests < 3*o.manifestPart.k(0) {
			t.Errorf("%d bytes: %d data, %d parity, %d roots, %d symbols of manifests", size, data, parity, roots, manifests)
		}
	}
	o := object(t, "file", random(1, 5000), small)
	f := newFeed(t, SendConfig{Duration: 3 * time.Second}, o)
	for b := f.next(); b != nil; b = f.next() {
	}
	if f.now != 3*time.Second {
		t.Errorf("3s are over after %v", f.now)
	}
}

// unwritten counts an Inbox's symbols that are not on disk yet.
func unwritten(in *Inbox) (n uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, o := range in.objects {
		if o.stage == nil {
			continue
		}
		for _, b := range o.stage.pending.list {
			for i := range b.n {
				if binary.BigEndian.Uint32(b.marks[4*i:]) != 0 {
					n++
				}
			}
		}
	}
	return n
}

// Closed and opened again anywhere, and copied as a killed process would leave it: only what is missing is taken, and of that killed what was not written yet.
func TestResume(t *testing.T) {
	b := random(1, 50000)
	copy(b[10000:20000], make([]byte, 10000))
	o := object(t, "file", b, small)
	for seed := range uint64(10) {
		rng := newRand(seed)
		loss := []float64{0, 0.3}[seed%2]
		dir := t.TempDir()
		f := newFeed(t, SendConfig{Seed: seed + 1}, o)
		stored, lost := uint64(0), uint64(0)
		for range 4 {
			in := newInbox(t, dir, InboxConfig{})
			before := int64(0)
			if l := in.Objects(); len(l) > 0 {
				before = l[0].Resumed
			}
			if uint64(before) != stored-lost {
				t.Fatalf("seed %d: %d symbols are resumed, want %d", seed, before, stored-lost)
			}
			for range 60 {
				if p := f.next(); rng.Float64() >= loss {
					in.Handle(p)
				}
			}
			in.settle()
			stored += in.Stats().Stored
			if seed%3 == 1 { // after a Receive has ended
				in.flush()
				if n := unwritten(in); n > 0 {
					t.Errorf("seed %d: %d symbols are not written", seed, n)
				}
			}
			if seed%3 > 0 { // killed
				lost += unwritten(in)
				next := t.TempDir()
				if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				dir = next
			} else if err := in.Close(); err != nil {
				t.Fatal(err)
			}
		}
		in := newInbox(t, dir, InboxConfig{})
		run(t, in, newFeed(t, SendConfig{ParityFirst: true}, o), loss, rng)
		if stored += in.Stats().Stored; stored-lost != uint64(o.Symbols()) {
			t.Errorf("seed %d: %d symbols were stored in all, %d of them lost, want %d", seed, stored, lost, o.Symbols())
		}
		wantFile(t, filepath.Join(dir, "file"), b)
		wantOnly(t, dir, "file")
	}
}

// Block by block, one that is silent and comes in the middle of a turn completes too: without loss within two turns from then.
func TestBlockByBlockSilent(t *testing.T) {
	b := random(1, 50_000)
	o := object(t, "file", b, small)
	for seed := range uint64(8) {
		f := newFeed(t, SendConfig{Seed: seed + 1, BlockByBlock: true, ParityFirst: seed%2 == 1}, o)
		f.skip(int(o.Symbols()) / 2)
		in := newInbox(t, t.TempDir(), InboxConfig{})
		loss := []float64{0, 0.3}[seed/4]
		got := run(t, in, f, loss, newRand(seed))
		if turns := float64(got) / (1 - loss) / float64(o.Symbols()); turns > 2.1+5*loss {
			t.Errorf("seed %d: loss %v: %.2f turns", seed, loss, turns)
		}
	}
}

// A manifest that goes on coming is not counted with the data.
func TestManifestAgain(t *testing.T) {
	o := object(t, "file", random(1, 50_000), small)
	f, in := newFeed(t, SendConfig{Seed: 1}, o), newInbox(t, t.TempDir(), InboxConfig{})
	manifests := 0
	for manifests < 3*o.manifestPart.k(0) {
		b := f.next()
		if kind(b[1]) == kindManifest {
			manifests++
		}
		if kind(b[1]) != kindData {
			in.Handle(b)
		}
	}
	if st := in.Stats(); !in.Objects()[0].Known || st.dataPackets() > 0 {
		t.Errorf("%+v after manifests", st)
	}
}

// The memory to decode blocks stays while there are blocks to come, and no longer.
func TestDecoderMemory(t *testing.T) {
	o := object(t, "file", random(1, 50_000), small)
	in := newInbox(t, t.TempDir(), InboxConfig{})
	f, rng := newFeed(t, SendConfig{Seed: 1, BlockByBlock: true, ParityFirst: true}, o), newRand(1)
	for in.objects[o.root.ID()] == nil || in.objects[o.root.ID()].left == o.part.blocks || in.objects[o.root.ID()].man == nil {
		in.Handle(f.next())
		in.settle()
	}
	if in.decoder.buf == nil {
		t.Error("no memory after the first block")
	}
	run(t, in, f, 0.1, rng)
	if in.settle(); in.decoder.buf != nil || in.decoder.code.parts != nil {
		t.Error("memory after the last block")
	}
}

// What was damaged on disk meanwhile is found, and only that is taken again.
func TestResumeDamaged(t *testing.T) {
	b := random(1, 50000)
	copy(b[30000:], make([]byte, 20000))
	cfg := small
	cfg.NoParity = true // decoded symbols are written in any case
	o := object(t, "file", b, cfg)
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{})
	f := newFeed(t, SendConfig{Seed: 1}, o)
	for in.Stats().Stored < 300 {
		in.Handle(f.next())
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	st := filepath.Join(dir, stageName(o.root.ID()))
	spoil := func(name string, at int64, with []byte) {
		t.Helper()
		g, err := os.OpenFile(filepath.Join(st, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if _, err := g.WriteAt(with, at); err != nil {
			t.Fatal(err)
		}
	}
	spoil(stageData, 1000, random(3, 3000))
	spoil(stageData, 40000, random(3, 2000)) // over zeros, which are holes
	spoil(stageMarks, 4000, random(4, 400))
	in = newInbox(t, dir, InboxConfig{})
	if got := in.Objects()[0].Resumed; got >= 300 || got < 300-26-17-100 {
		t.Errorf("%d of 300 symbols are resumed", got)
	}
	run(t, in, newFeed(t, SendConfig{}, o), 0.1, newRand(2))
	wantFile(t, filepath.Join(dir, "file"), b)
	if n := in.Stats().BadBlocks; n > 0 {
		t.Errorf("%d blocks had a wrong hash", n)
	}

	// Stages without a manifest, or with another's, are left alone.
	for name, content := range map[string]string{stagePrefix + "0000000000000000": "x", stagePrefix + "y": ""} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, name, stageManifest), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := newInbox(t, dir, InboxConfig{}).Objects(); len(got) != 0 {
		t.Errorf("resumed: %v", got)
	}
}

// Killed after the rename, or between the last modes and it, the object is there or comes to be.
func TestResumeAtTheEnd(t *testing.T) {
	src := filepath.Join(t.TempDir(), "tree")
	makeTree(t, src, 30)
	o := openObject(t, src, small)
	for _, renamed := range []bool{false, true} {
		dir := t.TempDir()
		in := newInbox(t, dir, InboxConfig{})
		run(t, in, newFeed(t, SendConfig{}, o), 0, newRand(1))
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		// Back to what it was before the stage was removed.
		stage := filepath.Join(dir, stageName(o.root.ID()))
		if err := os.Mkdir(stage, 0o700); err != nil {
			t.Fatal(err)
		}
		k := o.manifestPart.bytes
		if err := os.WriteFile(filepath.Join(stage, stageManifest), o.manifest[:k], 0o600); err != nil {
			t.Fatal(err)
		}
		if !renamed {
			marks := make([]byte, 8*o.part.symbols)
			for b := range o.part.blocks {
				for s := range o.part.k(b) {
					p := make([]byte, o.part.symbolBytes)
					if err := o.readData(b, s, 1, p); err != nil {
						t.Fatal(err)
					}
					m := mark(o.root.ID(), b, s, p)
					copy(marks[8*o.part.first(b)+4*int64(s):], []byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)})
				}
			}
			if err := os.WriteFile(filepath.Join(stage, stageMarks), marks, 0o600); err != nil {
				t.Fatal(err)
			}
			os.Chmod(filepath.Join(dir, "tree"), 0o755)
			if err := os.Rename(filepath.Join(dir, "tree"), filepath.Join(stage, stageData)); err != nil {
				t.Fatal(err)
			}
		} else {
			os.Chmod(filepath.Join(dir, "tree"), 0o700)
		}
		in = newInbox(t, dir, InboxConfig{})
		if !isDone(in) || in.Err() != nil {
			t.Fatalf("renamed %v: not done, %v, %+v", renamed, in.Err(), in.Objects())
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, "tree", "d0"), 0o755) })
		if got, want := list(t, filepath.Join(dir, "tree")), list(t, src); got != want {
			t.Errorf("renamed %v: got\n%.2000s\nwant\n%.2000s", renamed, got, want)
		}
		wantOnly(t, dir, "tree")
	}
}

// What exists already: the object itself is complete at once; a file that differs is replaced only if that is wanted; a directory never.
func TestTargetExists(t *testing.T) {
	b := random(1, 5000)
	o := object(t, "file", b, small)
	for name, c := range map[string]struct {
		there   []byte
		cfg     InboxConfig
		refused bool
	}{
		"same": {b, InboxConfig{}, false}, "other": {b[:100], InboxConfig{}, true}, "as long": {random(2, 5000), InboxConfig{}, true},
		"replace": {b[:100], InboxConfig{Replace: true}, false}, "directory": {nil, InboxConfig{Replace: true}, true},
	} {
		dir := t.TempDir()
		target := filepath.Join(dir, "file")
		var err error
		if c.there == nil {
			err = os.Mkdir(target, 0o755)
		} else {
			err = os.WriteFile(target, c.there, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		in := newInbox(t, dir, c.cfg)
		f := newFeed(t, SendConfig{}, o)
		for !isDone(in) {
			in.Handle(f.next())
		}
		if err := in.Err(); errors.Is(err, fs.ErrExist) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !c.refused {
			wantFile(t, target, b)
		} else if c.there != nil {
			wantFile(t, target, c.there)
		}
		if name == "same" && in.Stats().Stored > 0 {
			t.Errorf("%s: %d symbols were taken", name, in.Stats().Stored)
		}
	}
}

var _ io.ReaderAt = (*tree)(nil)
