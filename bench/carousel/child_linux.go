package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// jobEnv makes this program a source or a receiver, in a process of its own. It says Events over stdout, and ends when its stdin does.
const jobEnv = "RMCAST_CAROUSEL_JOB"

// job says what a process is to be.
type job struct {
	Source bool
	Path   string    // what a source sends, or the directory that a receiver receives into
	Temp   string    // where a source keeps its parity
	Rate   flow.Rate // a source's
	Repair bool      // receivers send NAKs
	Ask    bool      // receivers ask, and the source answers, and sends block by block
	Ticks  bool      // a receiver says how far it is every time it looks, and not now and then
	Turns  int       // a source's; 0: for ever
	// Layers is on how many groups, in rates of Rate, Rate, twice that and so on. 0: on one, and nobody leaves it.
	Layers int
	// Settle is how long a receiver of layers is left alone before it counts for a Window.
	Settle, Window time.Duration
	// BlockSymbols is a source's. Zero: the default.
	BlockSymbols int
	Seed         uint64
	Verbose      bool
}

// Event is what a process says.
type Event struct {
	At    int64  // CLOCK_MONOTONIC; of a receiver that is done, when it was
	What  string // see the words below
	Took  time.Duration
	Got   packets
	RSS   int64 // greatest, in bytes
	Error string
	// A receiver's, in the end: packets that the kernel dropped since its process was too slow, and that transport missed in all.
	Dropped, Missed uint64
	// A receiver's of layers: of how many bytes of objects symbols came in its Window, and on how many layers it is.
	Payload int64 `json:",omitempty"`
	Layers  int   `json:",omitempty"`
}

// packets counts packets of data of one object.
type packets struct {
	Symbols  int64 // that the object needs
	Held     int64 // that are there and count
	Resumed  int64 // of Held, those of a former process
	Received int64 // all that came
	Again    int64 // of Received, what was there already
}

// The words of an Event.
const (
	saysReady = "ready" // a source has its object prepared; a receiver listens
	saysTick  = "tick"
	saysSated = "sated" // a receiver has as many packets as it needs
	saysDone  = "done"

	// Receivers of layers.
	saysWhole   = "whole"   // the object has its name and is verified
	saysCounted = "counted" // its Window is over
)

// group is that of all cases. It is of IPv4, as those of the other programs are.
const group = "239.192.80.6:7500"

// pollEvery is how often a receiver looks how far it is: at 200 Mbit/s in that time come 35 packets.
const pollEvery = 2 * time.Millisecond

