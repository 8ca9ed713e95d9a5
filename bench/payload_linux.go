package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// randomPayload keeps the bytes in a file in memory, which other processes can map and which ends with its last descriptor.
func randomPayload(random io.Reader) (*payload, error) {
	fd, err := unix.MemfdCreate("rmcast-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	if _, err := io.Copy(f, random); err != nil {
		f.Close()
		return nil, err
	}
	return &payload{ReaderAt: f, file: f}, nil
}
