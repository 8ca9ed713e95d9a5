package rmcast_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// pureDirs are floors 1 to 3 and the leaf: their own files (not their tests) have no goroutine, channel, lock, clock, socket, logger,
// file or global randomness, so that one engine serves sockets, virtual-time tests and the simulator.
var pureDirs = []string{"seq", "mono", "wire", "window", "nack", "fec", "flow", "session", "channel"}

const (
	timeRate = "golang.org/x/time/rate"
	anything = "*"
)

// pureImports is what pure files may import beyond the list of floors, and of it which names. What only computes is in;
// sync, context, net, os, log and maps (whose order decides by chance) are out. A new one is a line here.
var pureImports = map[string]string{
	"bytes": anything, "cmp": anything, "errors": anything, "hash": anything, "io": anything, "iter": anything, "math": anything, "math/bits": anything,
	"math/cmplx": anything, "net/netip": anything, "slices": anything, "sort": anything, "strconv": anything, "strings": anything,
	"unicode": anything, "unicode/utf8": anything, "container/heap": anything, "container/list": anything, "encoding": anything,
	"encoding/binary": anything, "encoding/hex": anything, "crypto/hmac": anything, "crypto/md5": anything, "crypto/sha3": anything, "unsafe": anything,

	"fmt":          "Append Appendf Appendln Errorf Formatter GoStringer State Stringer Sprint Sprintf Sprintln",
	"time":         "Duration Hour Microsecond Millisecond Minute Nanosecond ParseDuration Second Time Unix UnixMicro UnixMilli",
	"math/rand/v2": "ChaCha8 New NewChaCha8 NewPCG NewZipf PCG Rand Source Zipf",
	timeRate:       "Every Inf InfDuration Limit Limiter NewLimiter Reservation",
}

// clockMethods are those of x/time/rate that read the clock themselves; each has a form that takes the time.
var clockMethods = strings.Fields("Allow Cancel Delay Reserve SetBurst SetLimit Tokens Wait WaitN")

func TestPure(t *testing.T) {
	for _, dir := range pureDirs {
		breaches, files := pureBreaches(os.DirFS("."), dir)
		if files == 0 {
			t.Errorf("%s: no files: is it still a floor?", dir)
		}
		for _, b := range breaches {
			t.Error(b)
		}
	}
}

// pureBreaches parses a package's own files and returns one line for each thing they must not have.
func pureBreaches(fsys fs.FS, dir string) (breaches []string, files int) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.go"))
	if err != nil {
		return []string{err.Error()}, 0
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	paced := false
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return []string{err.Error()}, files
		}
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return []string{err.Error()}, files
		}
		parsed = append(parsed, f)
		paced = paced || slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return importPath(s) == timeRate })
	}
	for _, f := range parsed {
		c := pureChecker{fset: fset, paced: paced, names: map[string]string{}}
		c.imports(f)
		ast.Inspect(f, c.node)
		breaches = append(breaches, c.breaches...)
	}
	return breaches, len(parsed)
}

type pureChecker struct {
	fset     *token.FileSet
	names    map[string]string // of imports with a choice of names, by the name they have in the file
	paced    bool              // the package has a rate.Limiter somewhere
	breaches []string
}

func (c *pureChecker) breach(n ast.Node, format string, args ...any) {
	c.breaches = append(c.breaches, fmt.Sprintf("%v: %s", c.fset.Position(n.Pos()), fmt.Sprintf(format, args...)))
}

func (c *pureChecker) imports(f *ast.File) {
	for _, spec := range f.Imports {
		target := importPath(spec)
		if target == module || strings.HasPrefix(target, module+"/") {
			continue // TestFloors
		}
		allowed, known := pureImports[target]
		if first, _, _ := strings.Cut(target, "/"); !known && strings.Contains(first, ".") {
			continue // TestFloors
		}
		if !known {
			c.breach(spec, "import of %q", target)
			continue
		}
		name := path.Base(target)
		if target == "math/rand/v2" {
			name = "rand"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if allowed == anything {
			continue
		}
		if name == "." {
			c.breach(spec, "dot import of %q hides which names are used", target)
		}
		c.names[name] = target
	}
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser checked it
	}
	return p
}

