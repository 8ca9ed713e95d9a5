//go:build !linux

package main

import (
	"errors"
	"os"
)

// namelessFile makes a temporary file and takes its name away where the system lets us while it is open.
func namelessFile() (*os.File, error) {
	f, err := os.CreateTemp("", "rmcast-bench")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrPermission) {
		f.Close()
		return nil, err
	}
	return f, nil
}
