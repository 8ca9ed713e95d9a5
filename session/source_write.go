package session

import (
	"fmt"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// Write takes bytes of the stream and returns how many it took: fewer than len(b), perhaps none, while enough is waiting to
// be sent or the window has no free slot; Writable says when more will go. b is copied. Packets are filled whole; what does
// not fill one leaves 1 ms after its first byte, on Flush, WriteMessage or Finish.
func (s *Source) Write(now mono.Time, b []byte) int {
	if s.end.finish {
		return 0
	}
	full := s.cfg.Room.Stream()
	taken := 0
	for taken < len(b) && s.Writable(now) {
		slot := s.window.Slot()[:full]
		n := copy(slot[s.partial:], b[taken:])
		if s.partial == 0 {
			s.partialAt = now.Add(partialDelay)
		}
		taken += n
		s.partial += n
		if s.partial == full {
			s.seal()
		}
	}
	return taken
}

// Writable reports whether Write would take something now.
func (s *Source) Writable(now mono.Time) bool {
	return !s.end.finish && s.roomy() && s.slots(now, 1)
}

// roomy reports whether more may wait to be sent. Once too much does, half of it has to leave first: a blocked writer that is
// woken for every run costs more than the run.
func (s *Source) roomy() bool {
	unsent := s.window.UnsentBytes()
	if s.full && unsent > s.maxUnsent/2 {
		return false
	}
	s.full = unsent >= s.maxUnsent
	return !s.full
}

// MessageWritable reports whether WriteMessage would take a message of size bytes now.
func (s *Source) MessageWritable(now mono.Time, size int) bool {
	need := s.cfg.Room.Packets(size)
	if s.partial > 0 {
		need++
	}
	return !s.end.finish && s.roomy() && s.slots(now, need)
}

// slots reports whether need slots are free, making room if the rules allow.
func (s *Source) slots(now mono.Time, need int) bool {
	if s.window.Free() >= need {
		s.need = 0
		return true
	}
	s.need = need
	s.reclaim(now)
	if s.window.Free() >= need {
		s.need = 0
		return true
	}
	s.waited = true
	return false
}

// MaxMessage is the longest message the window can hold at all.
func (s *Source) MaxMessage() int { return (s.cfg.Slots - 1) * s.cfg.Room.Fragment() }

// WriteMessage takes one message (APDU) whole, cut into fragments when it does not fit one packet, or reports false and takes
// nothing. b is copied. It panics on an empty message and on one beyond MaxMessage.
func (s *Source) WriteMessage(now mono.Time, b []byte) bool {
	if len(b) == 0 || len(b) > s.MaxMessage() {
		panic(fmt.Sprintf("BUG: session: message of %d bytes; 1 to %d can be sent", len(b), s.MaxMessage()))
	}
	if !s.MessageWritable(now, len(b)) {
		return false
	}
	s.seal()
	s.stats.Messages++
	part := s.cfg.Room.Part(len(b))
	if len(b) <= part {
		s.put(b, window.Fragment{})
		return true
	}
	first := s.window.End()
	for offset := 0; offset < len(b); offset += part {
		s.put(b[offset:min(offset+part, len(b))], window.Fragment{First: first, Offset: uint32(offset), Length: uint32(len(b))})
	}
	return true
}

// put copies b into the next slot as one packet.
func (s *Source) put(b []byte, f window.Fragment) {
	n := copy(s.window.Slot(), b)
	s.window.Put(n, wire.Sum(b), f)
}

// seal closes the partial packet, if there is one.
func (s *Source) seal() {
	if s.partial > 0 {
		s.window.Put(s.partial, wire.Sum(s.window.Slot()[:s.partial]), window.Fragment{})
		s.partial, s.partialAt = 0, mono.Never
	}
}

// Flush closes the partial packet and returns the mark that SentAll wants: everything written so far is before it.
func (s *Source) Flush(now mono.Time) seq.Num {
	s.seal()
	return s.window.End()
}

// SentAll reports whether all before mark has been handed to the network.
func (s *Source) SentAll(mark seq.Num) bool { return mark.LessEq(s.window.Next()) }
