package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// beInit does what the guest is there for, if this process is a guest's first; it does not return then.
func beInit() {
	if os.Getpid() != 1 {
		return
	}
	if _, err := os.Stat("/" + jobFile); err != nil {
		return // the first process of a container
	}
	begin := time.Now()
	j, code, err := guest()
	if err != nil {
		fmt.Println("guest:", err)
	}
	fmt.Println(exitLine(j.Nonce, code, time.Since(begin)))
	unix.IoctlSetInt(1, unix.TCSBRK, 1) // until the console has sent all of it
	unix.Sync()
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println("guest: power off:", err)
	os.Exit(1) // the kernel panics, and qemu ends
}

// guest prepares the machine and runs the job's programs. The code is that of the first that failed.
func guest() (j job, code int, err error) {
	b, err := os.ReadFile("/" + jobFile)
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err != nil {
		return j, 1, err
	}
	fmt.Println(upLine(j.Nonce))
	if err := errors.Join(mounts(), loadModules(j.Modules), loopback()); err != nil {
		return j, 1, err
	}
	for i := range j.Programs {
		p := &j.Programs[i]
		fmt.Printf("=== guest: %s: %s %s\n", p.Name, filepath.Base(p.Path), strings.Join(p.Args, " "))
		begin := time.Now()
		c := p.run()
		fmt.Printf("=== guest: %s ended with exit code %d after %.1f s\n", p.Name, c, time.Since(begin).Seconds())
		if code == 0 {
			code = c
		}
	}
	return j, code, nil
}

func mounts() error {
	for _, m := range []struct{ kind, at string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}, {"tmpfs", "/dev/shm"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.at, err)
		}
	}
	return os.Chmod("/tmp", 0o1777)
}

func loadModules(files []string) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// loopback sets lo up, as every machine has it.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl(SIOCSIFFLAGS) of lo", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r))
}

// run runs a program to its end, its output on the console. It sees pipes and no terminal.
func (p *program) run() (code int) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	console := struct{ io.Writer }{os.Stdout}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.WaitDelay = 5 * time.Second // a child that lives on may hold the pipe
	err := cmd.Run()
	switch status := cmd.ProcessState; {
	case err == nil:
		return 0
	case status != nil && status.Exited() && status.ExitCode() > 0:
		return status.ExitCode()
	default: // not started, killed, or its output was cut
		fmt.Printf("guest: %s: %v\n", p.Name, err)
		return 1
	}
}
