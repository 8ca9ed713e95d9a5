package transport

import (
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// idle is an engine with nothing to do.
type idle struct{}

func (idle) Handle(mono.Time, session.Meta, *wire.Packet) {}
func (idle) Advance(mono.Time)                            {}
func (idle) Poll(mono.Time, *session.Transmit) bool       { return false }
func (idle) Deadline() mono.Time                          { return mono.Never }

// An engine is told instants that never go back, however many goroutines wait for the lock. A receiver whose report was made at an instant
// before that of its lead's arrival said once that it had held it for an hour.
func TestClockGoesOn(t *testing.T) {
	e := &endpoint{epoch: time.Now(), engine: idle{}, settle: func(mono.Time, *told) {}, wake: make(chan struct{}, 1)}
	var last mono.Time
	back := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var told told
			for range 200000 {
				e.do(&told, func(now mono.Time) {
					if now < last {
						back++
					}
					last = now
				})
			}
		})
	}
	wg.Wait()
	if back > 0 || last == 0 || last == mono.Never {
		t.Errorf("time went back %d times, to %v at last", back, last)
	}
}
