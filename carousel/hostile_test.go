package carousel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// forger makes packets that say what it likes, with right checksums.
type forger struct {
	in  *Inbox
	log bytes.Buffer
	dir string
}

func newForger(t testing.TB, cfg InboxConfig) *forger {
	f := &forger{dir: filepath.Join(t.TempDir(), "inbox")}
	cfg.Logger = slog.New(slog.NewTextHandler(&f.log, nil))
	f.in = newInbox(t, f.dir, cfg)
	return f
}

func (f *forger) send(k kind, id ID, block, symbol int, payload []byte) {
	f.in.Handle(appendPacket(nil, head{kind: k, symbol: symbol, block: block, id: id}, payload))
}

// announce sends the root and the manifest of an object.
func (f *forger) announce(t testing.TB, m *manifest) ID {
	b := m.append(nil)
	r := Root{Name: m.name, Bytes: m.bytes, Manifest: sha256.Sum256(b), manifestBytes: len(b), code: code{64, 32768}}
	f.send(kindRoot, r.ID(), 0, 0, r.append(nil))
	for i := 0; i < len(b); i += 64 {
		s := make([]byte, 64)
		copy(s, b[i:])
		f.send(kindManifest, r.ID(), 0, i/64, s)
	}
	f.in.settle()
	return r.ID()
}

// wantLog checks that the log names something, and that nothing is outside the Inbox's directory.
func (f *forger) wantLog(t testing.TB, want string) {
	t.Helper()
	if !strings.Contains(f.log.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, f.log.String())
	}
	wantOnly(t, filepath.Dir(f.dir), "inbox")
}

// A manifest with a right hash that says what it must not: refused, named, and nothing is made.
func TestHostileManifest(t *testing.T) {
	for path, want := range map[string]error{
		"../evil": ErrInvalid, "/tmp/evil": ErrInvalid, "a/../../evil": ErrInvalid, "..": ErrInvalid, "a//b": ErrInvalid, "a/./b": ErrInvalid,
	} {
		f := newForger(t, InboxConfig{})
		f.announce(t, fill(&manifest{code: code{64, 10}, name: "x", entries: []entry{{path: ".", dir: true}, {path: path, size: 100}}}))
		if err := f.in.Err(); !errors.Is(err, want) || !isDone(f.in) {
			t.Errorf("%s: %v", path, err)
		}
		f.wantLog(t, "path")
		wantOnly(t, f.dir)
	}
}

// Links that somebody put into the directory are not followed out of it.
func TestLinkInTheWay(t *testing.T) {
	outside := t.TempDir()
	b := random(1, 5000)
	o := object(t, "file", b, small)
	for _, at := range []string{"file", stageName(o.root.ID())} {
		dir := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, at)); err != nil {
			t.Skip(err)
		}
		in := newInbox(t, dir, InboxConfig{Replace: true})
		f := newFeed(t, SendConfig{}, o)
		for range 500 {
			in.Handle(f.next())
		}
		if !isDone(in) || in.Err() == nil {
			t.Errorf("%s is a link: %v", at, in.Err())
		}
		wantOnly(t, outside)
	}
}

