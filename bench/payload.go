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
	file   *os.File
	bytes  int64            // all there is
	hashes map[int64]string // by length
}

// openPayload opens path, or makes so many random bytes from the seed in a file that has no name.
func openPayload(path string, seed uint64, bytes int64) (*payload, error) {
	p := &payload{hashes: map[int64]string{}}
	if path != "" {
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
		p.file, p.bytes = f, info.Size()
		return p, nil
	}
	f, err := namelessFile()
	if err != nil {
		return nil, err
	}
	p.file, p.bytes = f, bytes
	if _, err := io.Copy(f, io.LimitReader(randomBytes(seed), bytes)); err != nil {
		f.Close()
		return nil, fmt.Errorf("random bytes to send: %w", err)
	}
	return p, nil
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
	if _, err := io.CopyBuffer(onlyWriter{sum}, io.NewSectionReader(p.file, 0, bytes), make([]byte, chunk)); err != nil {
		return "", err
	}
	p.hashes[bytes] = hex.EncodeToString(sum.Sum(nil))
	return p.hashes[bytes], nil
}

// load reads the first bytes into memory.
func (p *payload) load(bytes int64) ([]byte, error) {
	b := make([]byte, bytes)
	_, err := io.ReadFull(io.NewSectionReader(p.file, 0, bytes), b)
	return b, err
}

// onlyWriter hides every other method, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }
