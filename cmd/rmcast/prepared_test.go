//go:build (netns || interop) && linux

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is done to a command before it begins.
const (
	asItIs     = "as it is"
	withoutRaw = "without CAP_NET_RAW"
	asDesk     = "on a machine called desk"
	jumping    = "with a clock that jumps an hour on by SIGUSR1, two back by SIGUSR2"
)

// unpreparedCode is the exit code of a process that could not be made what a test wants; it says why.
const unpreparedCode = 99

// prepared does to this process what a test wants of a command, before that begins.
func prepared(how string) {
	var err error
	switch how {
	case asItIs:
	case asDesk:
		runtime.LockOSThread() // it alone is called so; main begins on it, and asks for the name there
		if err = unix.Unshare(unix.CLONE_NEWUTS); err == nil {
			err = unix.Sethostname([]byte("desk"))
		}
	case withoutRaw:
		// A thread that executes a program hands on what it has left, and root gets what the bounding set has.
		runtime.LockOSThread()
		if err = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_RAW, 0, 0, 0); err == nil {
			os.Setenv(asCommand, asItIs)
			err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		}
	case jumping:
		if err = bendClock(); err == nil {
			go followJumps()
		}
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "a process %s: %v\n", how, err)
		os.Exit(unpreparedCode)
	}
}

// jump is what bendClock's code adds to the wall clock, in seconds.
var jump int64

func followJumps() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGUSR1, unix.SIGUSR2)
	for s := range signals {
		if s == unix.SIGUSR1 {
			atomic.AddInt64(&jump, 3600)
		} else {
			atomic.AddInt64(&jump, -7200)
		}
	}
}

// bendClock makes this process see a wall clock that is jump ahead of the machine's. No namespace has a wall clock of its own, and the machine's is not ours
// to set. But processes read it by a function that the kernel puts into each: its code is private to the process, and gets replaced by code that asks the
// kernel, and adds jump where it was asked for CLOCK_REALTIME. The monotonic clock stays what it is, as it does when somebody sets a real clock.
func bendClock() error {
	if runtime.GOARCH != "amd64" {
		return errors.New("the code for that is for amd64")
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	var from, to int64
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			fmt.Sscanf(line, "%x-%x", &from, &to)
		}
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	image := make([]byte, to-from)
	if _, err := mem.ReadAt(image, from); err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	entry, err := clockFunction(image)
	if err != nil {
		return err
	}
	code := []byte{0xb8, 228, 0, 0, 0} // mov eax, clock_gettime
	code = append(code, 0x0f, 0x05)    // syscall
	code = append(code, 0x85, 0xff)    // test edi, edi
	code = append(code, 0x75, 16)      // jnz to ret: another clock than CLOCK_REALTIME, 0
	code = append(code, 0x48, 0xb9)    // mov rcx, &jump
	code = binary.LittleEndian.AppendUint64(code, uint64(uintptr(unsafe.Pointer(&jump))))
	code = append(code, 0x48, 0x8b, 0x09) // mov rcx, [rcx]
	code = append(code, 0x48, 0x01, 0x0e) // add [rsi], rcx
	code = append(code, 0xc3)             // ret
	// It goes behind the image's end, and then a jump to it in one write to where the function begins: other threads may be in it.
	room := len(bytes.TrimRight(image, "\x00")) + 64
	if room+len(code) > len(image) {
		return errors.New("the vDSO has no room for code")
	}
	if _, err := mem.WriteAt(code, from+int64(room)); err != nil {
		return fmt.Errorf("writing to the vDSO: %w", err)
	}
	first := image[entry : entry+8]
	first[0] = 0xe9 // jmp
	binary.LittleEndian.PutUint32(first[1:], uint32(room-entry-5))
	if _, err := mem.WriteAt(first, from+int64(entry)); err != nil {
		return fmt.Errorf("writing to the vDSO: %w", err)
	}
	return tried()
}

// clockFunction finds where in the vDSO the clocks are read.
func clockFunction(image []byte) (int, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	list, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	for _, s := range list {
		if s.Name == "__vdso_clock_gettime" && s.Value < uint64(len(image)-8) {
			return int(s.Value), nil
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime")
}

// tried reports whether the wall clock moves with jump, and the monotonic one does not.
func tried() error {
	before := time.Now()
	jump = 1 << 30
	after := time.Now()
	jump = 0
	if wall := after.Round(0).Sub(before.Round(0)); wall < 1<<29*time.Second {
		return fmt.Errorf("the wall clock moved by %v, not by jump", wall)
	}
	if d := after.Sub(before); d < 0 || d > time.Hour {
		return fmt.Errorf("the monotonic clock moved by %v", d)
	}
	return nil
}
