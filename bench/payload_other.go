//go:build !linux

package main

import (
	"bytes"
	"io"
)

// randomPayload keeps the bytes in memory: all endpoints are in this process.
func randomPayload(random io.Reader) (*payload, error) {
	b, err := io.ReadAll(random)
	return &payload{ReaderAt: bytes.NewReader(b)}, err
}
