package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// reporting is what a receiver keeps for a source whose SPMs carry wire.Pace: what it got, and when it is to say so. Others have none, and
// send not one byte of it.
//
// Reports travel in each NAK and in ACKs. They hold counters since the beginning, so that the source takes the difference of any two and a
// lost one costs nothing. An ACK goes out
//
//   - from the acker, whom the source names in SPMs, every Pace.Every while something new comes. The last of a burst is told too.
//   - from each receiver once, soon after its first data (in a large group from those who are first).
//   - from a receiver that gets less than Pace.Slow for some round trips: after a suppressing wait, and again until the source has
//     another acker or tells of a lower rate.
//   - from a receiver whose application does not keep up: when half of its window is unread, each time that half of the rest is gone, and when
//     there is room again.
type reporting struct {
	id    wire.ReceiverID
	pace  wire.Pace // as it was told last; the zero value where an SPM had none
	every time.Duration

	began  bool      // ODATA came
	lead   seq.Num   // the highest number of it
	leadAt mono.Time // when it came,
	atLead counted   // and what was counted then
	got    counted   // until now

	told    seq.Num   // lead of the latest report
	toldAt  mono.Time // when it left; Never before
	room    int       // in it
	at      mono.Time // when an ACK is due; Never when none is
	repeats uint8     // of the news that there is room again

	speak  answer    // the wait before an ACK that nobody asked for, first or slow
	floor  uint8     // more of them that go without a wait
	marked mono.Time // when the present measure of what comes began; Never when none did,
	mark   counted   // with this
	last   mono.Time // the latest data

	behind  bool // the application does not keep up
	evicted *EvictedError
}

// counted is what a receiver counts of data packets.
type counted struct {
	bytes uint64 // of IP packets
	heard uint32 // ODATA
}

const (
	reportLeast   = time.Millisecond // bounds of Pace.Every
	reportMost    = time.Second
	firstReport   = time.Millisecond       // first reports wait up to this in small groups,
	firstReportOf = 150 * time.Millisecond // and in large ones no longer than this, for the first guess of the round trip may be far too long
	lastReport    = 8                      // intervals until the acker tells the end of what came once more
	slowTrips     = 3                      // round trips that less than Pace.Slow came,
	slowLeast     = 20 * time.Millisecond  // or this long,
	slowMost      = time.Second
	slowPackets   = 8                     // and at least so many packets
	slowAgain     = 4                     // further ACKs by who waited for its first: the source compares several
	roomAgain     = 50 * time.Millisecond // news that there is room are repeated after this, doubled each time,
	roomRepeats   = 5                     // while nothing comes
)

// learnPace takes what an SPM says of the rate.
func (r *Receiver) learnPace(now mono.Time, p *wire.Pace) {
	q := r.report
	if !p.On || p.Every == 0 || r.peers.cfg.ReceiveOnly {
		if q != nil {
			q.pace, q.at, q.speak = wire.Pace{}, mono.Never, noAnswer
		}
		return
	}
	if q == nil {
		q = &reporting{toldAt: mono.Never, at: mono.Never, speak: noAnswer, marked: mono.Never}
		if q.id = r.peers.cfg.ID; q.id == 0 {
			q.id = wire.ReceiverID(max(r.peers.rng.Uint64(), 1))
		}
		r.report = q
	}
	me := q.id
	named := p.Acker == me && q.pace.Acker != me
	q.pace = *p
	q.every = min(max(flow.DecodeGRTT(p.Every), reportLeast), reportMost)
	switch {
	case named:
		q.speak, q.floor, q.at = noAnswer, 0, now
	case p.Acker != me && p.Acker != 0 && q.toldAt == mono.Never && r.group > smallGroup:
		q.speak = noAnswer // others were first
	}
	if p.Told == me && p.Reason != 0 {
		r.evict(now, p.Reason)
	}
}

// ipBytes is the length of a packet of the source as an IP packet.
func (r *Receiver) ipBytes(p *wire.Packet) int {
	n := p.HeadLen() + len(p.Payload) + 20
	if !r.peers.cfg.Group.Is4() {
		n += 20
	}
	if r.peers.cfg.UDPPort != 0 {
		n += 8
	}
	return n
}

// gotOther counts a data packet that is no new ODATA.
func (r *Receiver) gotOther(p *wire.Packet) { r.report.got.bytes += uint64(r.ipBytes(p)) }

// gotData counts ODATA, and decides whether there is something to say.
func (r *Receiver) gotData(now mono.Time, p *wire.Packet) {
	q := r.report
	q.got.bytes += uint64(r.ipBytes(p))
	q.got.heard++
	if q.began && p.Sqn.LessEq(q.lead) {
		return
	}
	q.lead, q.leadAt, q.atLead = p.Sqn, now, q.got
	q.repeats = 0
	switch {
	case !q.began:
		q.began = true
		r.introduce(now)
	case q.pace.Acker == q.id:
		q.at = min(q.at, max(now, q.toldAt.Add(q.every)))
	default:
		r.watchRate(now)
	}
	switch {
	case !q.behind:
		if r.unread() >= 2 {
			q.behind = true
			q.at = now
		}
	case r.reportRoom() < q.room/2: // a single report may be lost, and is not believed of who never spoke before
		q.at = min(q.at, max(now, q.toldAt.Add(q.every)))
	}
}

