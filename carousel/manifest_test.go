package carousel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wide are the default limits.
func wide(t testing.TB) *limits {
	t.Helper()
	c, err := (&InboxConfig{}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l := c.limits()
	return &l
}

// tree returns a manifest of a tree, with hashes that are no hashes.
func treeManifest() *manifest {
	m := &manifest{code: code{64, 4}, name: "tree", entries: []entry{
		{path: ".", dir: true, mode: 0o755, time: time.Unix(1, 2)},
		{path: "a", dir: true, mode: 0o700},
		{path: "a/b", dir: true, mode: 0o700},
		{path: "a/b/c", mode: 0o600, size: 1000},
		{path: "a/z", mode: 0o644, time: time.Unix(-5, 0)},
		{path: "a.b", mode: 0o600, size: 17},
		{path: "empty", dir: true, mode: 0o755},
	}}
	return fill(m)
}

func fill(m *manifest) *manifest {
	m.bytes = 0
	for _, e := range m.entries {
		m.bytes += e.size
	}
	m.hashes = make([][32]byte, max(0, m.partition().blocks))
	for i := range m.hashes {
		m.hashes[i][0] = byte(i)
	}
	return m
}

func TestManifest(t *testing.T) {
	for _, m := range []*manifest{
		treeManifest(),
		fill(&manifest{code: code{1408, 32768}, name: "file", entries: []entry{{path: ".", mode: 0o644, size: 1 << 37}}}),
		fill(&manifest{code: code{1408, 32768}, name: "ünï", entries: []entry{{path: "."}}}),
	} {
		b := m.append(nil)
		got, err := parseManifest(b, wide(t))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %+v, %v; want %+v", m.name, got, err, m)
		}
		for n := range b {
			if _, err := parseManifest(b[:n], wide(t)); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken for a manifest", m.name, n, len(b))
			}
		}
	}
}