// Roots that claim too much or contradict themselves: refused, named once however often they come, nothing is made.
func TestHostileRoot(t *testing.T) {
	good := Root{Name: "x", Bytes: 1000, Manifest: [32]byte{1}, manifestBytes: 100, code: code{64, 100}}
	for what, c := range map[string]struct {
		spoil func(*Root)
		want  string
	}{
		"bytes":          {func(r *Root) { r.Bytes = 1 << 60 }, "1152921504606846976 bytes"},
		"negative":       {func(r *Root) { r.Bytes = -1 }, "-1 bytes"},
		"blocks":         {func(r *Root) { r.Bytes, r.code.blockSymbols = 1<<30, 1 }, "blocks"},
		"symbols":        {func(r *Root) { r.Bytes = 255 << 30 }, "symbols"},
		"symbol":         {func(r *Root) { r.code.symbolBytes = 0 }, "symbols of 0 bytes"},
		"block":          {func(r *Root) { r.code.blockSymbols = 0 }, "blocks of 0 symbols"},
		"manifest":       {func(r *Root) { r.manifestBytes = 1<<31 - 1 }, "a manifest of 2147483647 bytes"},
		"large manifest": {func(r *Root) { r.manifestBytes = 64*32768 + 1 }, "a manifest of 2097153 bytes"},
		"no manifest":    {func(r *Root) { r.manifestBytes = 0 }, "a manifest of 0 bytes"},
		"name":           {func(r *Root) { r.Name = "../x" }, "../x"},
		"stage":          {func(r *Root) { r.Name = stagePrefix + "0000000000000000" }, "name"},
		"no name":        {func(r *Root) { r.Name = "" }, "root of 48 bytes"},
		"another's":      {func(r *Root) { r.Manifest[0] = 2 }, "the root of another object"},
	} {
		f := newForger(t, InboxConfig{})
		r := good
		c.spoil(&r)
		for range 5 {
			f.send(kindRoot, good.ID(), 0, 0, r.append(nil))
		}
		f.send(kindData, good.ID(), 0, 0, make([]byte, 64))
		if st := f.in.Stats(); len(f.in.Objects()) != 0 || st.Refused != 5 || f.in.early.bytes != 0 {
			t.Errorf("%s: %v, %+v, %d bytes kept", what, f.in.Objects(), st, f.in.early.bytes)
		}
		f.wantLog(t, c.want)
		if n := strings.Count(f.log.String(), "\n"); n != 1 {
			t.Errorf("%s: %d lines in the log", what, n)
		}
		wantOnly(t, f.dir)
		f.send(kindRoot, good.ID(), 0, 0, good.append(nil)) // the right one comes all the same
		if len(f.in.Objects()) != 1 {
			t.Errorf("%s: the right root is refused after it", what)
		}
	}
}

// Symbols that the object does not have are counted and named, and change nothing.
func TestOutOfRange(t *testing.T) {
	f := newForger(t, InboxConfig{})
	b := random(1, 1000)
	o := object(t, "file", b, ObjectConfig{SymbolBytes: 64, BlockSymbols: 5})
	s := newFeed(t, SendConfig{Seed: 1}, o)
	f.in.Handle(s.next())
	id := o.root.ID()
	f.send(kindManifest, id, 0, 60000, make([]byte, 64))
	f.send(kindManifest, id, 1, 0, make([]byte, 64))
	f.send(kindManifest, id, 0, 0, make([]byte, 63))
	for f.in.Stats().Stored < 3 {
		f.in.Handle(s.next())
	}
	for _, c := range [][3]int{{4, 0, 64}, {1<<31 - 1, 0, 64}, {0, 10, 64}, {0, 65535, 64}, {3, 2*o.part.k(3) + 1, 64}, {0, 0, 63}, {0, 0, 128}, {0, 0, 0}} {
		f.send(kindData, id, c[0], c[1], make([]byte, c[2]))
	}
	if st := f.in.Stats(); st.OutOfRange != 11 || st.Stored != 3 {
		t.Errorf("%+v", st)
	}
	f.wantLog(t, "out of range")
	run(t, f.in, s, 0, newRand(1))
	wantFile(t, filepath.Join(f.dir, "file"), b)
}

// Wrong bytes with right checksums: the block is taken again, the others are not, and nothing wrong becomes visible.
func TestWrongBlock(t *testing.T) {
	f := newForger(t, InboxConfig{})
	b := random(1, 20000)
	o := object(t, "file", b, small)
	s := newFeed(t, SendConfig{Seed: 1}, o)
	for f.in.Stats().Stored == 0 {
		f.in.Handle(s.next())
	}
	f.send(kindData, o.root.ID(), 1, 2*o.part.k(1)-1, random(9, 128)) // parity that the first turn does not bring
	f.send(kindData, o.root.ID(), 2, 2*o.part.k(2)-1, make([]byte, 128))
	run(t, f.in, s, 0.1, newRand(1))
	wantFile(t, filepath.Join(f.dir, "file"), b)
	st := f.in.Stats()
	if st.BadBlocks != 2 || st.Stored != uint64(o.Symbols())+uint64(o.part.k(1)+o.part.k(2)) {
		t.Errorf("%+v", st)
	}
	f.wantLog(t, "its hash is wrong")
}

