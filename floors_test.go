// Package rmcast_test holds the checks that are about the whole module: which package may import which, that the lower
// floors are pure, and that a program in another module can use the library.
package rmcast_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/rmcast/rmcast"

// imports says what a package may import beyond the standard library: our packages by directory, others by import path.
// Where two entries are written, the second is for its tests, in addition.
type imports struct{ files, tests []string }

func may(files string, tests ...string) imports {
	return imports{strings.Fields(files), strings.Fields(strings.Join(tests, " "))}
}

const (
	btree     = "github.com/google/btree"
	netlink   = "github.com/vishvananda/netlink github.com/vishvananda/netlink/nl github.com/vishvananda/netns"
	nftables  = "github.com/google/nftables github.com/google/nftables/binaryutil github.com/google/nftables/expr"
	ethtool   = "github.com/safchain/ethtool"
	unix      = "golang.org/x/sys/unix"
	windows   = "golang.org/x/sys/windows"
	xrate     = "golang.org/x/time/rate"
	nettest   = "golang.org/x/net/nettest"
	multicast = "golang.org/x/net/ipv4 golang.org/x/net/ipv6"
	terminal  = "github.com/urfave/cli/v3 github.com/vbauerster/mpb/v8 github.com/vbauerster/mpb/v8/decor golang.org/x/term"

	machines = "wire window nack fec flow "
	roof     = "carousel demand metrics trace capture transport session " + machines + "seq mono dgram netem sim channel " +
		"internal/gate internal/invariant " + unix + " " + windows
)

// floors is the list: a package imports lower floors and never its neighbour; session alone sees two machines. A new arrow
// is a line here, with its reason in ARCHITECTURE.md. What stands in no line, imports nothing.
var floors = map[string]imports{
	".": may(""),

	"seq":  may(""),
	"mono": may(""),

	"wire":   may("seq internal/invariant", "internal/testvec"),
	"window": may("seq mono internal/invariant"),
	"nack":   may("seq mono internal/heap internal/invariant " + btree),
	"fec":    may("seq mono internal/invariant github.com/klauspost/reedsolomon", "internal/testvec"),
	"flow":   may("seq mono internal/invariant", xrate),

	"session":   may(machines+"seq mono internal/invariant", "internal/testvec"),
	"transport": may("session "+machines+"seq mono dgram internal/gate internal/invariant", "netem internal/breakable internal/testvec "+nettest+" "+unix),
	"carousel":  may("transport fec flow wire seq mono internal/aside", "netem internal/breakable"),
	"demand":    may("transport internal/aside "+multicast+" "+unix, "netem carousel flow dgram"),

	"dgram":       may(multicast+" "+unix+" "+windows, netlink),
	"netem":       may("dgram " + netlink + " " + nftables + " " + ethtool + " " + unix),
	"netem/guest": may("netem " + unix),
	"sim":         may("session netem "+machines+"seq mono internal/heap internal/invariant", "internal/testvec"),
	"channel":     may("", "transport netem"),

	"metrics": may("carousel demand transport session flow wire dgram", "netem seq"),
	"trace":   may("session seq wire mono", "transport netem"),
	"capture": may("dgram", "transport netem wire"),

	"internal/aside":     may("transport fec flow", "netem internal/breakable"),
	"internal/breakable": may("dgram", "netem"),
	"internal/gate":      may(""),
	"internal/heap":      may(""),
	"internal/invariant": may(""),
	"internal/measuring": may(""),
	"internal/testvec":   may(""),

	"bench":      may(roof + " internal/measuring"),
	"bench/*":    may(roof + " internal/measuring"),
	"interop":    may(roof, "internal/testvec"),
	"fuzz":       may(roof + " internal/testvec"),
	"fuzz/*":     may(roof + " internal/testvec"),
	"fuzz/soak":  may(roof + " fuzz/history"),
	"examples/*": may(roof),
	"cmd/*":      may(roof),

	"cmd/rmcast":                 may(roof+" cmd/rmcast/internal/human cmd/rmcast/internal/roster cmd/rmcast/internal/pcap "+terminal, "internal/breakable internal/testvec "+netlink+" "+nftables),
	"cmd/rmcast/internal/human":  may("flow"),
	"cmd/rmcast/internal/roster": may("transport fec flow cmd/rmcast/internal/human", "netem"),
	"cmd/rmcast/internal/pcap":   may("", "internal/testvec"),
}

// anyTest is what the tests of every package may import.
var anyTest = []string{"pgregory.net/rapid", "github.com/cockroachdb/datadriven"}

func TestFloors(t *testing.T) {
	for _, breach := range floorBreaches(os.DirFS("."), floors) {
		t.Error(breach)
	}
}

// sources returns the Go files of the module by directory, whatever their build constraints: not hidden ones, not testdata, not
// nested modules.
func sources(fsys fs.FS) (map[string][]string, error) {
	found := map[string][]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if !d.IsDir() {
			if strings.HasSuffix(base, ".go") && base[0] != '.' && base[0] != '_' {
				found[path.Dir(name)] = append(found[path.Dir(name)], name)
			}
			return nil
		}
		if name == "." {
			return nil
		}
		_, nested := fs.Stat(fsys, path.Join(name, "go.mod"))
		if base[0] == '.' || base[0] == '_' || base == "testdata" || nested == nil {
			return fs.SkipDir
		}
		return nil
	})
	return found, err
}

// rule returns the line of the list for a directory; "cmd/*" stands for every directory one level below cmd.
func rule(list map[string]imports, dir string) (imports, bool) {
	if r, ok := list[dir]; ok {
		return r, true
	}
	r, ok := list[path.Dir(dir)+"/*"]
	return r, ok
}

