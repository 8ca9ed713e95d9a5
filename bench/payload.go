package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// payload is what the cells send: the head of one file, or of one stream of random bytes.
type payload struct {
	io.ReaderAt
	file   *os.File         // behind ReaderAt; nil where random bytes have none
	bytes  int64            // all there is
	hashes map[int64]string // by length
}

// openPayload opens path, or makes so many random bytes from the seed if that is empty.
func openPayload(path string, seed uint64, bytes int64) (*payload, error) {
	if path == "" {
		p, err := randomPayload(io.LimitReader(randomBytes(seed), bytes))
		if err != nil {
			return nil, fmt.Errorf("random bytes to send: %w", err)
		}
		p.bytes, p.hashes = bytes, map[int64]string{}
		return p, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() == 0) {
		err = fmt.Errorf("%s: not a file with bytes in it", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &payload{ReaderAt: f, file: f, bytes: info.Size(), hashes: map[int64]string{}}, nil
}

func randomBytes(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// sha256 returns the hash of the first bytes.
func (p *payload) sha256(bytes int64) (string, error) {
	if h, ok := p.hashes[bytes]; ok {
		return h, nil
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(p, 0, bytes), make([]byte, chunk)); err != nil {
		return "", err
	}
	p.hashes[bytes] = hex.EncodeToString(sum.Sum(nil))
	return p.hashes[bytes], nil
}

// load reads the first bytes into memory.
func (p *payload) load(bytes int64) ([]byte, error) {
	b := make([]byte, bytes)
	_, err := io.ReadFull(io.NewSectionReader(p, 0, bytes), b)
	return b, err
}

// close lets go of the file.
func (p *payload) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
