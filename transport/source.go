package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Source is the sending end of one transport session. It implements net.Conn, where Read fails with ErrSendOnly, and
// io.ReaderFrom, so io.Copy(source, file) is all it takes to send a file. Its methods may be called from several goroutines;
// writes are not interleaved.
//
// Writing does not wait for delivery. It waits for the rate, which follows what receivers get unless Config.Fixed is set, for room in the windows of
// receivers whose applications do not keep up, and, when the transmit window is full, until its oldest packet has been repairable for WindowHold.
type Source struct {
	endpoint
	source        *session.Source // the engine, guarded by mu
	maxMessage    int
	local, remote *Addr

	out      *gate.Gate // the writers' turn, and their signal that the engine may take more
	ended    *gate.Gate // signal that the session is over
	deadline gate.Deadline
	told     told // of who has out's turn

	buffers sync.Pool // of *[]byte, for ReadFrom

	// Guarded by mu:
	closing    bool
	wants      int // bytes that a writer waits to write: a message's length, or stream
	flush      flushing
	deliveries []*delivery // that wait
	confirmed  uint64      // session.Source.Confirmed when settle looked last
}

// stream is the value of Source.wants for bytes without boundaries.
const stream = -1

// flushing is a Flush that waits.
type flushing struct {
	active bool
	mark   seq.Num
	polled bool   // everything before mark was polled,
	run    uint64 // with this run at the latest
}

const (
	pieceBytes = 64 << 10 // most bytes copied in or out of an engine in one go under the lock
	// abortWait is how long an aborted source may take to say so to its receivers.
	abortWait = 250 * time.Millisecond
	// abortCode is the OPT_RST code of a CloseContext that was cut short. RFC 3208 defines none.
	abortCode = 1
)

// newSource makes a running source of an opened conn.
func newSource(o *opening) (*Source, error) {
	if err := o.checkLoopback(); err != nil {
		return nil, err
	}
	room, err := o.room()
	if err != nil {
		return nil, err
	}
	rng := newRand()
	cfg, err := o.sourceConfig(room, rng)
	if err != nil {
		return nil, err
	}
	s := &Source{out: gate.New(), ended: gate.New(), maxMessage: o.cfg.MaxMessage}
	s.buffers.New = func() any { b := make([]byte, pieceBytes); return &b }
	s.init(o)
	cfg.Trace = s.trace
	s.source = session.NewSource(s.now(), cfg)
	s.local = &Addr{network: o.network, group: o.addr.group, host: o.conn.LocalAddr(), tsi: cfg.TSI}
	s.remote = o.addr
	logSource(s.log, &s.info, &o.given)
	s.start(s.source, s.settle)
	return s, nil
}

// settle finds out who can go on. It runs under mu after the engine worked.
func (s *Source) settle(now mono.Time, t *told) {
	broken := s.failed != nil
	switch {
	case s.wants == 0:
	case broken, s.wants == stream && s.source.Writable(now), s.wants > 0 && s.source.MessageWritable(now, s.wants):
		s.wants = 0
		t.gates = append(t.gates, s.out)
	}
	if s.flush.active && (broken || s.flushed()) {
		t.gates = append(t.gates, s.out)
	}
	s.settleDeliveries(t)
	if s.closing && (broken || s.source.Finished()) {
		t.gates = append(t.gates, s.ended)
	}
}

// flushed reports whether the network has taken everything before the mark of Flush. mu is held.
func (s *Source) flushed() bool {
	f := &s.flush
	if !f.polled && s.source.SentAll(f.mark) {
		f.polled, f.run = true, s.endpoint.polled
	}
	return f.polled && s.written >= f.run
}

// usable returns why nothing more can be written. mu is held.
func (s *Source) usable() error {
	if s.closing {
		return net.ErrClosed
	}
	return s.failed
}

// Write sends b as part of a byte stream. It packs bytes into full packets and keeps no boundaries: a packet leaves when it
// is full, 1 ms after its first byte, or on Flush, WriteMessage or Close. Write blocks while more than max(256 KB, 10 ms of
// Rate) waits to be sent or the window has no free slot. It returns how many bytes were taken; fewer than len(b) only with
// an error.
func (s *Source) Write(b []byte) (int, error) {
	n, err := s.write(b)
	return n, opError("write", s.local, s.remote, err)
}

func (s *Source) write(b []byte) (n int, err error) {
	ctx := context.Background()
	if err := s.out.Enter(ctx, &s.deadline); err != nil {
		return 0, err
	}
	defer s.out.Leave()
	for {
		piece := b[n:min(len(b), n+pieceBytes)]
		k, err := s.put(piece)
		n += k
		if err != nil || n == len(b) {
			return n, err
		}
		if k == len(piece) {
			continue
		}
		if err := s.out.Wait(ctx, &s.deadline); err != nil {
			return n, err
		}
	}
}

// put writes what the engine takes of b now.
func (s *Source) put(b []byte) (n int, err error) {
	s.do(&s.told, func(now mono.Time) {
		if err = s.usable(); err != nil {
			return
		}
		if n = s.source.Write(now, b); n < len(b) {
			s.wants = stream
		}
	})
	return n, err
}

// WriteMessage sends b as one message (an APDU), which receivers get whole by ReadMessage: in one packet if it fits, else in
// fragments. It blocks as Write does. A message that is empty or longer than Config.MaxMessage is refused with ErrMessageSize.
func (s *Source) WriteMessage(b []byte) error {
	return opError("write", s.local, s.remote, s.writeMessage(b))
}