// The same within a run of zeros, whose symbols are not written: what the wrong one left there is overwritten.
func TestWrongBlockOfZeros(t *testing.T) {
	f := newForger(t, InboxConfig{})
	b := make([]byte, 20000)
	cfg := small
	cfg.NoParity = true // of which zeros are decoded, and then written
	o := object(t, "file", b, cfg)
	s := newFeed(t, SendConfig{Seed: 1}, o)
	for f.in.Stats().Stored == 0 {
		f.in.Handle(s.next())
	}
	for blk := range o.part.blocks {
		f.send(kindData, o.root.ID(), blk, 20, random(byte(blk), 128))
	}
	run(t, f.in, s, 0, newRand(1))
	wantFile(t, filepath.Join(f.dir, "file"), b)
	if st := f.in.Stats(); st.BadBlocks == 0 {
		t.Errorf("%+v", st)
	}
}

// A wrong symbol of a manifest: it is taken again.
func TestWrongManifest(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	makeTree(t, tree, 50)
	o := openObject(t, tree, small)
	f := newForger(t, InboxConfig{})
	s := newFeed(t, SendConfig{}, o)
	f.in.Handle(s.next())
	f.send(kindManifest, o.root.ID(), 0, 2*o.manifestPart.k(0)-1, make([]byte, 128))
	run(t, f.in, s, 0.1, newRand(1))
	t.Cleanup(func() { os.Chmod(filepath.Join(f.dir, "tree", "d0"), 0o755) })
	if got, want := list(t, filepath.Join(f.dir, "tree")), list(t, tree); got != want {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", got, want)
	}
	if st := f.in.Stats(); st.BadManifests != 1 {
		t.Errorf("%+v", st)
	}
}

// Two roots under one id: before the manifest is there the first holds until others come in a row; after, it has decided.
func TestTwoRootsWithOneID(t *testing.T) {
	b := random(1, 20000)
	o := object(t, "file", b, small)
	f := newForger(t, InboxConfig{})
	wrong := o.root
	wrong.Name, wrong.code.symbolBytes, wrong.manifestBytes = "evil", 64, 5000
	id := o.root.ID()
	f.send(kindRoot, id, 0, 0, wrong.append(nil)) // the forged one is first
	for range conflictsToYield - 1 {
		f.send(kindRoot, id, 0, 0, o.root.append(nil))
	}
	if got := f.in.Objects()[0].Name; got != "evil" {
		t.Errorf("name %q too soon", got)
	}
	f.send(kindRoot, id, 0, 0, o.root.append(nil))
	if got := f.in.Objects()[0].Name; got != "file" {
		t.Errorf("name %q", got)
	}
	f.wantLog(t, "two objects with one id")
	s := newFeed(t, SendConfig{}, o)
	other := o.root
	other.Manifest[31]++ // another hash that begins alike
	other.Name = "other"
	for !isDone(f.in) {
		f.send(kindRoot, id, 0, 0, other.append(nil))
		f.in.Handle(s.next())
	}
	wantFile(t, filepath.Join(f.dir, "file"), b)
	wantOnly(t, f.dir, "file")
}

// A root under the right hash that says something else of the object than its manifest: the manifest is right.
func TestRootContradictsManifest(t *testing.T) {
	b := random(1, 20000)
	o := object(t, "file", b, small)
	f := newForger(t, InboxConfig{Accept: func(r Root) bool { return r.Name != "no" }})
	wrong := o.root
	wrong.Name, wrong.Bytes, wrong.code.blockSymbols = "evil", 5, 7
	f.send(kindRoot, wrong.ID(), 0, 0, wrong.append(nil))
	s := newFeed(t, SendConfig{}, o)
	run(t, f.in, s, 0, newRand(1))
	wantFile(t, filepath.Join(f.dir, "file"), b)
	wantOnly(t, f.dir, "file")

	no := object(t, "no", b, small)
	wrong = no.root
	wrong.Name = "yes"
	f = newForger(t, InboxConfig{Accept: func(r Root) bool { return r.Name != "no" }})
	f.send(kindRoot, wrong.ID(), 0, 0, wrong.append(nil))
	s = newFeed(t, SendConfig{}, no)
	for range 2000 {
		f.in.Handle(s.next())
	}
	if got := f.in.Objects(); len(got) != 0 || f.in.early.bytes != 0 {
		t.Errorf("what is not wanted is received: %+v, %d bytes kept", got, f.in.early.bytes)
	}
	wantOnly(t, f.dir)
}

