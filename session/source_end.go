package session

import (
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Finish says that nothing more will be written. When all that was written is out, SPMs carry OPT_FIN (RFC 3208, 9.7), and
// repairs are served for Linger from then on, or until three of them are out and no NAK came for a while.
func (s *Source) Finish(now mono.Time) {
	if s.end.finish {
		return
	}
	s.seal()
	s.end.finish = true
	s.spm.ask(now)
}

// Reset ends the session at once: SPMs carry OPT_RST with code (0 to 63), nothing is repaired any more (RFC 3208, 9.8).
func (s *Source) Reset(now mono.Time, code uint8) {
	s.Finish(now)
	s.end.reset, s.end.code = true, code&0x3f
	s.repairs.Trim(s.window.End())
	s.dropParity()
	s.spm.ask(now)
}

// Finished reports whether the session is over: the engine does nothing more.
func (s *Source) Finished() bool { return s.end.forgotten }

// ended reports whether everything is out, so that the next SPM may say FIN.
func (s *Source) ended() bool { return s.end.reset || s.end.finish && s.window.Unsent() == 0 }

// addEnding adds OPT_FIN or OPT_RST when it is time.
func (s *Source) addEnding(now mono.Time, o *wire.Options) {
	switch {
	case s.end.reset:
		o.Set = o.Set.With(wire.OptRST)
		o.Reset.NoNAKs, o.Reset.Code = true, s.end.code
	case s.ended():
		o.Set = o.Set.With(wire.OptFIN)
	default:
		return
	}
	if s.end.spms == 0 {
		s.end.sentAt = now
		s.end.deadline = now.Add(s.cfg.Linger)
		s.trace(now, EventFIN, seq.Range{From: s.window.Trail(), To: s.window.Next()})
	}
	s.end.spms++
}

// endingSent sets when the next SPM of the end leaves. Whoever loses them all waits for Expiry, so the first ones come at a
// steady short interval; later ones double.
func (s *Source) endingSent(now mono.Time) {
	if s.end.spms == 0 {
		return
	}
	if s.end.spms <= finSteady {
		s.spm.heartbeat = min(s.spm.heartbeatMin, quietMin/finSteady)
	}
	s.spm.heartbeatAt = now.Add(s.spm.heartbeat)
}

// finishAt is when the session is over: Linger after the first FIN, earlier when the group is quiet, later (but not by more
// than four Lingers) while it still asks for what the window holds.
func (s *Source) finishAt() mono.Time {
	switch {
	case s.end.sentAt == mono.Never:
		return mono.Never
	case s.end.reset && s.end.spms >= finSPMs:
		return s.spm.last
	}
	quiet := max(quietCycles*s.cycle(s.clock), quietMin)
	if !s.heard {
		quiet = max(quiet, quietMute)
	}
	content := max(s.end.sentAt, s.end.lastNAK).Add(quiet)
	last := s.end.sentAt.Add(lingerMost * s.cfg.Linger)
	switch {
	case s.repairs.Pending() > 0:
		return last
	case s.end.lastNAK > s.end.sentAt && content > s.end.deadline:
		return min(content, last)
	case s.end.spms < finSPMs:
		return s.end.deadline
	}
	return min(content, s.end.deadline)
}
