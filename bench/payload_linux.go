package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// namelessFile makes a file in memory, which ends with its last descriptor.
func namelessFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("rmcast-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "memfd"), nil
}
