package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wantedModules are what a netem.Lab and its qdiscs need. Those of them that the kernel has built in are passed over.
var wantedModules = []string{"veth", "bridge", "sch_netem", "sch_tbf", "sch_htb", "nf_tables", "nft_numgen"}

// module is a kernel module, ready to load.
type module struct {
	name  string // with underscores
	image []byte // uncompressed
}

// moduleTree knows the modules below a directory of one kernel, lib/modules/<version>.
type moduleTree struct {
	files   map[string]string // path by name
	builtin map[string]bool
}

// openModules lists the modules below dir.
func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{files: map[string]string{}, builtin: map[string]bool{}}
	err := filepath.WalkDir(filepath.Join(dir, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isModule(path) {
			t.files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		t.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return t, nil
}

func isModule(path string) bool {
	return strings.HasSuffix(path, ".ko") || strings.HasSuffix(path, ".ko.xz")
}

// moduleName is the name a module goes by: that of its file, which may have dashes where the name has underscores.
func moduleName(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}

// load returns the modules and all that they depend on, each after what it depends on itself.
func (t *moduleTree) load(names []string) ([]module, error) {
	return order(names, func(name string) (*module, []string, error) {
		file, ok := t.files[name]
		switch {
		case ok:
		case t.builtin[name]:
			return nil, nil, nil
		default:
			return nil, nil, fmt.Errorf("the kernel has no module %s, neither as a file nor built in", name)
		}
		image, err := readModule(file)
		if err != nil {
			return nil, nil, err
		}
		needs, err := dependencies(image)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		return &module{name: name, image: image}, needs, nil
	})
}

// order visits modules depth first. open returns nil for one that is built in.
func order(names []string, open func(name string) (m *module, needs []string, err error)) ([]module, error) {
	var out []module
	const underWay, done = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case done:
			return nil
		case underWay:
			return fmt.Errorf("module %s depends on itself", name)
		}
		state[name] = underWay
		m, needs, err := open(name)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := visit(need); err != nil {
				return err
			}
		}
		if m != nil {
			out = append(out, *m)
		}
		state[name] = done
		return nil
	}
	for _, name := range names {
		if err := visit(strings.ReplaceAll(name, "-", "_")); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readModule reads a module's file and unpacks it.
func readModule(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, ".xz") {
		return b, err
	}
	cmd := exec.Command("xz", "-dc")
	cmd.Stdin = bytes.NewReader(b)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if b, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("%s: xz: %w %s", file, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return b, nil
}

// dependencies reads from a module which others it needs: the section .modinfo holds key=value texts, each with a NUL behind it.
func dependencies(image []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("no section .modinfo: this is no module")
	}
	b, err := io.ReadAll(s.Open())
	if err != nil {
		return nil, err
	}
	return parseDepends(b), nil
}

func parseDepends(modinfo []byte) (names []string) {
	for text := range bytes.SplitSeq(modinfo, []byte{0}) {
		list, ok := bytes.CutPrefix(text, []byte("depends="))
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(string(list), ",") {
			if name != "" {
				names = append(names, moduleName(name))
			}
		}
	}
	return names
}
