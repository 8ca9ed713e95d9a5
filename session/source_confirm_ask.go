package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// askNow has an SPM leave that asks.
func (s *Source) askNow(now mono.Time) { s.spm.askedAt = min(s.spm.askedAt, now) }

// askLater sets when the first SPM leaves that asks again, should nobody be served before.
func (s *Source) askLater(now mono.Time) {
	c := s.confirm
	if len(c.waits) == 0 {
		c.askAt = mono.Never
		return
	}
	c.step = s.askAgain(now)
	c.askAt = now.Add(c.step)
}

// askAgain is how long after data or an SPM its confirmation may take.
func (s *Source) askAgain(now mono.Time) time.Duration {
	wait := s.grtt.Value(now)*3/2 + time.Millisecond
	if every := s.confirmEvery(now); every > confirmAtOnce {
		wait += every
	}
	return wait
}

// askDue has an SPM repeated that asks. While what is waited for was not even sent there is nothing to repeat.
func (s *Source) askDue(now mono.Time) {
	c := s.confirm
	if now < c.askAt {
		return
	}
	if c.told && !s.SentAll(c.waits[0].mark) {
		c.askAt = now.Add(c.step)
		return
	}
	c.askAt = mono.Never // until the SPM left
	s.askNow(now)
}

// confirmEvery is how often one receiver may confirm: so that all of them do so about once in confirmSpacing, or, where they are many,
// confirmShare times in a round trip, if that is less: the others hear within a round trip that they need not any more. How many
// they are is known once each has had the time to speak; till then all of the group may be.
func (s *Source) confirmEvery(now mono.Time) time.Duration {
	c, grtt := s.confirm, s.grtt.Value(now)
	group := int(min(s.groupSize(), 1e6))
	if group > maxConfirming {
		return confirmIn(group, grtt)
	}
	if first := confirmIn(group, 0); now < c.onAt.Add(first+2*grtt) {
		return first
	}
	return confirmIn(max(len(c.list), 1), grtt)
}

func confirmIn(receivers int, grtt time.Duration) time.Duration {
	spacing := confirmSpacing
	if receivers > smallGroup {
		spacing = max(spacing, grtt/confirmShare)
	}
	return min(max(time.Duration(receivers)*spacing, confirmLeast), maxConfirmEvery)
}

// addConfirm puts into an SPM what is wanted: up to the lowest number that somebody waits for, or, while nobody
// does, what was sent since the SPM before: the next wait may be for that.
func (s *Source) addConfirm(now mono.Time, o *wire.Pace) {
	c := s.confirm
	if c == nil || !c.wanted(now) {
		return
	}
	o.On = true
	o.Mark, o.Confirm = seq.Max(c.last, c.seen).Add(1), max(flow.EncodeGRTT(s.confirmEvery(now)), 1)
	if len(c.waits) > 0 {
		o.Mark = c.waits[0].mark
	}
}

func (c *sourceConfirm) wanted(now mono.Time) bool { return len(c.waits) > 0 || now < c.until }

// confirmTold books that an SPM left.
func (s *Source) confirmTold(now mono.Time) {
	c := s.confirm
	if c == nil {
		return
	}
	c.seen = s.window.Next()
	if c.told = c.wanted(now); !c.told {
		c.onAt = mono.Never
	}
	if len(c.waits) > 0 {
		c.askAt = now.Add(c.step)
		c.step = min(2*c.step, max(confirmRepeatMax, s.askAgain(now)))
	}
}