// seldom is how many times it looks for each time that it says so, unless all is wanted.
const seldom = 50

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// enter makes this process what it is to be.
func enter() (done bool) {
	text := os.Getenv(jobEnv)
	if text == "" {
		netem.EnterUser()
		return false
	}
	if err := child(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// speaker says events.
type speaker struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (s *speaker) say(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.At == 0 {
		e.At = monotonic()
	}
	if s.out.Encode(e) != nil {
		os.Exit(1) // nobody listens any more
	}
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	begin := make(chan struct{})
	go func() {
		in := bufio.NewReader(os.Stdin)
		if _, err := in.ReadByte(); err == nil {
			close(begin)
			_, _ = io.Copy(io.Discard, in)
		}
		stop()
	}()
	logger := slog.New(slog.DiscardHandler)
	if j.Verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s := &speaker{out: json.NewEncoder(os.Stdout)}
	work := receive
	switch {
	case j.Source && j.Layers > 0:
		work = sendLayers
	case j.Source:
		work = send
	case j.Layers > 0:
		work = receiveLayers
	}
	last, err := work(ctx, j, logger, begin, s)
	last.What, last.RSS = saysDone, greatestRSS()
	if err != nil && ctx.Err() == nil {
		last.Error = err.Error()
	}
	s.say(last)
	<-ctx.Done()
	return nil
}

// send prepares the object, waits for the word, and sends until its turns are over or it is stopped.
func send(ctx context.Context, j job, logger *slog.Logger, begin <-chan struct{}, s *speaker) (last Event, err error) {
	began := time.Now()
	o, err := carousel.Open(ctx, j.Path, &carousel.ObjectConfig{TempDir: j.Temp, BlockSymbols: j.BlockSymbols})
	if err != nil {
		return last, err
	}
	defer o.Close()
	source, err := transport.DialContext(ctx, "udp4", group, &transport.Config{
		Interface: netem.LabInterface, NoLoopback: true, Rate: j.Rate, Fixed: true, Logger: logger,
	})
	if err != nil {
		return last, err
	}
	defer source.Close()
	s.say(Event{What: saysReady, Took: time.Since(began), Got: packets{Symbols: o.Symbols()}})
	select {
	case <-begin:
	case <-ctx.Done():
		return last, ctx.Err()
	}
	cfg := &carousel.SendConfig{Seed: j.Seed, Turns: j.Turns}
	if j.Ask {
		cfg.Requests, err = carousel.ListenRequests("udp4", group, &transport.Config{Interface: netem.LabInterface, Logger: logger})
		if err != nil {
			return last, err
		}
		defer func() {
			cfg.Requests.Close()
			logger.Info("requests", "stats", cfg.Requests.Stats())
		}()
		cfg.BlockByBlock = true
	}
	if err := carousel.Send(ctx, source, cfg, o); err != nil {
		return last, err
	}
	return last, source.CloseContext(ctx)
}

// receive receives one object.
func receive(ctx context.Context, j job, logger *slog.Logger, _ <-chan struct{}, s *speaker) (last Event, err error) {
	in, err := carousel.NewInbox(j.Path, &carousel.InboxConfig{Logger: logger})
	if err != nil {
		return last, err
	}
	defer in.Close()
	l, err := transport.ListenContext(ctx, "udp4", group, &transport.Config{
		Interface: netem.LabInterface, Unordered: true, ReceiveOnly: !j.Repair, Logger: logger,
	})
	if err != nil {
		return last, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	s.say(Event{What: saysReady, Got: got(in)})
	end := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { tell(in, s, j.Ticks, end) })
	if j.Ask {
		asking, stop := context.WithCancel(ctx)
		cfg := &carousel.AskConfig{Transport: &transport.Config{Interface: netem.LabInterface, Logger: logger}, BackOff: 20 * time.Millisecond, Receivers: 10}
		go func() { // it ends with the Inbox; what it has under way then nobody needs
			if err := carousel.Ask(asking, "udp4", group, cfg, in); err != nil && asking.Err() == nil {
				logger.Error("asking", "error", err)
			}
		}()
		defer stop()
	}
	last, err = receiveFrom(ctx, l, in)
	close(end)
	watch.Wait()
	return last, err
}

func receiveFrom(ctx context.Context, l *transport.Listener, in *carousel.Inbox) (last Event, err error) {
	r, err := l.AcceptReceiver()
	if err != nil {
		return last, err
	}
	defer r.Close()
	err = carousel.Receive(ctx, r, in)
	last.At = monotonic()
	st := r.Stats()
	last.Dropped, last.Missed = st.Socket.KernelDrops+st.Socket.QueueDrops, st.Lost
	return last, err
}

// tell says how far an Inbox is, and when it has all packets that it needs.
func tell(in *carousel.Inbox, s *speaker, ticks bool, end <-chan struct{}) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for n := 0; ; n++ {
		select {
		case <-poll.C:
		case <-end:
			if g := got(in); g.Symbols > 0 && g.Held == g.Symbols {
				s.say(Event{What: saysSated, Got: g})
			}
			return
		}
		g := got(in)
		if g.Symbols > 0 && g.Held == g.Symbols {
			s.say(Event{What: saysSated, Got: g})
			return
		}
		if ticks || n%seldom == 0 { // a word takes the processors' time, which all receivers share
			s.say(Event{What: saysTick, Got: g})
		}
	}
}

// got returns how far an Inbox is with its one object.
func got(in *carousel.Inbox) (p packets) {
	st := in.Stats()
	p.Again = int64(st.Duplicate + st.Unneeded)
	p.Received = int64(st.Stored+st.Early) + p.Again
	if all := in.Objects(); len(all) > 0 && all[0].Known {
		p.Symbols, p.Held, p.Resumed = all[0].Symbols, all[0].Held, all[0].Resumed
	}
	return p
}

// greatestRSS is the high-water mark of this process, in bytes; 0 if the system does not say.
func greatestRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return highWater(string(b))
}

// highWater reads VmHWM.
func highWater(status string) int64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kB << 10
			}
		}
	}
	return 0
}

var errSilent = errors.New("it ended without a word")