func (c *pureChecker) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.breach(n, "goroutine")
	case *ast.ChanType:
		c.breach(n, "channel type")
	case *ast.SendStmt:
		c.breach(n, "send on a channel")
	case *ast.SelectStmt:
		c.breach(n, "select")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.breach(n, "receive from a channel")
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
			c.breach(n, "output by %s", id.Name)
		}
	case *ast.SelectorExpr:
		c.selector(n)
	}
	return true
}

// selector checks package.Name against the names allowed of the package, and x.Method against the clock readers. A local
// variable that shadows an import is taken for it: rename it.
func (c *pureChecker) selector(n *ast.SelectorExpr) {
	if id, ok := n.X.(*ast.Ident); ok {
		if target, ok := c.names[id.Name]; ok {
			if !slices.Contains(strings.Fields(pureImports[target]), n.Sel.Name) {
				c.breach(n, "%s.%s", target, n.Sel.Name)
			}
			return
		}
	}
	if c.paced && slices.Contains(clockMethods, n.Sel.Name) {
		c.breach(n, "%s reads the clock if it is that of x/time/rate; take the form with the time", n.Sel.Name)
	}
}

// Each bad line is put into a package of its own and must be the one thing found there; good ones must pass.
func TestPureCatches(t *testing.T) {
	type source struct{ imports, decl, want string }
	for _, s := range []source{
		{"", "func f() { go f() }", "goroutine"},
		{"", "type t struct{ c chan int }", "channel type"},
		{"", "func f(c t) { c <- 1 }", "send on"},
		{"", "func f(c t) { <-c }", "receive from"},
		{"", "func f() { select {} }", "select"},
		{"", "func f() { println(1) }", "output by println"},
		{"", "func f() { print(1) }", "output by print"},
		{`"sync"`, "var _ sync.Mutex", `import of "sync"`},
		{`"sync/atomic"`, "var _ atomic.Int32", `import of "sync/atomic"`},
		{`"context"`, "var _ context.Context", `import of "context"`},
		{`"net"`, "var _ net.Conn", `import of "net"`},
		{`"os"`, "var _ os.File", `import of "os"`},
		{`"os/exec"`, "var _ exec.Cmd", `import of "os/exec"`},
		{`"syscall"`, "var _ syscall.Errno", `import of "syscall"`},
		{`"log"`, "var _ log.Logger", `import of "log"`},
		{`"log/slog"`, "var _ slog.Logger", `import of "log/slog"`},
		{`"math/rand"`, "var _ rand.Rand", `import of "math/rand"`},
		{`"crypto/rand"`, "var _ = rand.Text", `import of "crypto/rand"`},
		{`"maps"`, "var _ = maps.Keys", `import of "maps"`},
		{`"runtime"`, "var _ = runtime.Gosched", `import of "runtime"`},
		{`_ "os"`, "", `import of "os"`},
		{`"C"`, "", `import of "C"`},
		{`"time"`, "var _ = time.Now()", "time.Now"},
		{`"time"`, "var _ = time.Now", "time.Now"}, // as a value
		{`"time"`, "func f(t time.Time) { _ = time.Since(t) }", "time.Since"},
		{`"time"`, "func f(t time.Time) { _ = time.Until(t) }", "time.Until"},
		{`"time"`, "func f() { time.Sleep(1) }", "time.Sleep"},
		{`"time"`, "var _ = time.After(1)", "time.After"},
		{`"time"`, "var _ = time.AfterFunc", "time.AfterFunc"},
		{`"time"`, "var _ = time.NewTimer(1)", "time.NewTimer"},
		{`"time"`, "var _ = time.NewTicker(1)", "time.NewTicker"},
		{`"time"`, "var _ time.Timer", "time.Timer"},
		{`"time"`, "var _ = time.Tick(1)", "time.Tick"},
		{`"time"`, "var _ = time.Local", "time.Local"},
		{`clock "time"`, "var _ = clock.Now()", "time.Now"},
		{`. "time"`, "var _ = Now()", "dot import"},
		{`"math/rand/v2"`, "var _ = rand.IntN(6)", "math/rand/v2.IntN"},
		{`"math/rand/v2"`, "var _ = rand.N(6)", "math/rand/v2.N"},
		{`"math/rand/v2"`, "var _ = rand.Float64", "math/rand/v2.Float64"},
		{`dice "math/rand/v2"`, "var _ = dice.Uint64()", "math/rand/v2.Uint64"},
		{`"fmt"`, "func f() { fmt.Println(1) }", "fmt.Println"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.Allow() }", "Allow reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.Reserve() }", "Reserve reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { _ = l.Wait }", "Wait reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.WaitN(nil, 1) }", "WaitN reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.SetLimit(1) }", "SetLimit reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.SetBurst(1) }", "SetBurst reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter) { l.Tokens() }", "Tokens reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(r *rate.Reservation) { r.Delay() }", "Delay reads the clock"},
		{`"golang.org/x/time/rate"`, "func f(r *rate.Reservation) { r.Cancel() }", "Cancel reads the clock"},
		{`"golang.org/x/time/rate"`, "var _ rate.Sometimes", "golang.org/x/time/rate.Sometimes"},

		{`"time"`, "func f(d time.Duration) time.Time { return time.Unix(0, int64(d*time.Second)) }", ""},
		{`"math/rand/v2"`, "func f(r *rand.Rand) int { return r.IntN(6) }", ""},
		{`"math/rand/v2"`, "var _ = rand.New(rand.NewPCG(1, 2)).Float64()", ""},
		{`"net/netip"`, "var _ netip.Addr", ""},
		{`"golang.org/x/time/rate"`, "func f(l *rate.Limiter, t t) { l.AllowN(t, 1); l.ReserveN(t, 1).DelayFrom(t) }", ""},
		{"", "func f(w t) { w.Wait() }", ""}, // no limiter in this package
		{"", "func f(m int) int { return -m }", ""},
	} {
		src := "package p\n"
		if s.imports != "" {
			src += "import " + s.imports + "\n"
		}
		got, files := pureBreaches(fstest.MapFS{"p/a.go": {Data: []byte(src + s.decl + "\n")}}, "p")
		if files != 1 || s.want == "" && len(got) != 0 || s.want != "" && (len(got) != 1 || !strings.Contains(got[0], s.want)) {
			t.Errorf("%s; %s: breaches %q, want one with %q", s.imports, s.decl, got, s.want)
		}
	}
}

// A limiter made in one file is found when another file, which does not import x/time/rate, uses it; tests may do what
// they like; a file that does not parse is a breach.
func TestPureCatchesAcrossFiles(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	fsys := fstest.MapFS{
		"p/a.go":      file("package p\nimport \"golang.org/x/time/rate\"\ntype t struct{ l *rate.Limiter }\n"),
		"p/b.go":      file("package p\nfunc f(t t) { t.l.Allow() }\n"),
		"p/b_test.go": file("package p\nimport \"time\"\nvar _ = time.Now()\n"),
		"q/c.go":      file("package q\nfunc {\n"),
	}
	got, files := pureBreaches(fsys, "p")
	if files != 2 || len(got) != 1 || !strings.HasPrefix(got[0], "p/b.go:2:") {
		t.Errorf("%d files, breaches %q", files, got)
	}
	if got, _ := pureBreaches(fsys, "q"); len(got) != 1 {
		t.Errorf("a broken file passes: %q", got)
	}
}
