package carousel

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/internal/aside"
	"github.com/rmcast/rmcast/transport"
)

// Requests hears what receivers ask a source for (Ask), for a Send that has it in its SendConfig. Nothing is sent by it.
//
// A request is one message in a session of its own, in the carousel's group, under another PGM data-destination port: no Listener of the
// carousel takes it for a source, and foreign receivers do not see it.
type Requests struct {
	ear     *aside.Ear
	arrived chan struct{}
	waiting atomic.Int32 // len(pending)

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
	Err     error  // why nothing is heard any more, transport's; nil: it is
}

// request is a receiver's.
type request struct {
	id   ID
	list []need
}

const (
	requestRate   = 50 // a second
	requestBurst  = 50
	requestLinger = 250 * time.Millisecond
)

// requestConfig is the Config of requests in a group, of which c is that of the carousel.
func requestConfig(group string, c *transport.Config) *transport.Config {
	r := aside.Config(group, c, aside.Requests)
	r.Linger = requestLinger
	return r
}

// ListenRequests hears requests in the group of a carousel, of which cfg is the transport's Config.
func ListenRequests(network, group string, cfg *transport.Config) (*Requests, error) {
	r := &Requests{arrived: make(chan struct{}, 1), budget: requestBurst, at: time.Now()}
	hear := func(b []byte) { r.handle(b, time.Now()) }
	ear, err := aside.Listen(network, group, requestConfig(group, cfg), headBytes+maxNeeds*needBytes, hear, r.failed)
	if err != nil {
		return nil, err
	}
	r.ear = ear
	return r, nil
}

// Close ends listening. A Send goes on without.
func (r *Requests) Close() error { return r.ear.Close() }

func (r *Requests) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Err = err
}

// Stats returns what was counted so far.
func (r *Requests) Stats() RequestStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
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
