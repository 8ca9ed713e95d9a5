package session

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// Messages around every multiple of a fragment arrive whole: none loses its last byte, and none gets an empty fragment.
func TestMessageSizesAroundFragments(t *testing.T) {
	room := testRoom()
	var sizes []int
	for _, part := range []int{room.Stream(), room.Fragment(), room.Message()} {
		for _, k := range []int{1, 2, 3, 15, 16, 17} {
			for d := -2; d <= 2; d++ {
				sizes = append(sizes, k*part+d)
			}
		}
	}
	for _, unordered := range []bool{false, true} {
		n := newNetwork(t, 1)
		sn, s := n.source(nil)
		left := sizes
		sn.tick = func(now mono.Time) {
			for len(left) > 0 && s.WriteMessage(now, pattern(uint64(left[0]), left[0])) {
				left = left[1:]
			}
			if len(left) == 0 {
				s.Finish(now)
			}
		}
		rn, ps := n.peers(func(c *PeersConfig) { c.Unordered = unordered })
		var r *Receiver
		var end error
		got, b := 0, make([]byte, 1<<20)
		rn.tick = func(now mono.Time) {
			if r == nil {
				if r = ps.Accept(); r == nil {
					return
				}
			}
			for end == nil {
				size, err := r.ReadMessage(now, b)
				switch {
				case errors.Is(err, ErrWouldBlock):
					return
				case err != nil:
					end = err
				case got == len(sizes) || size != sizes[got] || !bytes.Equal(b[:size], pattern(uint64(size), size)):
					t.Fatalf("unordered %v, message %d: %d bytes, of %d to come", unordered, got, size, sizes[got:])
				default:
					got++
				}
			}
		}
		n.run(mono.Time(30*time.Second), func() bool { return end != nil })
		if got != len(sizes) || !errors.Is(end, errEOF) {
			t.Errorf("unordered %v: %d of %d messages, end %v", unordered, got, len(sizes), end)
		}
	}
}