// A flood of objects: there is room for so many, and real ones still come; the early packets are bounded.
func TestFlood(t *testing.T) {
	f := newForger(t, InboxConfig{MaxObjects: 4, EarlyBytes: 1000})
	b := random(1, 20000)
	o := object(t, "file", b, small)
	s := newFeed(t, SendConfig{}, o)
	var at uint64
	for n := 0; !isDone(f.in); n++ {
		if n > 100000 {
			t.Fatalf("not done: %+v, %v", f.in.Stats(), f.in.Objects())
		}
		f.in.Handle(s.next())
		if n%10 == 0 {
			at++
			r := Root{Name: "x", Bytes: 1 << 30, manifestBytes: 1 << 16, code: code{64, 32768}}
			binary.BigEndian.PutUint64(r.Manifest[:], at)
			f.send(kindRoot, r.ID(), 0, 0, r.append(nil))
			f.send(kindData, ID{0xff, byte(n)}, 0, 0, make([]byte, 64))
		}
		if len(f.in.objects) > 4 || f.in.early.bytes > 1000 {
			t.Fatalf("%d objects, %d bytes of early packets", len(f.in.objects), f.in.early.bytes)
		}
	}
	wantFile(t, filepath.Join(f.dir, "file"), b)
	if f.in.Stats().Early == 0 {
		t.Error("all early packets were kept")
	}
}

// The largest object that is allowed takes little memory before its symbols come: nothing that is only claimed is allocated.
func TestClaimsAllocateNothing(t *testing.T) {
	m := fill(&manifest{code: code{1408, 32768}, name: "x", entries: []entry{{path: ".", size: 256 << 30}}})
	b := m.append(nil)
	f := newForger(t, InboxConfig{})
	r := Root{Name: "x", Bytes: m.bytes, Manifest: sha256.Sum256(b), manifestBytes: len(b), code: m.code}
	object(t, "file", random(1, 700), ObjectConfig{SymbolBytes: 64, BlockSymbols: 5}) // the code's tables are made once for the whole process
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f.send(kindRoot, r.ID(), 0, 0, r.append(nil))
	for i := 0; i < len(b); i += 1408 {
		s := make([]byte, 1408)
		copy(s, b[i:])
		f.send(kindManifest, r.ID(), 0, i/1408, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	switch err := f.in.Err(); {
	case errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.ENOSPC):
		t.Skip(err) // a file system without holes, or for small files only
	case err != nil:
		t.Fatal(err)
	}
	if got := f.in.Objects(); len(got) != 1 || !got[0].Known {
		t.Fatalf("%+v", got)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("256 GiB claimed take %d bytes of memory", grown)
	}
}

// Anything at all may come to Handle.
func FuzzInbox(f *testing.F) {
	o := object(f, "file", random(1, 700), ObjectConfig{SymbolBytes: 64, BlockSymbols: 5})
	f.Add([]byte{0, 1, 2, 3, 200, 4, 5, 6, 7, 100, 8, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		in := newInbox(t, t.TempDir(), InboxConfig{MaxObjects: 2, EarlyBytes: 2000})
		s := newFeed(t, SendConfig{Seed: 1, Requests: &Requests{}}, o) // with offers
		for i := 0; i+2 < len(script); i += 3 {
			b := bytes.Clone(s.next())
			if script[i] > 100 { // changed, with a right checksum
				at := int(script[i+1]) % len(b)
				b[at] ^= script[i+2]
				binary.BigEndian.PutUint32(b[16:], checksum(b[:16], b[headBytes:]))
			}
			in.Handle(b[:len(b)-int(script[i])%2*int(script[i+1])%len(b)])
		}
		for range 100000 {
			if isDone(in) {
				break
			}
			in.Handle(s.next())
		}
		if got := in.Err(); got != nil || !isDone(in) {
			t.Fatalf("%v, %+v, %+v", got, in.Objects(), in.Stats())
		}
	})
}
