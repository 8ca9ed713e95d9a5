package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// metaPackage depends on the newest kernel for clouds that the distribution has.
const metaPackage = "linux-image-cloud-amd64"

// unavailable is an error that means that no guest can be had here, through no fault of what is tested.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// kernel is an unpacked kernel package.
type kernel struct {
	dir     string
	image   string // vmlinuz
	modules string // lib/modules/<version>
}

// findKernel returns a kernel unpacked below cache: the given package's, or the one that apt offers, or, if it offers none, the
// newest of an earlier run.
func findKernel(cache, deb string) (kernel, error) {
	if deb != "" {
		return unpackKernel(cache, deb)
	}
	name, file, err := offeredPackage()
	if err == nil {
		if k, err := openKernel(unpackedDir(cache, file)); err == nil {
			return k, nil
		}
		var k kernel
		if k, err = downloadKernel(cache, name, file); err == nil {
			return k, nil
		}
	}
	if k, ok := cachedKernel(cache); ok {
		fmt.Fprintf(os.Stderr, "guest: %v; using %s of an earlier run\n", err, filepath.Base(k.dir))
		return k, nil
	}
	return kernel{}, unavailable{fmt.Errorf("no kernel: %w; name a package with -package", err)}
}

// offeredPackage asks apt for the package behind metaPackage, and for its file's name, which has the version in it.
func offeredPackage() (name, file string, err error) {
	out, err := output("", "apt-cache", "depends", "--important", metaPackage)
	if err != nil {
		return "", "", err
	}
	if name = parseDependency(out); name == "" {
		return "", "", fmt.Errorf("apt-cache knows no kernel behind %s: apt-get update may help", metaPackage)
	}
	out, err = output("", "apt-get", "download", "--print-uris", name)
	if err != nil {
		return "", "", err
	}
	if file = parseURI(out); file == "" {
		return "", "", fmt.Errorf("apt-get download --print-uris %s says %q", name, out)
	}
	return name, file, nil
}

// parseDependency finds a kernel's package among what "apt-cache depends" prints.
func parseDependency(text string) string {
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		if ok && strings.HasPrefix(name, "linux-image-") {
			return name
		}
	}
	return ""
}

// parseURI finds the file's name in what "apt-get download --print-uris" prints: 'URI' name size hash.
func parseURI(text string) string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 3 && strings.HasPrefix(fields[0], "'") && strings.HasSuffix(fields[1], ".deb") {
			return filepath.Base(fields[1])
		}
	}
	return ""
}

// downloadKernel fetches a package and unpacks it.
func downloadKernel(cache, name, file string) (kernel, error) {
	dir, err := os.MkdirTemp("", "rmcast-guest-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(os.Stderr, "guest: downloading %s\n", file)
	if _, err := output(dir, "apt-get", "download", name); err != nil {
		return kernel{}, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return kernel{}, fmt.Errorf("apt-get download %s left %d files, %w", name, len(found), err)
	}
	return unpackKernel(cache, found[0])
}

// unpackedDir is where a package's content is kept.
func unpackedDir(cache, deb string) string {
	return filepath.Join(cache, strings.TrimSuffix(filepath.Base(deb), ".deb"))
}

// unpackKernel unpacks a package's file, if that was not done before.
func unpackKernel(cache, deb string) (kernel, error) {
	dir := unpackedDir(cache, deb)
	if k, err := openKernel(dir); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return kernel{}, err
	}
	part, err := os.MkdirTemp(cache, "part-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(part)
	if _, err := output("", "dpkg-deb", "-x", deb, part); err != nil {
		return kernel{}, err
	}
	if _, err := openKernel(part); err != nil {
		return kernel{}, err
	}
	// A directory that is there is whole: it gets its name last. Whoever was faster has unpacked the same.
	if err := os.Rename(part, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return kernel{}, err
	}
	return openKernel(dir)
}

// openKernel looks for a kernel in a directory into which a package was unpacked.
func openKernel(dir string) (kernel, error) {
	images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	for _, lib := range []string{"lib", "usr/lib"} {
		modules, _ := filepath.Glob(filepath.Join(dir, lib, "modules", "*"))
		if len(images) == 1 && len(modules) == 1 {
			return kernel{dir: dir, image: images[0], modules: modules[0]}, nil
		}
	}
	return kernel{}, fmt.Errorf("no kernel with modules in %s", dir)
}

// cachedKernel returns the newest of the kernels that were unpacked; directories have the time at which their package was made.
func cachedKernel(cache string) (kernel, bool) {
	dirs, _ := filepath.Glob(filepath.Join(cache, "linux-image-*"))
	age := func(dir string) time.Time {
		st, err := os.Stat(dir)
		if err != nil {
			return time.Time{}
		}
		return st.ModTime()
	}
	slices.SortFunc(dirs, func(a, b string) int { return age(b).Compare(age(a)) })
	for _, dir := range dirs {
		if k, err := openKernel(dir); err == nil {
			return k, true
		}
	}
	return kernel{}, false
}

// output runs a program in dir and returns what it prints. What it says on its standard error is for the reader of an error only.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
