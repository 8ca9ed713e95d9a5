package main

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// target is one fuzz function.
type target struct{ dir, name string }

func (t target) String() string { return t.dir + "/" + t.name }

var fuzzFunction = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]*)\(\w+ \*testing\.F\)`)

// findTargets returns the fuzz functions of the module's tests, by directory and name: not those of testdata, of hidden directories, of
// nested modules or of files with a build constraint.
func findTargets(fsys fs.FS) (targets []target, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			_, nested := fs.Stat(fsys, path.Join(name, "go.mod"))
			if name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || nested == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, "_test.go") || base[0] == '_' || base[0] == '.' {
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil || strings.HasPrefix(string(b), "//go:build ") {
			return err
		}
		for _, m := range fuzzFunction.FindAllSubmatch(b, -1) {
			targets = append(targets, target{path.Dir(name), string(m[1])})
		}
		return nil
	})
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return targets, err
}
