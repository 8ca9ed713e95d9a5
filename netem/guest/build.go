package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// module paths of what is built besides tests.
const (
	selfPath  = "github.com/rmcast/rmcast/netem/guest"
	benchPath = "github.com/rmcast/rmcast/bench"
)

// environment is what programs in the guest see. What would be skipped elsewhere for want of rights or of modules fails there.
var environment = []string{
	"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp", netem.NeedLabEnv + "=1", netem.NeedQdiscEnv + "=1",
}

// image is a guest's first file system in the making: an archive with this command as /init.
type image struct {
	ctx  context.Context
	work string // for what is built
	job  job
	a    *archive
}

// makeImage writes the archive to w.
func makeImage(ctx context.Context, w io.Writer, work, nonce string, k kernel, o *options) (err error) {
	im := &image{ctx: ctx, work: work, job: job{Nonce: nonce}, a: newArchive(w)}
	im.a.dir("dev")
	im.a.device("dev/console", 0o600, 5, 1) // without it the kernel starts init with no output
	if err := im.build(selfPath, "init"); err != nil {
		return err
	}
	if err := im.modules(k, append(wantedModules, o.modules...)); err != nil {
		return err
	}
	if len(o.tests) > 0 {
		if err := im.tests(o); err != nil {
			return err
		}
	}
	if o.bench {
		if err := im.build(benchPath, "bin/bench"); err != nil {
			return err
		}
		im.job.Programs = append(im.job.Programs, program{Name: "bench", Path: "/bin/bench", Args: o.benchArgs, Dir: "/", Env: environment})
	}
	b, err := json.MarshalIndent(im.job, "", "  ")
	if err != nil {
		return err
	}
	im.a.file(jobFile, 0o444, b)
	return im.a.close()
}

// modules adds the modules' files.
func (im *image) modules(k kernel, names []string) error {
	tree, err := openModules(k.modules)
	if err != nil {
		return err
	}
	mods, err := tree.load(names)
	if err != nil {
		return err
	}
	for _, m := range mods {
		name := path.Join("modules", m.name+".ko")
		im.a.file(name, 0o444, m.image)
		im.job.Modules = append(im.job.Modules, "/"+name)
	}
	return nil
}

// tests adds the test programs of the packages, each with its testdata, and runs each in a directory of its own as go test does.
func (im *image) tests(o *options) error {
	args := append([]string{"list", "-tags", o.tags, "-f", "{{.ImportPath}}\t{{.Dir}}"}, o.tests...)
	list, err := im.run("go", args...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		pkg, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			return fmt.Errorf("go list says %q", line)
		}
		name := strings.TrimPrefix(pkg, "github.com/rmcast/rmcast/")
		bin := path.Join("bin", strings.ReplaceAll(name, "/", "_")+".test")
		if err := im.compile(bin, "test", "-c", "-tags", o.tags, pkg); err != nil {
			return err
		}
		at := path.Join("src", name)
		im.a.dir(at)
		if err := im.tree(filepath.Join(dir, "testdata"), path.Join(at, "testdata")); err != nil {
			return err
		}
		im.job.Programs = append(im.job.Programs, program{
			Name: name, Path: "/" + bin, Dir: "/" + at, Env: environment,
			Args: append([]string{"-test.v", "-test.run=" + o.run, "-test.timeout=" + (o.timeout - o.timeout/10).String()}, o.testArgs...),
		})
	}
	return nil
}

// tree adds the files below a directory, if there is one.
func (im *image) tree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == from && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !d.Type().IsRegular():
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		im.a.file(path.Join(to, filepath.ToSlash(rel)), 0o444, b)
		return nil
	})
}

// build adds a program of a package under a name.
func (im *image) build(pkg, name string) error { return im.compile(name, "build", pkg) }

// compile runs go with the arguments and adds what it makes. It is linked statically: there are no libraries in the guest.
func (im *image) compile(name, command string, args ...string) error {
	out := filepath.Join(im.work, filepath.Base(name))
	_, err := im.run("go", append([]string{command, "-trimpath", "-ldflags=-s -w", "-o", out}, args...)...)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	im.a.file(name, 0o555, b)
	return nil
}

// run runs a program and returns its output; it sees a Go that makes static programs for the guest.
func (im *image) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(im.ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
