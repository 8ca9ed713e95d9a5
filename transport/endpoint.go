package transport

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// engine is what an endpoint drives: a session.Source or session.Peers.
type engine interface {
	Handle(now mono.Time, m session.Meta, p *wire.Packet)
	Advance(now mono.Time)
	Poll(now mono.Time, t *session.Transmit) bool
	Deadline() mono.Time
}

// running is an instant before every other: what the loop sleeps for while it does not sleep.
const running mono.Time = -1 << 63

// endpoint drives one engine over one dgram.Conn with two goroutines:
//
//		readLoop   ReadBatch, decode, lock, Handle each, unlock
//		loop       lock, Advance, Poll, unlock, WriteRun, until Poll has nothing; then sleep until Deadline or wake
//
//	 1. mu guards the engine and everything that says so; it is held for memory work only, never across I/O or a wait.
//	 2. The loop sleeps until armed. Whoever changes the engine compares its Deadline with armed before unlocking, and wakes the
//	    loop if that got earlier: so no work waits for a loop that sleeps.
//	 3. After any change of the engine those who wait for it are told through their gates, after unlocking.
type endpoint struct {
	conn  dgram.Conn
	info  dgram.Info
	epoch time.Time
	log   *slog.Logger
	// userTrace is Config.Trace.
	userTrace func(session.Event)

	// settle runs under mu after the engine has worked; it adds to t whom to wake.
	settle func(now mono.Time, t *told)

	mu     sync.Mutex
	engine engine
	armed  mono.Time       // when the loop wakes by itself
	failed error           // what broke the conn; nil if only stop ended it
	events []session.Event // traced and not yet logged
	// accepted says that the engine accepted a source since settle last looked.
	accepted bool
	bad      DecodeStats
	// Runs that Poll gave, and of these the ones that WriteRun has returned from.
	polled, written uint64

	wake chan struct{} // holds a token when the loop must look again
	done chan struct{} // closed by stop
	once sync.Once
	wg   sync.WaitGroup
}

// told is what a round under the lock leaves to be done after it.
type told struct {
	gates  []*gate.Gate
	events []session.Event
	wake   bool
}

// init prepares e; start begins.
func (e *endpoint) init(o *opening) {
	e.conn, e.info, e.log, e.userTrace = o.conn, o.conn.Info(), o.cfg.Logger, o.cfg.Trace
	e.epoch = time.Now()
	e.armed = running
	e.wake, e.done = make(chan struct{}, 1), make(chan struct{})
}

// start starts the two goroutines over eng, which only they and holders of mu touch from now on.
func (e *endpoint) start(eng engine, settle func(mono.Time, *told)) {
	e.engine, e.settle = eng, settle
	e.wg.Go(e.loop)
	e.wg.Go(e.readLoop)
}

// stop ends both goroutines, closes the conn and waits until they are gone. It may be called several times.
func (e *endpoint) stop() {
	e.once.Do(func() {
		close(e.done)
		if err := e.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			e.log.Debug("rmcast: closing the socket", "err", err)
		}
	})
	e.wg.Wait()
}

// now is the instant that the engine is told. It is read under mu: else it could be before what the engine was told last.
func (e *endpoint) now() mono.Time { return mono.Time(time.Since(e.epoch)) }

// settled ends a round under the lock: t becomes what has to be done after unlocking. It returns the engine's deadline.
func (e *endpoint) settled(now mono.Time, t *told) mono.Time {
	t.gates, t.events = t.gates[:0], append(t.events[:0], e.events...)
	e.events = e.events[:0]
	e.settle(now, t)
	at := e.engine.Deadline()
	t.wake = at.Before(e.armed)
	if t.wake {
		e.armed = running
	}
	return at
}