// introduce has the first report sent.
func (r *Receiver) introduce(now mono.Time) {
	q := r.report
	switch {
	case q.pace.Acker == q.id:
		q.at = now
	case r.group <= smallGroup:
		r.speakWithin(now, min(firstReport, r.grtt))
	case q.pace.Acker == 0:
		r.speakWithin(now, min(answerWithin(r.grtt, r.group), firstReportOf))
	}
}

func (r *Receiver) speakWithin(now mono.Time, within time.Duration) {
	q := r.report
	q.speak = answer{from: now, within: within, group: r.group}
	q.speak.draw(r.peers.rng)
}

// watchRate measures what comes, and has the receiver speak up when that is less than the source wants to know of.
func (r *Receiver) watchRate(now mono.Time) {
	q := r.report
	paused := now.Sub(q.last)
	q.last = now
	span := min(max(slowTrips*r.grtt, slowLeast), slowMost)
	if q.pace.Slow == 0 || q.marked == mono.Never || paused > span {
		q.marked, q.mark = now, q.got // a pause of the source's says nothing
		return
	}
	over := now.Sub(q.marked)
	if over < span || q.got.heard-q.mark.heard < slowPackets {
		return
	}
	got := q.got.bytes - q.mark.bytes
	q.marked, q.mark = now, q.got
	switch least := flow.Rate(q.pace.Slow) * flow.Kbps; {
	case got >= uint64(least.Bytes(over)):
		q.floor = 0
		if q.toldAt != mono.Never { // else it is the first report, which waits
			q.speak = noAnswer
		}
	case q.floor > 0:
		q.floor--
		q.at = now
	case q.speak.at == mono.Never:
		r.speakWithin(now, answerWithin(r.grtt, r.group))
	}
}

// unread is how many quarters of the window, or of its memory, are ready and unread.
func (r *Receiver) unread() int {
	w := r.window
	size := w.Limit().Sub(w.Next())
	quarters := 4 * w.Run().Sub(w.Next()) / size
	if memory := r.peers.cfg.WindowBytes; !r.peers.cfg.Hollow && memory > 0 && w.Missing() == 0 {
		quarters = max(quarters, int(4*w.Bytes()/memory))
	}
	return quarters
}

// reportRoom is how many packets beyond the lead the window can take.
func (r *Receiver) reportRoom() int {
	room := r.window.Limit().Sub(r.report.lead.Add(1))
	return max(min(room, r.window.Spare()), 0)
}

// readSome tells of the room that reading made, where the source may be waiting for it.
func (r *Receiver) readSome(now mono.Time) {
	q := r.report
	if !q.began || q.toldAt == mono.Never || r.closed {
		return
	}
	size := r.window.Limit().Sub(r.window.Next())
	switch {
	case q.behind && r.unread() == 0:
		q.behind = false
	case q.room >= size/2 || r.reportRoom()-q.room < size/8:
		return
	}
	q.repeats = roomRepeats
	q.at = min(q.at, max(now, q.toldAt.Add(q.every)))
}

// dueAt is when an ACK is due that nobody asked for.
func (q *reporting) dueAt() mono.Time {
	if q == nil || !q.began || !q.pace.On {
		return mono.Never
	}
	return min(q.at, q.speak.at)
}

// addReport puts the report into p, which is about to leave and has the own-peer option.
func (r *Receiver) addReport(now mono.Time, p *wire.Packet) {
	q := r.report
	if q == nil || !q.began || !q.pace.On {
		return
	}
	o := &p.Options.Peer
	if q.behind {
		o.Flags |= peerBehind
	}
	q.toldAt, q.room = now, r.reportRoom()
	o.Report = wire.Report{
		On: true, ID: q.id, Lead: q.lead, Held: uint32(min(max(now.Sub(q.leadAt)/time.Microsecond, 0), 1<<32-1)), Clock: micros(q.leadAt),
		Bytes: uint32(q.atLead.bytes / 64), Heard: q.atLead.heard, Room: uint32(q.room), Start: r.start, Front: r.window.Run(),
	}
	if r.confirm != nil {
		o.Flags |= peerConfirms
		o.Report.Start = r.confirm.since
	}
	if now >= q.speak.at {
		q.floor = slowAgain
	}
	q.speak, q.at = noAnswer, mono.Never
	if q.pace.Acker == q.id && q.told != q.lead {
		q.at = now.Add(lastReport * q.every) // once more, unless something new comes: nobody asks for the last one if it is lost
	}
	q.told = q.lead
	if q.repeats > 0 { // the same
		q.at = now.Add(roomAgain << (roomRepeats - q.repeats))
		q.repeats--
	}
}

// evict ends the session at the source's word: it does not serve this receiver any more.
func (r *Receiver) evict(now mono.Time, reason uint8) {
	q := r.report
	if q.evicted != nil {
		return
	}
	q.evicted = &EvictedError{TSI: r.key.tsi, Reason: EvictReason(reason)}
	q.at, q.speak = mono.Never, noAnswer
	r.answer = noAnswer
	r.trace(now, EventEvicted, r.span())
	r.giveAll(now, LossEvicted)
}

// evictedBy returns the end of a session whose source does not serve us any more, nil of others.
func (r *Receiver) evictedBy() *EvictedError {
	if r.report == nil {
		return nil
	}
	return r.report.evicted
}
