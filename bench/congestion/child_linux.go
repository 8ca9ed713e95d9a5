package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/flow"
)

// An endpoint is this program in a process of its own. It gets its Job over stdin, says Ready, waits for another line and begins; says
// how far it is every tickEvery, and ends with its Report.

// Job tells an endpoint what to be.
type Job struct {
	Role             Role
	Group, Interface string        // rmcast
	Address          string        // TCP: where to listen, or to connect to
	Flows            int           // TCP connections
	For              time.Duration // how long to send
	Bytes            int64         // or how much
	Rate             flow.Rate     // 0: the source's to find
	LossIsCongestion bool
	Seed             uint64
	Verbose          bool
}

// Role is what an endpoint does.
type Role string

// The roles.
const (
	sendRmcast    Role = "source"
	receiveRmcast Role = "receiver"
	sendTCP       Role = "TCP sender"
	receiveTCP    Role = "TCP receiver"
)

// Event is what an endpoint says.
type Event struct {
	Ready  bool    `json:",omitempty"`
	Tick   *Tick   `json:",omitempty"`
	Report *Report `json:",omitempty"`
}

// Tick is how far an endpoint is.
type Tick struct {
	At    int64   // CLOCK_MONOTONIC
	Bytes []int64 // read, of each connection; a source: of IP packets sent
	Rate  float64 `json:",omitempty"` // a source's, Mbit/s
}

// Report is what an endpoint knows at its end.
type Report struct {
	Start, End int64    // CLOCK_MONOTONIC
	Bytes      []int64  // payload written or read, of each connection
	SHA256     []string // of it
	Error      string
	Stats      any
}

const (
	tickEvery  = 20 * ms
	chunkBytes = 64 << 10
)

// endpoint is one at work.
type endpoint struct {
	job   Job
	start <-chan struct{}
	say   func(Event)
	tick  func() Tick // set before start; called until the end
	begun int64
}

// child is the life of an endpoint's process.
func child() error {
	lines := bufio.NewReader(os.Stdin)
	var job Job
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &job)
	}
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	start := make(chan struct{})
	go func() {
		_, err := lines.ReadBytes('\n')
		if err == nil {
			close(start)
			_, _ = io.Copy(io.Discard, lines)
		}
		stop()
	}()
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	e := &endpoint{job: job, start: start, say: func(ev Event) {
		mu.Lock()
		defer mu.Unlock()
		if out.Encode(ev) != nil {
			os.Exit(1) // nobody listens any more
		}
	}}
	work := map[Role]func(context.Context, *endpoint) (Report, error){
		sendRmcast: source, receiveRmcast: receiver, sendTCP: tcpSender, receiveTCP: tcpReceiver,
	}[job.Role]
	if work == nil {
		return fmt.Errorf("no role %q", job.Role)
	}
	rep, err := work(ctx, e)
	rep.Start = e.begun
	if rep.End == 0 {
		rep.End = monotonic()
	}
	if err != nil {
		rep.Error = err.Error()
	}
	e.say(Event{Report: &rep})
	<-ctx.Done() // the parent ends it
	return nil
}

// await says Ready and waits for the start; then ticks come until done ends.
func (e *endpoint) await(ctx context.Context) (done func(), err error) {
	e.say(Event{Ready: true})
	select {
	case <-e.start:
	case <-ctx.Done():
		return nil, errors.New("stopped before it began")
	}
	e.begun = monotonic()
	ticks, ended := time.NewTicker(tickEvery), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticks.C:
				t := e.tick()
				t.At = monotonic()
				e.say(Event{Tick: &t})
			case <-ended:
				return
			}
		}
	}()
	return func() {
		ticks.Stop()
		close(ended)
	}, nil
}

// pump writes random bytes until time is up or so many are written.
func (e *endpoint) pump(ctx context.Context, w io.Writer, count *atomic.Int64, sum hash.Hash) error {
	block := make([]byte, 16*chunkBytes)
	var key [32]byte
	key[0] = byte(e.job.Seed)
	_, _ = rand.NewChaCha8(key).Read(block)
	end := time.Now().Add(e.job.For)
	for at, left := 0, e.job.Bytes; ctx.Err() == nil; at = (at + chunkBytes) % len(block) {
		b := block[at : at+chunkBytes]
		switch {
		case e.job.Bytes > 0:
			b = b[:min(left, chunkBytes)]
		case time.Now().After(end):
			b = nil
		}
		if len(b) == 0 {
			return nil
		}
		n, err := w.Write(b)
		sum.Write(b[:n])
		count.Add(int64(n))
		left -= int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// drain reads to the end.
func drain(r io.Reader, count *atomic.Int64, sum hash.Hash) error {
	b := make([]byte, 4*chunkBytes)
	for {
		n, err := r.Read(b)
		sum.Write(b[:n])
		count.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// counter is one connection's bytes and their hash.
type counter struct {
	bytes atomic.Int64
	sum   hash.Hash
}

func newCounters(n int) []*counter {
	all := make([]*counter, n)
	for i := range all {
		all[i] = &counter{sum: sha256.New()}
	}
	return all
}

func counted(all []*counter) (t Tick) {
	for _, c := range all {
		t.Bytes = append(t.Bytes, c.bytes.Load())
	}
	return t
}

func report(all []*counter) (r Report) {
	for _, c := range all {
		r.Bytes = append(r.Bytes, c.bytes.Load())
		r.SHA256 = append(r.SHA256, hex.EncodeToString(c.sum.Sum(nil)))
	}
	return r
}

func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("BUG: CLOCK_MONOTONIC: " + err.Error())
	}
	return t.Nano()
}
