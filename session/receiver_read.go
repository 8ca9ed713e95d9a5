package session

import (
	"io"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
)

// reading is where the application stands.
type reading struct {
	offset   int  // bytes already read of the message at the edge
	skipTail bool // delivery has not begun: the rest of a message that started before us is passed over

	// How far the message that starts at first has been found whole, so that a long one is not walked for every fragment.
	first, next seq.Num
	bytes       uint32
	fault       LossReason // what is wrong with that message, if it is broken and nothing of it was lost

	told    seq.Num    // after the latest loss that was told, if there was one
	toldWhy LossReason // why the last message in it was

	loose *loose // nil where delivery is in order
}

// edge says what stands at the reading edge.
type edge uint8

const (
	edgeNothing edge = iota // nothing yet
	edgeMessage             // a whole message
	edgeLoss                // numbers that will not come
	edgeEnd                 // the session is over
)

// Read copies stream bytes into b: messages one after the other, without boundaries. With nothing there it returns
// ErrWouldBlock; a loss in its place as *LossError; at the end io.EOF, *ResetError or ErrSourceLost, each time.
func (r *Receiver) Read(now mono.Time, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		what, span := r.edge()
		if what != edgeMessage {
			if n > 0 {
				break
			}
			return 0, r.stop(now, what, span)
		}
		got, done := r.copyOut(b[n:], span)
		n += got
		if done {
			r.consume(span)
		}
	}
	r.refill(now)
	return n, nil
}

// ReadMessage copies the next message (or what a Read has left of it) into b and returns its length. With b too short it
// returns io.ErrShortBuffer and leaves the message in place; otherwise errors are Read's.
func (r *Receiver) ReadMessage(now mono.Time, b []byte) (int, error) {
	what, span := r.edge()
	if what != edgeMessage {
		return 0, r.stop(now, what, span)
	}
	if len(b) < r.length(span)-r.read.offset {
		return 0, io.ErrShortBuffer
	}
	n, _ := r.copyOut(b, span)
	r.consume(span)
	r.refill(now)
	return n, nil
}

// readable reports whether Read would do anything but ErrWouldBlock.
func (r *Receiver) readable() bool {
	if r.closed {
		return false
	}
	what, _ := r.edge()
	return what != edgeNothing
}

// stop turns an edge without data into its error, and moves past a loss.
func (r *Receiver) stop(now mono.Time, what edge, span seq.Range) error {
	switch what {
	case edgeLoss:
		r.read.fault = r.tailFault(span.From) // unless scan finds another
		span = r.undeliverable(span.From)
		err := &LossError{TSI: r.key.tsi, Lost: span, Reason: r.reason(span)}
		r.read.told, r.read.toldWhy = span.To, r.reason(r.lastMessage(span))
		for n := span.From; n != span.To; n++ {
			r.window.Release(n)
		}
		r.read.skipTail, r.read.bytes = false, 0
		r.stats.LossErrors++
		if err.Reason == LossMalformed {
			r.stats.Refused.Malformed++
		}
		r.refill(now)
		return err
	case edgeEnd:
		switch evicted := r.evictedBy(); {
		case evicted != nil:
			return evicted
		case r.reset != nil:
			return r.reset
		case r.fin:
			return io.EOF
		}
		return ErrSourceLost
	}
	return ErrWouldBlock
}

// lastMessage returns the part of span, which cannot be delivered, that is known to be of the message that its last packet is of.
func (r *Receiver) lastMessage(span seq.Range) seq.Range {
	last := span.To.Add(-1)
	if r.window.State(last) == window.Have {
		p, _ := r.window.Packet(last)
		return seq.Range{From: seq.Min(last, seq.Max(span.From, p.Fragment.First)), To: span.To}
	}
	return seq.Range{From: last, To: span.To}
}

// tailFault says what is wrong with packet n, if it was not lost: it is more of a message whose beginning was told as lost just before, or
// it does not belong where it stands.
func (r *Receiver) tailFault(n seq.Num) LossReason {
	if r.stats.LossErrors > 0 && r.read.told == n && r.window.State(n) == window.Have {
		if p, _ := r.window.Packet(n); p.Fragment.Length > 0 && p.Fragment.First.Less(n) {
			return r.read.toldWhy
		}
	}
	return LossMalformed
}

