package carousel

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// Requests hears what receivers ask a source for (Ask), for a Send that has it in its SendConfig. Nothing is sent by it.
//
// A request is one message in a session of its own, in the carousel's group, under another PGM data-destination port: no Listener of the
// carousel takes it for a source, and foreign receivers do not see it.
type Requests struct {
	listener *transport.Listener
	done     chan struct{} // closed when nobody listens any more
	arrived  chan struct{}
	waiting  atomic.Int32 // len(pending)

	mu      sync.Mutex
	pending []request
	budget  float64 // requests that are heard now
	at      time.Time
	stats   RequestStats
}

// RequestStats is what Requests counted.
type RequestStats struct {
	Heard   uint64 // requests that were entered
	Invalid uint64 // messages that are none, requests for what there is not, or for an object that is not sent
	Limited uint64 // messages beyond 50 a second, or that no Send took, not looked at
	Symbols uint64 // that were asked for, where nobody had asked for them before, and will be sent
}

// request is a receiver's.
type request struct {
	id   ID
	list []need
}

const (
	requestPort  = 2  // what is added to the carousel's data-destination port; its parity has the one between
	requestRate  = 50 // a second
	requestBurst = 50
	requestWait  = 3 * time.Second // for the message of a session
	rawPort      = 7500            // transport's data-destination port where the group names none
)

// requestConfig is the Config of requests in a group: what the carousel's Config says of the network, and little else.
func requestConfig(group string, c *transport.Config) *transport.Config {
	if c == nil {
		c = &transport.Config{}
	}
	port := int(c.DestinationPort)
	if _, p, err := net.SplitHostPort(group); port == 0 && err == nil {
		port, _ = strconv.Atoi(p) // transport says what is wrong with it
	}
	or(&port, rawPort)
	port += requestPort
	if port > 65534 { // none is 0, and the next is parity's
		port -= 65534
	}
	return &transport.Config{
		Interface: c.Interface, Sources: c.Sources, HopLimit: c.HopLimit, MTU: c.MTU, Network: c.Network, DestinationPort: uint16(port),
		Logger: slog.New(slog.DiscardHandler), // each request is a session that comes and goes
		Rate:   flow.Mbps, Fixed: true, WindowBytes: 1 << 16, Linger: 250 * time.Millisecond,
		HeartbeatMin: 50 * time.Millisecond, Unordered: true, MaxSources: 64, Expiry: 5 * time.Second,
		FEC: fec.Config{Off: true}, // three packets are not repaired, and parity would be announced under the next port
	}
}

// ListenRequests hears requests in the group of a carousel, of which cfg is the transport's Config.
func ListenRequests(network, group string, cfg *transport.Config) (*Requests, error) {
	c := requestConfig(group, cfg)
	c.ReceiveOnly = true
	l, err := transport.Listen(network, group, c)
	if err != nil {
		return nil, err
	}
	r := &Requests{listener: l, done: make(chan struct{}), arrived: make(chan struct{}, 1), budget: requestBurst, at: time.Now()}
	go r.accept()
	return r, nil
}

// Close ends listening. A Send goes on without.
func (r *Requests) Close() error {
	err := r.listener.Close()
	<-r.done
	if errors.Is(err, net.ErrClosed) { // it failed
		err = nil
	}
	return err
}

// Stats returns what was counted so far.
func (r *Requests) Stats() RequestStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *Requests) accept() {
	defer close(r.done)
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		session, err := r.listener.AcceptReceiver()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // the socket is of no use any more
			r.listener.Close()
			return
		}
		serving.Go(func() { r.serve(session) }) // no more than MaxSources
	}
}

// serve takes the message of a session.
func (r *Requests) serve(session *transport.Receiver) {
	defer session.Close()
	b := make([]byte, headBytes+maxNeeds*needBytes)
	_ = session.SetReadDeadline(time.Now().Add(requestWait))
	n, err := session.ReadMessage(b)
	if err == nil {
		r.handle(b[:n], time.Now())
	}
}

// handle takes a message.
func (r *Requests) handle(b []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget = min(requestBurst, r.budget+requestRate*now.Sub(r.at).Seconds())
	if r.at = now; r.budget < 1 || len(r.pending) == requestBurst {
		r.stats.Limited++
		return
	}
	r.budget--
	h, payload, err := parsePacket(b)
	q := request{id: h.id}
	if err == nil && h.kind == kindRequest {
		q.list, err = parseNeeds(nil, payload)
	}
	if err != nil || len(q.list) == 0 {
		r.stats.Invalid++
		return
	}
	r.pending = append(r.pending, q)
	r.waiting.Store(int32(len(r.pending)))
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// come is a channel with a value when there is a request, or nil without Requests.
func (r *Requests) come() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.arrived
}

// take moves what was heard to list.
func (r *Requests) take(list []request) []request {
	if r.waiting.Load() == 0 {
		return list
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list = append(list, r.pending...)
	r.pending = r.pending[:0]
	r.waiting.Store(0)
	return list
}

// note counts what became of a request.
func (r *Requests) note(added int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.stats.Invalid++
		return
	}
	r.stats.Heard++
	r.stats.Symbols += uint64(added)
}
