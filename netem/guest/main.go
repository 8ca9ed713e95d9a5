package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// exitUnavailable is the exit code when no guest can be had, as test harnesses have it for what was skipped.
const exitUnavailable = 77

const qemuName = "qemu-system-x86_64"

func main() {
	beInit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code, err := run(ctx, os.Args[1:])
	stop()
	var no unavailable
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.As(err, &no):
		fmt.Fprintln(os.Stderr, "guest: skipped:", err)
		os.Exit(exitUnavailable)
	case err != nil:
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(max(code, 1))
	}
	os.Exit(code)
}

// options are the flags.
type options struct {
	tests     []string // packages
	run       string
	tags      string
	bench     bool
	testArgs  []string
	benchArgs []string
	deb       string
	cache     string
	accel     string
	modules   []string
	cpus      int
	memoryMB  int
	timeout   time.Duration
	verbose   bool
}

// What runs without flags: the tests of the kernel's netem, and a benchmark that a guest without KVM can carry.
var (
	defaultTests = []string{"./netem", "./transport", "./bench"}
	defaultBench = strings.Fields("-setting netem -r 4 -loss 1,10 -size 2M -link 10M -cut 60s -cut-lossy-tcp 60s")
)

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("guest", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./netem/guest [flags] [-- arguments of the tests or of bench]\n\n"+
			"Runs tests and the benchmark on a kernel with sch_netem, under qemu. Without -test and -bench: both.\n\n")
		f.PrintDefaults()
	}
	tests := f.String("test", "", "run the tests of these `packages`, like ./netem,./transport")
	f.StringVar(&o.run, "run", "Kernel", "run only the tests that this `regexp` fits")
	f.StringVar(&o.tags, "tags", "netns", "build `tags` of the tests")
	f.BoolVar(&o.bench, "bench", false, "run the benchmark")
	f.StringVar(&o.deb, "package", "", "`file` of a Debian kernel package (default: the cloud kernel that apt-get downloads)")
	f.StringVar(&o.cache, "cache", "", "`directory` for unpacked kernels (default: rmcast-guest in the user's cache directory)")
	f.StringVar(&o.accel, "accel", "auto", "`accelerator`: kvm, tcg, or auto to try the one and then the other")
	modules := f.String("modules", "", "more kernel `modules` to load, like tcp_bbr")
	f.IntVar(&o.cpus, "cpus", 2, "`number` of the guest's processors")
	f.IntVar(&o.memoryMB, "memory", 1024, "the guest's memory in `MiB`")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end the guest after this `time`")
	f.BoolVar(&o.verbose, "v", false, "show qemu's command line and what the kernel says")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *tests != "" {
		o.tests = strings.Split(*tests, ",")
	}
	if *modules != "" {
		o.modules = strings.Split(*modules, ",")
	}
	switch {
	case len(o.tests) > 0 && o.bench && f.NArg() > 0:
		return o, fmt.Errorf("%q: for the tests or for the benchmark? Run one of them", f.Args())
	case len(o.tests) > 0:
		o.testArgs = f.Args()
	case o.bench:
		o.benchArgs = f.Args()
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? Say -test or -bench", f.Arg(0))
	default:
		o.tests, o.bench = slices.Clone(defaultTests), true
	}
	if o.bench && len(o.benchArgs) == 0 {
		o.benchArgs = defaultBench
	}
	switch {
	case !slices.Contains([]string{"auto", "kvm", "tcg"}, o.accel):
		return o, fmt.Errorf("-accel %q: there are kvm, tcg and auto", o.accel)
	case o.cpus < 1 || o.cpus > 255:
		return o, fmt.Errorf("-cpus %d is not between 1 and 255", o.cpus)
	case o.memoryMB < 256:
		return o, fmt.Errorf("-memory %d MiB is too little: 256 are needed", o.memoryMB)
	case o.timeout <= 0:
		return o, fmt.Errorf("-timeout %v: nothing can be done in that", o.timeout)
	}
	return o, nil
}

// run is the program behind main. The code is that of what ran in the guest; an error tells why there is none.
func run(ctx context.Context, args []string) (code int, err error) {
	o, err := parse(args, os.Stderr)
	if err != nil {
		return 2, err
	}
	begin := time.Now()
	qemu, err := exec.LookPath(qemuName)
	if err != nil {
		return 0, unavailable{fmt.Errorf("no guest: %w; on Debian: apt-get install --no-install-recommends qemu-system-x86", err)}
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return 0, err
		}
		o.cache = filepath.Join(dir, "rmcast-guest")
	}
	k, err := findKernel(o.cache, o.deb)
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "rmcast-guest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	nonce := rand.Text()
	archive := filepath.Join(work, "initramfs")
	if err := writeImage(ctx, archive, work, nonce, k, &o); err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "guest: %s, made ready in %.1f s\n", filepath.Base(k.image), time.Since(begin).Seconds())
	begin = time.Now()
	m := machine{qemu: qemu, kernel: k.image, archive: archive, nonce: nonce, cpus: o.cpus, memoryMB: o.memoryMB, verbose: o.verbose, out: os.Stdout}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the guest did not end in %v", o.timeout))
	defer cancel()
	code, err = m.boot(ctx, accelerators(o.accel))
	if err == nil {
		fmt.Fprintf(os.Stderr, "guest: exit code %d after %.1f s\n", code, time.Since(begin).Seconds())
	}
	return code, err
}

// writeImage makes the guest's first file system in a file.
func writeImage(ctx context.Context, file, work, nonce string, k kernel, o *options) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(makeImage(ctx, w, work, nonce, k, o), w.Flush(), f.Close())
}

// accelerators are what to try, in order. A device that may be opened is not one that works.
func accelerators(accel string) []string {
	if accel != "auto" {
		return []string{accel}
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return []string{"tcg"}
	}
	f.Close()
	return []string{"kvm", "tcg"}
}