// Everything that a manifest must not say, one thing at a time.
func TestManifestRefused(t *testing.T) {
	file := func(m *manifest, path string, size int64) {
		m.entries = append(m.entries, entry{path: path, size: size, mode: 0o600})
	}
	for name, c := range map[string]struct {
		spoil func(m *manifest)
		want  error
	}{
		"dotdot":         {func(m *manifest) { file(m, "../x", 1) }, ErrInvalid},
		"dotdot inside":  {func(m *manifest) { file(m, "empty/../../x", 1) }, ErrInvalid},
		"absolute":       {func(m *manifest) { file(m, "/etc/x", 1) }, ErrInvalid},
		"empty path":     {func(m *manifest) { file(m, "", 1) }, ErrInvalid},
		"nul":            {func(m *manifest) { file(m, "x\x00y", 1) }, ErrInvalid},
		"no UTF-8":       {func(m *manifest) { file(m, "x\xff", 1) }, ErrInvalid},
		"double slash":   {func(m *manifest) { file(m, "empty//x", 1) }, ErrInvalid},
		"long":           {func(m *manifest) { file(m, strings.Repeat("x", 256), 1) }, ErrInvalid},
		"longer":         {func(m *manifest) { file(m, strings.Repeat("x/", 2100)+"x", 1) }, ErrInvalid},
		"twice":          {func(m *manifest) { file(m, "empty", 1) }, ErrInvalid},
		"out of order":   {func(m *manifest) { file(m, "b", 1) }, ErrInvalid},
		"no directory":   {func(m *manifest) { file(m, "f/x", 1) }, ErrInvalid},
		"in a file":      {func(m *manifest) { m.entries[6].dir = false; file(m, "empty/x", 1) }, ErrInvalid},
		"itself again":   {func(m *manifest) { file(m, ".", 1) }, ErrInvalid},
		"not itself":     {func(m *manifest) { m.entries[0].path = "x" }, ErrInvalid},
		"file of files":  {func(m *manifest) { m.entries[0].dir = false }, ErrInvalid},
		"setuid":         {func(m *manifest) { m.entries[3].mode = 0o4755 }, ErrInvalid},
		"link":           {func(m *manifest) { m.entries[3].mode = fs.ModeSymlink | 0o777 }, ErrInvalid},
		"name":           {func(m *manifest) { m.name = "a/b" }, ErrInvalid},
		"name dotdot":    {func(m *manifest) { m.name = ".." }, ErrInvalid},
		"name dot":       {func(m *manifest) { m.name = "." }, ErrInvalid},
		"name of ours":   {func(m *manifest) { m.name = stagePrefix + "0123456789abcdef" }, ErrInvalid},
		"no name":        {func(m *manifest) { m.name = "" }, ErrInvalid},
		"symbol of 65":   {func(m *manifest) { m.symbolBytes = 65 }, ErrInvalid},
		"symbol of 0":    {func(m *manifest) { m.symbolBytes = 0 }, ErrInvalid},
		"block of 0":     {func(m *manifest) { m.blockSymbols = 0 }, ErrInvalid},
		"block of 32769": {func(m *manifest) { m.blockSymbols = 32769 }, ErrInvalid},
		"hash too many":  {func(m *manifest) { m.hashes = append(m.hashes, [32]byte{}) }, ErrInvalid},
		"hash too few":   {func(m *manifest) { m.hashes = m.hashes[1:] }, ErrInvalid},
		"no entry":       {func(m *manifest) { m.entries = nil }, ErrInvalid},
		"2^60 bytes":     {func(m *manifest) { m.entries[3].size = 1 << 60 }, ErrLimit},
		"2^63 bytes":     {func(m *manifest) { m.entries[3].size = -1 << 63 }, ErrLimit},
		"sum overflows":  {func(m *manifest) { m.entries[3].size = 1<<63 - 1; m.entries[5].size = 1<<63 - 1 }, ErrLimit},
		"many symbols":   {func(m *manifest) { m.entries[3].size = 200 << 30 }, ErrLimit},
		"many blocks":    {func(m *manifest) { m.blockSymbols = 1; m.entries[3].size = 64 * 70000 }, ErrLimit},
		"large blocks": {func(m *manifest) {
			m.symbolBytes, m.blockSymbols, m.entries[3].size = 65472, 32768, 1<<31
		}, ErrLimit},
	} {
		m := treeManifest()
		c.spoil(m)
		b := m.append(nil)
		got, err := parseManifest(b, wide(t))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
	b := append([]byte(manifestMagic), 64, 4, 1, 'x')
	b = binary.AppendUvarint(b, 1_000_000)
	if _, err := parseManifest(append(b, make([]byte, 9_000_000)...), wide(t)); !errors.Is(err, ErrLimit) {
		t.Errorf("a million files: %v", err)
	}
	// An unknown kind of entry, such as a link would be.
	m := treeManifest()
	b = m.append(nil)
	at := bytes.LastIndex(b, []byte("empty")) - 4
	if b[at] != entryDir {
		t.Fatalf("byte %d is %d", at, b[at])
	}
	b[at] |= 4
	if _, err := parseManifest(b, wide(t)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "neither file nor directory") {
		t.Errorf("an unknown kind: %v", err)
	}
}

// What is right within small limits.
func TestLimits(t *testing.T) {
	lim := *wide(t)
	lim.files = 7
	lim.bytes = 1017
	if _, err := parseManifest(treeManifest().append(nil), &lim); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func(*limits){
		"files": func(l *limits) { l.files-- }, "bytes": func(l *limits) { l.bytes-- },
		"blocks": func(l *limits) { l.blocks = 3 }, "symbols": func(l *limits) { l.symbols = 15 }, "block": func(l *limits) { l.blockBytes = 255 },
	} {
		l := lim
		spoil(&l)
		if _, err := parseManifest(treeManifest().append(nil), &l); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What a manifest must not say is not said by chance either: what is parsed has paths that stay inside, in order, each in a directory.
func checkManifest(t interface{ Fatalf(string, ...any) }, m *manifest, lim *limits) {
	if !validName(m.name) || len(m.entries) < 1 || len(m.entries) > lim.files || m.bytes > lim.bytes {
		t.Fatalf("name %q, %d entries, %d bytes", m.name, len(m.entries), m.bytes)
	}
	dirs := map[string]bool{}
	seen := map[string]bool{}
	for i, e := range m.entries {
		parent := "."
		if at := strings.LastIndexByte(e.path, '/'); at >= 0 {
			parent = e.path[:at]
		}
		if !fs.ValidPath(e.path) || seen[e.path] || i > 0 && !dirs[parent] || e.mode&^fs.ModePerm != 0 || e.size < 0 {
			t.Fatalf("entry %d: %+v", i, e)
		}
		seen[e.path] = true
		dirs[e.path] = e.dir
	}
	if p := m.partition(); p.blocks != len(m.hashes) || p.symbols > lim.symbols {
		t.Fatalf("%d hashes for %+v", len(m.hashes), p)
	}
	again, err := parseManifest(m.append(nil), lim)
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Fatalf("again: %+v, %v; want %+v", again, err, m)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(treeManifest().append(nil))
	f.Add(fill(&manifest{code: code{1408, 32768}, name: "file", entries: []entry{{path: ".", size: 5}}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := wide(t)
		if m, err := parseManifest(b, lim); err == nil {
			checkManifest(t, m, lim)
		} else if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrLimit) {
			t.Fatalf("error %v", err)
		}
	})
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte{version, 3, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 9}, true)
	f.Add(appendPacket(nil, head{kind: kindData, symbol: 65535, block: 7}, make([]byte, 64)), false)
	r := Root{Name: "x", Bytes: 7, manifestBytes: 9, code: code{64, 1}}
	f.Add(appendPacket(nil, head{kind: kindRoot}, r.append(nil)), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= headBytes { // or else hardly any gets through
			binary.BigEndian.PutUint32(b[16:], checksum(b[:16], b[headBytes:]))
		}
		h, payload, err := parsePacket(b)
		if err != nil {
			return
		}
		if again := appendPacket(nil, h, payload); !bytes.Equal(again, b) {
			t.Fatalf("%x, again %x", b, again)
		}
		lim := wide(t)
		r, err := parseRoot(h.id, payload, lim)
		if err != nil {
			return
		}
		if r.ID() != h.id || !validName(r.Name) || r.Bytes > lim.bytes || r.manifestBytes > lim.manifest || !bytes.Equal(r.append(nil), payload) {
			t.Fatalf("root %+v", r)
		}
		if p := onePart(r.manifestBytes, r.code.symbolBytes); p.blocks != 1 || p.k(0) > 32768 {
			t.Fatalf("manifest %+v", p)
		}
	})
}

// One changed bit anywhere is noticed.
func TestPacketChecksum(t *testing.T) {
	b := appendPacket(nil, head{kind: kindData, symbol: 3, block: 4, id: ID{5}}, []byte("payload"))
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := parsePacket(b); err == nil {
			t.Errorf("bit %d", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	if h, p, err := parsePacket(b); err != nil || h.symbol != 3 || h.block != 4 || h.id != (ID{5}) || string(p) != "payload" {
		t.Errorf("%+v, %q, %v", h, p, err)
	}
	for n := range headBytes {
		if _, _, err := parsePacket(b[:n]); err == nil {
			t.Errorf("%d bytes are a packet", n)
		}
	}
}

// In comparePaths' order a directory's entries follow it at once, as fs.WalkDir has them.
func TestComparePaths(t *testing.T) {
	path := rapid.StringMatching(`[ab.]{1,2}(/[ab.]{1,2}){0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := path.Draw(t, "a"), path.Draw(t, "b")
		want := 0
		as, bs := strings.Split(a, "/"), strings.Split(b, "/")
		for i := 0; want == 0 && i < len(as) && i < len(bs); i++ {
			want = strings.Compare(as[i], bs[i])
		}
		if want == 0 {
			want = len(as) - len(bs)
		}
		if got := comparePaths(a, b); (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}
