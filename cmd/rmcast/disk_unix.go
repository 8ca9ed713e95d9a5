//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// diskFree returns the room for a user's files in the file system of dir, in bytes.
func diskFree(dir string) (bytes int64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Bsize == 0 {
		return 0, false
	}
	return max(int64(s.Bavail), 0) * int64(s.Bsize), true
}
