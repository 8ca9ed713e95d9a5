package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// receiverID is the identity of a receiver.
func receiverID(i int) wire.ReceiverID { return wire.NewReceiverID("replica " + strconv.Itoa(i)) }

// outcome is the summary of the writes.
func (r *Report) outcome() outcome {
	d := slices.Sorted(slices.Values(r.Single))
	at := func(q float64) time.Duration { return time.Duration(d[min(int(q*float64(len(d))), len(d)-1)]) }
	return outcome{took: r.Took, p50: at(0.5), p99: at(0.99), longest: at(1)}
}

// says writes events.
type says struct {
	mu sync.Mutex
	w  *json.Encoder
}

func (s *says) event(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.Encode(e) != nil {
		os.Exit(1) // nobody listens any more
	}
}

// child is the life of an endpoint: a job over stdin, events over stdout. The process ends when stdin does; child returns only if there is
// no job.
func child() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(line, &job); err != nil {
		return err
	}
	s := &says{w: json.NewEncoder(os.Stdout)}
	lines := make(chan struct{}, 1)
	go func() {
		for {
			if _, err := in.ReadBytes('\n'); err != nil {
				os.Exit(0) // the parent is gone, or has no use for us any more
			}
			lines <- struct{}{}
		}
	}()
	rep := new(Report)
	switch {
	case job.Send && job.Scheme == rmcast:
		err = job.sendRmcast(s, lines, rep)
	case job.Send:
		err = job.sendTCP(s, lines, rep)
	case job.Scheme == rmcast:
		err = job.receiveRmcast(s, rep)
	default:
		err = job.receiveTCP(s, rep)
	}
	if err != nil {
		rep.Error = err.Error()
	}
	s.event(Event{Done: rep})
	select {} // until stdin ends
}

// write is the common part of both senders: all writes, one after the other, each timed.
func (j *Job) write(s *says, lines <-chan struct{}, rep *Report, one func(b []byte) error) ([]byte, error) {
	sum := sha256.New()
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, j.Size+8)
	next := func(i int) []byte {
		binary.LittleEndian.PutUint64(b, uint64(i))
		for k := 8; k < j.Size; k += 8 {
			binary.LittleEndian.PutUint64(b[k:], rng.Uint64())
		}
		sum.Write(b[:j.Size])
		return b[:j.Size]
	}
	rep.Single = make([]int64, j.Writes)
	start := time.Now()
	last := start
	for i := range j.Writes {
		if i == j.Writes/2 {
			s.event(Event{Half: true})
		}
		if err := one(next(i)); err != nil {
			return nil, fmt.Errorf("write %d: %w", i, err)
		}
		now := time.Now()
		rep.Single[i] = int64(now.Sub(last))
		last = now
	}
	rep.Took = time.Since(start)
	s.event(Event{All: true})
	<-lines
	var more []byte
	if j.Block {
		more = next(j.Writes)
	}
	rep.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return more, nil
}

// read hashes messages until the end.
func (j *Job) read(rep *Report, next func(b []byte) (int, error), each func(i int) error) error {
	sum := sha256.New()
	b := make([]byte, j.Size)
	for i := 0; ; i++ {
		n, err := next(b)
		switch {
		case err == io.EOF:
			rep.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return nil
		case err != nil:
			return fmt.Errorf("message %d: %w", i, err)
		case n != j.Size || binary.LittleEndian.Uint64(b) != uint64(i):
			return fmt.Errorf("where message %d belongs is another one, of %d bytes", i, n)
		}
		sum.Write(b)
		if err := each(i); err != nil {
			return err
		}
	}
}

func (j *Job) config() *transport.Config {
	cfg := &transport.Config{Interface: "eth0", Logger: slog.New(slog.DiscardHandler)}
	if j.Verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if !j.Send {
		cfg.ReceiverID = receiverID(j.Index)
	}
	return cfg
}

// sendRmcast writes messages, each of which a quorum has to confirm.
func (j *Job) sendRmcast(s *says, lines <-chan struct{}, rep *Report) error {
	src, err := transport.Dial("udp6", group, j.config())
	if err != nil {
		return err
	}
	all := transport.Quorum{}
	for i := range j.Receivers {
		all.Of = append(all.Of, receiverID(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := src.WaitDelivered(ctx, all); err != nil { // until all are there
		return err
	}
	quorum := transport.Quorum{Count: j.Quorum}
	more, err := j.write(s, lines, rep, func(b []byte) error {
		if err := src.WriteMessage(b); err != nil {
			return err
		}
		return src.WaitDelivered(context.Background(), quorum)
	})
	if err != nil {
		return err
	}
	if more != nil {
		if err := src.WriteMessage(more); err != nil {
			return err
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), blocked)
		defer cancel()
		var u *transport.UndeliveredError
		if err := src.WaitDelivered(ctx, quorum); !errors.As(err, &u) || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("a write that too few can confirm: %v", err)
		}
		rep.Blocked = time.Since(start)
		for _, id := range u.Missing {
			rep.Missing = append(rep.Missing, id.String())
		}
	}
	return src.Close()
}

func (j *Job) receiveRmcast(s *says, rep *Report) error {
	l, err := transport.Listen("udp6", group, j.config())
	if err != nil {
		return err
	}
	s.event(Event{Ready: true})
	r, err := l.AcceptReceiver()
	if err != nil {
		return err
	}
	return j.read(rep, r.ReadMessage, func(int) error { return nil })
}
