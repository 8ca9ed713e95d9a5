package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// A message begins with its index and the instant it was made, both 64 bits; the rest is noise.
const messageHead = 16

// pace makes the stream's messages at their times and puts each into every queue. A queue holds all of them: a writer
// that is behind delays its messages, as it would for an application, but not the next ones' time of birth. The
// SHA-256 of all messages comes over the last channel.
func pace(ctx context.Context, s *Stream, queues int) ([]chan []byte, <-chan string) {
	out := make([]chan []byte, queues)
	for i := range out {
		out[i] = make(chan []byte, s.Count)
	}
	hash := make(chan string, 1)
	go func() {
		sum := sha256.New()
		rng := rand.New(rand.NewPCG(1, uint64(s.Bytes)))
		start, interval := time.Now(), s.interval()
		for i := range s.Count {
			if wait := time.Until(start.Add(time.Duration(i) * interval)); wait > 0 {
				time.Sleep(wait)
			}
			if ctx.Err() != nil {
				break
			}
			m := makeMessage(uint64(i), s.Bytes, rng)
			sum.Write(m)
			for _, q := range out {
				q <- m // has room for all
			}
		}
		for _, q := range out {
			close(q)
		}
		hash <- hex.EncodeToString(sum.Sum(nil))
	}()
	return out, hash
}

func makeMessage(index uint64, size int, rng *rand.Rand) []byte {
	m := make([]byte, messageHead, size+8)
	for len(m) < size {
		m = binary.LittleEndian.AppendUint64(m, rng.Uint64())
	}
	binary.LittleEndian.PutUint64(m, index)
	binary.LittleEndian.PutUint64(m[8:], uint64(monotonic()))
	return m[:size]
}

// sendMessages writes what the queue holds until it is closed.
func sendMessages(ctx context.Context, queue <-chan []byte, w io.Writer, c *control) error {
	for m := range queue {
		if _, err := w.Write(m); err != nil {
			return stopped(ctx, err)
		}
		c.bytes.Add(int64(len(m)))
	}
	return context.Cause(ctx)
}

// wholeMessages cuts a byte stream into messages of one size.
func wholeMessages(r io.Reader, size int) func(b []byte) (int, error) {
	return func(b []byte) (int, error) { return io.ReadFull(r, b[:size]) }
}

// receiveMessages reads messages until the stream's last, its end or that of ctx, and notes how old each is. Errors
// that are gaps stand for messages that never come.
func receiveMessages(ctx context.Context, s *Stream, read func(b []byte) (int, error), c *control, rep *Report, gap func(error) bool) error {
	sum := sha256.New()
	b := make([]byte, s.Bytes)
	rep.Delays = make([]int64, 0, s.Count)
	defer func() { rep.End = monotonic() }()
	for next := 0; next < s.Count; {
		n, err := read(b)
		if err != nil {
			if rep.skipped(err, gap) {
				continue
			}
			return stopped(ctx, err)
		}
		now := monotonic()
		if n != s.Bytes {
			return fmt.Errorf("message %d has %d bytes of %d", next, n, s.Bytes)
		}
		index := binary.LittleEndian.Uint64(b)
		if index < uint64(next) || index >= uint64(s.Count) {
			return fmt.Errorf("message %d came where %d belongs", index, next)
		}
		next = int(index) + 1
		sum.Write(b)
		rep.Bytes += int64(n)
		rep.Delays = append(rep.Delays, now-int64(binary.LittleEndian.Uint64(b[8:])))
		c.bytes.Store(rep.Bytes)
	}
	rep.Complete = len(rep.Delays) == s.Count
	rep.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// Quantiles sums a set of delays up.
type Quantiles struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// quantiles takes the nearest rank; it sorts delays.
func quantiles(delays []int64) Quantiles {
	if len(delays) == 0 {
		return Quantiles{}
	}
	slices.Sort(delays)
	rank := func(q float64) time.Duration {
		i := int(q*float64(len(delays))+0.999999) - 1
		return time.Duration(delays[max(i, 0)])
	}
	return Quantiles{len(delays), rank(0.5), rank(0.99), rank(0.999), time.Duration(delays[len(delays)-1])}
}
