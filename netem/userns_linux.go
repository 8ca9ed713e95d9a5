package netem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// userEnv marks a process that EnterUser has started.
const userEnv = "RMCAST_USER_NAMESPACE"

// enterErr is why EnterUser could not make a user namespace.
var enterErr error

// EnterUser lets an ordinary user's program make a [Lab]: where the process may not make network namespaces, it starts the same
// program again, with the same arguments, files and environment, as root of a user namespace and in a network namespace with
// nothing but a loopback interface; passes signals on; and exits as that one does. It returns in a process that can make a Lab, and
// also where the system refuses ([Available] then says what it refused). Call it first thing in main or TestMain.
func EnterUser() {
	if os.Getenv(userEnv) != "" {
		loopbackUp()
		return
	}
	if mayUnshare() == nil {
		return
	}
	runtime.LockOSThread() // the child gets its signal when this thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), userEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
	if err := cmd.Start(); err != nil {
		signal.Stop(signals)
		enterErr = fmt.Errorf("clone(CLONE_NEWUSER|CLONE_NEWNET) with a uid_map: %w", err)
		return
	}
	go func() {
		for s := range signals {
			if s == unix.SIGTERM || !foreground() { // a terminal's signals reach the child by themselves
				cmd.Process.Signal(s)
			}
		}
	}()
	cmd.Wait()
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		os.Exit(128 + int(st.Signal()))
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// foreground reports whether this process is in the foreground of a terminal.
func foreground() bool {
	for fd := range 3 {
		if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return group == unix.Getpgrp()
		}
	}
	return false
}

// loopbackUp gives the process's own namespace a loopback interface, for programs that want one beside their Lab.
func loopbackUp() {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return
	}
	defer h.Close()
	if lo, err := h.LinkByName("lo"); err == nil {
		h.LinkSetUp(lo)
	}
}

// mayUnshare tries to make a network namespace.
func mayUnshare() error {
	here, err := netns.Get()
	if err != nil {
		return fmt.Errorf("open /proc/thread-self/ns/net: %w", err)
	}
	defer here.Close()
	return inside(here, func() error {
		ns, err := netns.New()
		if err != nil {
			return fmt.Errorf("unshare(CLONE_NEWNET): %w", err)
		}
		return ns.Close()
	})
}

var available = sync.OnceValue(func() error {
	l, err := NewLab(LabConfig{Rate: 1e9, Loss: 0.01, SenderLoss: 0.01, Wire: true})
	if err == nil {
		return l.Close()
	}
	if enterErr != nil {
		err = enterErr
	}
	return fmt.Errorf("netem: no lab of network namespaces: %s%s", strings.TrimPrefix(err.Error(), "netem: "), hint(err))
})

// Available returns nil if this process can make a [Lab], and else an error that names the call that was refused and what would
// help. It finds out by making one, once.
func Available() error { return available() }

// hint says what may be behind a refusal.
func hint(err error) string {
	if !errors.Is(err, os.ErrPermission) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EUSERS) {
		return "; the kernel may lack that feature or its module"
	}
	text := "; run as root, or allow user namespaces"
	if os.Getuid() != 0 && enterErr == nil {
		text = "; run as root, or call netem.EnterUser first"
	}
	for _, knob := range []struct{ path, bad string }{
		{"kernel/unprivileged_userns_clone", "0"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1"},
		{"user/max_user_namespaces", "0"},
		{"user/max_net_namespaces", "0"},
	} {
		if b, err := os.ReadFile("/proc/sys/" + knob.path); err == nil && strings.TrimSpace(string(b)) == knob.bad {
			text += fmt.Sprintf(" (sysctl %s is %s)", strings.ReplaceAll(knob.path, "/", "."), knob.bad)
		}
	}
	return text
}