func (s *Source) writeMessage(b []byte) error {
	if len(b) == 0 || len(b) > s.maxMessage {
		return fmt.Errorf("%w (%d bytes, limit %d)", ErrMessageSize, len(b), s.maxMessage)
	}
	ctx := context.Background()
	if err := s.out.Enter(ctx, &s.deadline); err != nil {
		return err
	}
	defer s.out.Leave()
	for {
		done, err := s.putMessage(b)
		if done || err != nil {
			return err
		}
		if err := s.out.Wait(ctx, &s.deadline); err != nil {
			return err
		}
	}
}

// putMessage writes b if the engine takes it now.
func (s *Source) putMessage(b []byte) (done bool, err error) {
	s.do(&s.told, func(now mono.Time) {
		if err = s.usable(); err != nil {
			return
		}
		if done = s.source.WriteMessage(now, b); !done {
			s.wants = len(b)
		}
	})
	return done, err
}

// ReadFrom sends all that r gives until io.EOF, as part of the byte stream. It implements io.ReaderFrom for io.Copy. Other
// writes may come between its pieces of 64 KiB.
func (s *Source) ReadFrom(r io.Reader) (n int64, err error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for {
		k, err := r.Read(*buf)
		if k > 0 {
			w, err := s.Write((*buf)[:k])
			n += int64(w)
			if err != nil {
				return n, err
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return n, nil
		default:
			return n, err
		}
	}
}

// Flush returns when all that was written has been handed to the network. It obeys the write deadline and does not wait for
// delivery: see WaitDelivered.
func (s *Source) Flush() error {
	return opError("flush", s.local, s.remote, s.flushAll())
}

func (s *Source) flushAll() error {
	ctx := context.Background()
	if err := s.out.Enter(ctx, &s.deadline); err != nil {
		return err
	}
	defer s.out.Leave()
	var err error
	s.do(&s.told, func(now mono.Time) {
		if err = s.usable(); err == nil {
			s.flush = flushing{active: true, mark: s.source.Flush(now)}
		}
	})
	for err == nil {
		done := false
		s.mu.Lock()
		if done = s.flushed(); !done {
			err = s.failed
		}
		s.mu.Unlock()
		if done || err != nil {
			break
		}
		err = s.out.Wait(ctx, &s.deadline)
	}
	s.mu.Lock()
	s.flush.active = false
	s.mu.Unlock()
	return err
}

// Close ends the session: it sends what was written, tells receivers where the stream ends (FIN), and goes on repairing for
// Config.Linger, less if nobody asks any more. Writes that wait, and all that come later, fail with net.ErrClosed, as does a
// second Close. It takes as long as Rate and the network need for what is left; CloseContext bounds that.
func (s *Source) Close() error { return s.CloseContext(context.Background()) }

// CloseContext is Close for no longer than until ctx ends. If by then not even everything was sent once, the session is
// reset, so that receivers get a *ResetError at once, and CloseContext returns the context's error.
func (s *Source) CloseContext(ctx context.Context) error {
	return opError("close", s.local, s.remote, s.close(ctx))
}

func (s *Source) close(ctx context.Context) error {
	var (
		t     told
		again bool
		mark  seq.Num
	)
	s.do(&t, func(now mono.Time) {
		if again = s.closing; !again {
			s.closing = true
			mark = s.source.Flush(now)
			s.source.Finish(now)
			s.closeDeliveries()
		}
	})
	if again {
		return net.ErrClosed
	}
	s.out.Close()
	err := s.ended.Wait(ctx, nil)
	if err != nil {
		s.do(&t, func(now mono.Time) {
			if s.source.SentAll(mark) {
				err = nil
			} else {
				s.source.Reset(now, abortCode)
			}
		})
	}
	if err != nil { // the RST is still to go out
		var d gate.Deadline
		d.Set(time.Now().Add(abortWait))
		_ = s.ended.Wait(context.Background(), &d) // it may not, if the socket stands still
		d.Set(time.Time{})
	}
	s.stop()
	if err == nil {
		s.mu.Lock()
		err = s.failed
		s.mu.Unlock()
	}
	return err
}

// Read fails: a Source only sends.
func (s *Source) Read([]byte) (int, error) {
	return 0, opError("read", s.local, s.remote, ErrSendOnly)
}

// TSI returns the session's identity, which every packet of it carries.
func (s *Source) TSI() wire.TSI { return s.local.tsi }

// LocalAddr returns the source's own address, port and TSI, as an *Addr.
func (s *Source) LocalAddr() net.Addr { return s.local }

// RemoteAddr returns the group, as an *Addr.
func (s *Source) RemoteAddr() net.Addr { return s.remote }

// SetDeadline is SetWriteDeadline: there is nothing to read.
func (s *Source) SetDeadline(t time.Time) error { return s.SetWriteDeadline(t) }

// SetReadDeadline does nothing, as Read never waits.
func (s *Source) SetReadDeadline(time.Time) error {
	return opError("set", s.local, nil, s.open())
}

// SetWriteDeadline sets when Write, WriteMessage and Flush fail with os.ErrDeadlineExceeded, now waiting or called later. The
// zero time is never.
func (s *Source) SetWriteDeadline(t time.Time) error {
	if err := s.open(); err != nil {
		return opError("set", s.local, nil, err)
	}
	s.deadline.Set(t)
	return nil
}

// open returns net.ErrClosed once Close was called.
func (s *Source) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return net.ErrClosed
	}
	return nil
}

// Stats returns what was counted so far. It may be called after Close too.
func (s *Source) Stats() SourceStats {
	s.mu.Lock()
	st, bad := s.source.Stats(), s.bad
	s.mu.Unlock()
	return SourceStats{st, s.socketStats(bad)}
}
