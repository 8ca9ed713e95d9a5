package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// confirming is where a receiver stands that takes part in confirmation, towards one source.
//
// An ACK with its Report leaves when everything before mark is here and either more is than the last one said, or an SPM asked
// again. While every is short there is one at once, and at most one in it; else one leaves after a random part of it, so that a large
// group spreads and those who are not needed hear in time that they are not (a later mark).
type confirming struct {
	since seq.Num       // nothing was lost from here on: where delivery began, or after what was lost last
	on    bool          // the source wants confirmation
	asked bool          // an SPM asked since the latest ACK
	known bool          // one left, so that the source knows that we take part
	mark  seq.Num       // wanted: everything before it
	told  seq.Num       // everything before this, said the latest ACK
	every time.Duration // one ACK in this
	sent  mono.Time     // the latest ACK
	at    mono.Time     // when the next is due; Never when none is
	pace  flow.Pacer    // whatever the source wants
}

const (
	confirmAtOnce = time.Millisecond      // up to this interval a receiver does not wait before it confirms
	confirmLeast  = 50 * time.Microsecond // least interval, whatever the source says
	confirmRate   = 10 * flow.Mbps        // of one receiver's confirmations to one source, in IP bytes: 9,000 a second
	confirmBurst  = 64 << 10
)

func newConfirming(now mono.Time) *confirming {
	return &confirming{at: mono.Never, sent: now.Add(-time.Hour), pace: flow.NewPacer(confirmRate, confirmBurst, now)}
}

// learnConfirm takes what an SPM says about confirmation.
func (r *Receiver) learnConfirm(o *wire.Pace) {
	c := r.confirm
	c.bound(r.window.Run())
	c.on = o.On && o.Confirm != 0
	c.asked = c.on
	c.mark, c.every = o.Mark, max(min(flow.DecodeGRTT(o.Confirm), flow.MaxGRTT), confirmLeast)
	if !r.confirmWanted() {
		c.at = mono.Never // others were enough
	}
}

// confirmWanted reports whether there is something to confirm: what the source waits for, or that we take part at all.
func (r *Receiver) confirmWanted() bool {
	c, front := r.confirm, r.window.Run()
	switch {
	case !c.on:
		return false
	case !c.known && c.asked && r.group <= maxConfirming:
		return true
	}
	return c.mark.LessEq(front) && (c.asked || front != c.told)
}

// confirmSoon sets when the next ACK leaves, if one is to.
func (r *Receiver) confirmSoon(now mono.Time) {
	c := r.confirm
	if c.at != mono.Never || !r.accepted || !r.confirmWanted() {
		return
	}
	if c.every > confirmAtOnce { // not bounded by c.sent, too: all who spoke at once would do so again
		c.at = now.Add(nack.UniformWait(r.peers.rng, c.every))
		return
	}
	c.at = max(now, c.sent.Add(c.every))
}

// confirmAt is when sendConfirmation has something to send.
func (r *Receiver) confirmAt() mono.Time {
	if r.confirm == nil || r.confirm.at == mono.Never {
		return mono.Never
	}
	return max(r.confirm.at, r.confirm.pace.OpenAt(r.clock))
}

// sendConfirmation says what is here.
func (r *Receiver) sendConfirmation(now mono.Time, t *Transmit) {
	c := r.confirm
	p := r.ack()
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	q := &p.Options.Peer
	*q = wire.Peer{Time: r.echo(now)}
	r.addReport(now, p)
	q.Flags |= peerUnasked | peerConfirms
	q.Report.On, q.Report.ID = true, r.peers.cfg.ID
	q.Report.Start, q.Report.Front = c.since, r.window.Run()
	t.B, t.To = p.Append(t.B), r.nakTo()
	c.pace.Take(now, len(t.B)+headerBytes)
	c.told, c.sent, c.at, c.asked, c.known = q.Report.Front, now, mono.Never, false, true
	r.stats.ACKs++
}

// lostBefore books that numbers before end were lost, end-1 the last of them.
func (c *confirming) lostBefore(end seq.Num) {
	if d := end.Sub(c.since); d > 0 || d < -farthest {
		c.since = end
	}
}

// bound keeps since so near to front that serial numbers can compare it.
func (c *confirming) bound(front seq.Num) {
	if d := front.Sub(c.since); d > farthest/2 || d < -farthest {
		c.since = front.Add(-farthest / 2)
	}
}