// edge finds what stands at the reading edge, and which numbers it takes; of a loss only the first (see undeliverable).
func (r *Receiver) edge() (edge, seq.Range) {
	if !r.accepted {
		return edgeNothing, seq.Range{}
	}
	if r.peers.cfg.Unordered {
		return r.edgeUnordered()
	}
	for {
		n := r.window.Next()
		switch r.window.State(n) {
		case window.Have:
			p, _ := r.window.Packet(n)
			if p.Fragment.Length == 0 {
				return edgeMessage, seq.Range{From: n, To: n.Add(1)}
			}
			if p.Fragment.First != n {
				if r.read.skipTail {
					r.window.Release(n)
					continue
				}
				return edgeLoss, seq.Range{From: n}
			}
			end, whole, broken := r.scan(n)
			switch {
			case whole:
				return edgeMessage, seq.Range{From: n, To: end}
			case broken:
				return edgeLoss, seq.Range{From: n}
			}
			return edgeNothing, seq.Range{}
		case window.Lost:
			return edgeLoss, seq.Range{From: n}
		case window.Missing:
			return edgeNothing, seq.Range{}
		}
		return r.over()
	}
}

// over tells an end from a pause when the window holds nothing more.
func (r *Receiver) over() (edge, seq.Range) {
	// Unordered delivery leaves incomplete messages behind when nothing more comes; in order they are told as lost first.
	done := r.lead.Less(r.window.Next()) || r.peers.cfg.Unordered && r.silent()
	if done && (r.lost || r.reset != nil || r.fin || r.evictedBy() != nil) {
		return edgeEnd, seq.Range{}
	}
	return edgeNothing, seq.Range{}
}

// silent reports whether nothing more will come from the source.
func (r *Receiver) silent() bool { return r.lost || r.reset != nil && r.noNAKs || r.evictedBy() != nil }

// scan follows the fragments of the message that starts at first: whole, broken by a loss or a contradiction, or neither yet.
func (r *Receiver) scan(first seq.Num) (end seq.Num, whole, broken bool) {
	rd := &r.read
	if rd.first != first || rd.bytes == 0 {
		rd.first, rd.next, rd.bytes = first, first, 0
	}
	head, _ := r.window.Packet(first)
	for rd.bytes < head.Fragment.Length {
		switch r.window.State(rd.next) {
		case window.Have:
		case window.Lost, window.Done:
			return rd.next, false, true
		default:
			if (r.lost || r.reset != nil || r.fin || r.evictedBy() != nil) && r.lead.Less(rd.next) { // the source ended in the middle of it
				rd.fault = LossUnavailable
				return rd.next, false, true
			}
			if first == r.window.Next() && rd.next == r.window.Limit() { // more fragments than the window holds
				rd.fault = LossTooLong
				return rd.next, false, true
			}
			return rd.next, false, false
		}
		p, _ := r.window.Packet(rd.next)
		if f := p.Fragment; f.First != first || f.Length != head.Fragment.Length || f.Offset != rd.bytes {
			rd.fault = LossMalformed
			return rd.next, false, true
		}
		rd.bytes += uint32(len(p.Payload))
		rd.next++
	}
	return rd.next, true, false
}

// undeliverable returns the numbers from n on that will not be delivered: lost ones, and fragments whose message lost one.
func (r *Receiver) undeliverable(n seq.Num) seq.Range {
	span := seq.Range{From: n, To: n}
	for ; span.To != r.window.End(); span.To++ {
		switch r.window.State(span.To) {
		case window.Lost:
			continue
		case window.Have:
			f, _ := r.window.Packet(span.To)
			if f.Fragment.Length == 0 {
				return span
			}
			if f.Fragment.First == span.To {
				if _, _, broken := r.scan(span.To); !broken {
					return span
				}
			}
			continue
		}
		break
	}
	return span
}

// length is that of the message in span.
func (r *Receiver) length(span seq.Range) int {
	p, _ := r.window.Packet(span.From)
	if p.Fragment.Length > 0 {
		return int(p.Fragment.Length)
	}
	return len(p.Payload)
}

// copyOut copies what is left of the message in span into b and reports whether that was all.
func (r *Receiver) copyOut(b []byte, span seq.Range) (n int, done bool) {
	for at := span.From; at != span.To; at++ {
		p, _ := r.window.Packet(at)
		skip := max(r.read.offset-int(p.Fragment.Offset), 0)
		if skip >= len(p.Payload) {
			continue
		}
		c := copy(b[n:], p.Payload[skip:])
		n += c
		r.read.offset += c
		if skip+c < len(p.Payload) {
			return n, false
		}
	}
	return n, true
}

// consume moves past the message in span.
func (r *Receiver) consume(span seq.Range) {
	r.stats.Messages++
	r.stats.DeliveredBytes += uint64(r.length(span))
	r.read.offset, r.read.bytes = 0, 0
	r.read.skipTail = false
	for n := span.From; n != span.To; n++ {
		r.window.Release(n)
	}
	if r.peers.cfg.Unordered {
		r.read.loose.started = false
		r.sweep()
	}
}