// tell does what settled left. mu is not held.
func (e *endpoint) tell(t *told) {
	for _, g := range t.gates {
		g.Set()
	}
	if t.wake {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	for _, ev := range t.events {
		e.logEvent(ev)
	}
}

// do runs f on the engine under the lock and tells the others what came of it. For calls of the application; it allocates
// nothing if f does not escape.
func (e *endpoint) do(t *told, f func(now mono.Time)) {
	e.mu.Lock()
	now := e.now()
	f(now)
	e.settled(now, t)
	e.mu.Unlock()
	e.tell(t)
}

// fail records what broke the conn and stops using it. Whoever waits is told.
func (e *endpoint) fail(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	var t told
	e.mu.Lock()
	first := e.failed == nil
	if first {
		e.failed = err
	}
	e.settled(e.now(), &t)
	e.mu.Unlock()
	e.tell(&t)
	if first {
		e.log.Error("rmcast: the socket is broken", "interface", e.info.Interface, "err", err)
	}
}

// loop advances the engine, sends what it has, and sleeps.
func (e *endpoint) loop() {
	run := session.Transmit{B: make([]byte, 0, session.RunBytes)}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var t told
	for {
		e.mu.Lock()
		now := e.now()
		e.armed, e.written = running, e.polled
		e.engine.Advance(now)
		more := e.engine.Poll(now, &run)
		if more {
			e.polled++
		}
		at := e.settled(now, &t)
		if !more {
			e.armed = at
		}
		e.mu.Unlock()
		e.tell(&t)
		if !more {
			if !e.sleep(timer, now, at) {
				return
			}
			continue
		}
		if err := e.conn.WriteRun(run.B, run.Segment, run.To, run.HopLimit); err != nil {
			e.fail(err)
			return
		}
		select {
		case <-e.done:
			return
		default:
		}
	}
}

// sleep returns true when the instant at has come or somebody woke the loop, false when it is to end.
func (e *endpoint) sleep(timer *time.Timer, now, at mono.Time) bool {
	var due <-chan time.Time
	if at != mono.Never {
		// An engine whose Deadline has come although Poll has nothing must not turn the loop into a spin.
		timer.Reset(max(at.Sub(now), time.Microsecond))
		due = timer.C
	}
	select {
	case <-due:
	case <-e.wake:
	case <-e.done:
		return false
	}
	return true
}

const (
	batchReads   = 16 // datagram buffers of a read loop, 64 KiB each; only what arrives touches them
	batchPackets = 64 // packets decoded before the lock is taken: a whole run and a little more
)

// inbox holds packets that are decoded and not yet handled.
type inbox struct {
	n      int
	packet [batchPackets]wire.Packet
	meta   [batchPackets]session.Meta
	bad    DecodeStats
	anyBad bool
	told   told
}

// readLoop hands what arrives to the engine, a batch at a time.
func (e *endpoint) readLoop() {
	batch := make([]dgram.Datagrams, batchReads)
	for i := range batch {
		batch[i].B = make([]byte, dgram.BufferSize)
	}
	in := new(inbox)
	for {
		n, err := e.conn.ReadBatch(batch)
		if err != nil {
			e.fail(err)
			return
		}
		for i := range batch[:n] {
			e.decode(in, &batch[i])
		}
		e.handle(in)
	}
}

// decode puts the packets of d into in; when that is full it is handled first.
func (e *endpoint) decode(in *inbox, d *dgram.Datagrams) {
	meta := session.Meta{From: d.From.Addr(), Multicast: d.Multicast}
	segment := d.Segment
	if segment <= 0 {
		segment = len(d.B)
	}
	for b := d.B; len(b) > 0; {
		one := b[:min(len(b), segment)]
		b = b[len(one):]
		if in.n == batchPackets {
			e.handle(in)
		}
		if err := in.packet[in.n].Decode(one); err != nil {
			if code, ok := err.(wire.DecodeError); ok {
				in.bad[code]++
				in.anyBad = true
			}
			continue
		}
		in.meta[in.n] = meta
		in.n++
	}
}

// handle takes the lock once for all packets in in, and empties it.
func (e *endpoint) handle(in *inbox) {
	if in.n == 0 && !in.anyBad {
		return
	}
	e.mu.Lock()
	now := e.now()
	for i := range in.n {
		e.engine.Handle(now, in.meta[i], &in.packet[i])
	}
	if in.anyBad {
		for i, n := range in.bad {
			e.bad[i] += n
		}
	}
	e.settled(now, &in.told)
	e.mu.Unlock()
	e.tell(&in.told)
	in.n = 0
	if in.anyBad {
		in.bad, in.anyBad = DecodeStats{}, false
	}
}
