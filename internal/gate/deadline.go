package gate

import (
	"sync"
	"time"
)

// Deadline is an instant that may be moved while others wait for it, with the meaning of net.Conn's SetDeadline. The zero
// value never comes. It must not be copied.
type Deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // nil: no deadline, or passed
	done  chan struct{} // closed once the deadline has passed; made when first asked for
}

// Done returns a channel that is closed when the deadline passes. Those who wait on it see the deadline moved while they wait,
// unless it had already passed: then a later Set makes a new channel. A nil Deadline returns nil.
func (d *Deadline) Done() <-chan struct{} {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

// Set moves the deadline to t; the zero time means none, a time that is not in the future has passed at once.
func (d *Deadline) Set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.done // the timer's function has begun and needs no lock: let it finish before the channel is judged
	}
	d.timer = nil
	if d.done == nil {
		d.done = make(chan struct{})
	}
	passed := false
	select {
	case <-d.done:
		passed = true
	default:
	}
	if t.IsZero() {
		if passed {
			d.done = make(chan struct{})
		}
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		if !passed {
			close(d.done)
		}
		return
	}
	if passed {
		d.done = make(chan struct{})
	}
	done := d.done
	d.timer = time.AfterFunc(wait, func() { close(done) })
}