// floorBreaches returns one line for each import, and each package, that the list does not have.
func floorBreaches(fsys fs.FS, list map[string]imports) (breaches []string) {
	dirs, err := sources(fsys)
	if err != nil {
		return []string{err.Error()}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		r, ok := rule(list, dir)
		if !ok {
			breaches = append(breaches, fmt.Sprintf("%s: package is not in the list of floors", dir))
			continue
		}
		for _, name := range dirs[dir] {
			allowed := r.files
			if strings.HasSuffix(name, "_test.go") {
				allowed = slices.Concat(r.files, r.tests, anyTest, []string{dir})
			}
			breaches = append(breaches, importBreaches(fsys, name, allowed)...)
		}
	}
	return breaches
}

func importBreaches(fsys fs.FS, name string, allowed []string) (breaches []string) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return []string{err.Error()}
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ImportsOnly)
	if err != nil {
		return []string{err.Error()}
	}
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{err.Error()}
		}
		own := target == module || strings.HasPrefix(target, module+"/")
		if first, _, _ := strings.Cut(target, "/"); !own && !strings.Contains(first, ".") && target != "C" {
			continue // standard library
		}
		if own {
			target = strings.TrimPrefix(strings.TrimPrefix(target, module), "/")
		}
		if !slices.Contains(allowed, target) {
			breaches = append(breaches, fmt.Sprintf("%v: import of %q is not in the list of floors", fset.Position(spec.Pos()), target))
		}
	}
	return breaches
}

// The check is worth something only if it fails on what it forbids.
func TestFloorsCatches(t *testing.T) {
	file := func(imports ...string) *fstest.MapFile {
		src := "package p\n"
		for _, i := range imports {
			src += fmt.Sprintf("import %q\n", i)
		}
		return &fstest.MapFile{Data: []byte(src)}
	}
	own := func(dir string) string { return module + "/" + dir }
	for _, c := range []struct {
		name   string
		path   string
		source *fstest.MapFile
		want   string // part of the one breach, "" for none
	}{
		{"lower floor", "window/a.go", file(own("seq"), "fmt"), ""},
		{"neighbour", "window/a.go", file(own("wire")), `"wire"`},
		{"neighbour under a build tag", "nack/a.go", &fstest.MapFile{Data: []byte("//go:build plan9\n\npackage p\nimport \"" + own("flow") + "\"\n")}, `"flow"`},
		{"upwards", "wire/a.go", file(own("session")), `"session"`},
		{"side knows no PGM", "dgram/a.go", file(own("wire")), `"wire"`},
		{"third party where allowed", "nack/a.go", file(btree), ""},
		{"third party elsewhere", "window/a.go", file(btree), `"github.com/google/btree"`},
		{"a package of an allowed module", "flow/a.go", file("golang.org/x/time/other"), `"golang.org/x/time/other"`},
		{"test module in a test", "window/a_test.go", file("pgregory.net/rapid", own("window"), own("seq")), ""},
		{"test module in the package", "window/a.go", file("pgregory.net/rapid"), `"pgregory.net/rapid"`},
		{"neighbour in a test", "window/a_test.go", file(own("nack")), `"nack"`},
		{"helper of tests in a test", "wire/a_test.go", file(own("internal/testvec")), ""},
		{"helper of tests in the package", "wire/a.go", file(own("internal/testvec")), `"internal/testvec"`},
		{"new package", "util/a.go", file(), "util: package is not"},
		{"new command", "cmd/rmcast/a.go", file(own("transport")), ""},
		{"roof under a floor", "transport/a.go", file(own("bench")), `"bench"`},
		{"roof on roof", "bench/a.go", file(own("cmd/rmcast")), `"cmd/rmcast"`},
		{"the root", "wire/a.go", file(module), `""`},
		{"cgo", "dgram/a.go", file("C"), `"C"`},
		{"testdata is not ours", "wire/testdata/a.go", file(own("session")), ""},
		{"no Go", "wire/a.go", &fstest.MapFile{Data: []byte("pakcage p")}, "expected 'package'"},
	} {
		got := floorBreaches(fstest.MapFS{c.path: c.source}, floors)
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: breaches %q, want one with %q", c.name, got, c.want)
		}
	}
	nested := fstest.MapFS{"tools/go.mod": {}, "tools/x/a.go": file(own("session"))}
	if got := floorBreaches(nested, floors); len(got) != 0 {
		t.Errorf("a nested module was read: %q", got)
	}
}

// The list itself goes downwards only: following its lines never comes back to where it began.
func TestFloorsHaveNoCycle(t *testing.T) {
	if c := floorCycle(floors); c != "" {
		t.Error(c)
	}
	bad := map[string]imports{"a": may("b"), "b": may("c"), "c": may("a")}
	if floorCycle(bad) == "" {
		t.Error("a cycle of three was not seen")
	}
}

func floorCycle(list map[string]imports) string {
	done := map[string]bool{}
	var visit func(dir string, way []string) string
	visit = func(dir string, way []string) string {
		if slices.Contains(way, dir) {
			return fmt.Sprintf("cycle: %s", strings.Join(append(way, dir), " -> "))
		}
		if done[dir] {
			return ""
		}
		for _, target := range list[dir].files {
			if c := visit(target, append(slices.Clone(way), dir)); c != "" {
				return c
			}
		}
		done[dir] = true
		return ""
	}
	for _, dir := range slices.Sorted(maps.Keys(list)) {
		if c := visit(dir, nil); c != "" {
			return c
		}
	}
	return ""
}
