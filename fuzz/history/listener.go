package history

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// listener is what one receiver heard of one source and what its application read. It holds the receiver to:
//
//  1. Ordered: from where delivery begins on, every number comes once, as data or in one loss report, in order; the data is what the
//     source wrote, message by message. Unordered: whole messages of the source, each at most once; what is not read at the end has
//     lost a packet.
//  2. A loss has a reason that can be, and where none is possible (promise) there is none.
//  3. io.EOF comes when the source has finished and everything was read or told; a reset where the source did; ErrSourceLost after a
//     silence of Expiry. Nothing comes after the end.
//  4. A NAK asks for numbers that the receiver knows of and has not got.
type listener struct {
	src  *ledger
	g    *group
	host int

	heard    time.Duration // the latest packet
	silent   bool          // nothing was heard yet, or not for the expiry time: the engine may have forgotten
	accepted bool
	start    int // index where delivery begins
	low      int // no number before it may be asked for by JoinNow
	lead     int // the highest that is known to exist
	got      []uint64
	begun    bool
	next     int // to be read
	ended    error
	unclear  bool // two sessions that cannot be told apart
	promised bool

	read []uint64    // by the number of their first packet, messages read; unordered
	lost []seq.Range // in the engine's words
	naks bucket
}

// receiver NAKs: session's nakRate, nakBurst and one packet, in IP bytes; flow.Pacer adds its slack.
const (
	nakRate  = 2 * flow.Mbps
	nakBurst = 64<<10 + 400
)

func (l *listener) init(src *ledger, g *group, host int, promised bool) {
	*l = listener{src: src, g: g, host: host, silent: true, promised: promised, got: l.got[:0], read: l.read[:0], lost: l.lost[:0]}
	l.naks = newBucket(nakRate, nakBurst+nakRate.Bytes(flow.Slack))
}

// restart forgets all: the engine is a new one.
func (l *listener) restart() { l.init(l.src, l.g, l.host, false) }

// forget makes ready for a session that the engine does not connect with the one before.
func (l *listener) forget() {
	l.accepted, l.begun, l.start, l.low, l.lead = false, false, 0, -1, -1
	l.got, l.read, l.lost = l.got[:0], l.read[:0], l.lost[:0]
}

// hears books a packet of the source that arrives.
func (l *listener) hears(now time.Duration, p *wire.Packet) {
	if !l.silent && now-l.heard >= l.g.expiry() {
		l.silent = true
	}
	if p.DestinationPort != l.g.peers.DestinationPort { // parity founds no session, and keeps none alive
		if l.silent {
			return
		}
		if p.Type == wire.TypeSPM {
			l.lead = max(l.lead, l.src.at(p.Lead))
		} else if p.Type != wire.TypeNCF {
			_, to := l.src.under(p)
			l.lead = max(l.lead, to-1)
		}
		return
	}
	if l.silent {
		l.silent = false
		if l.accepted && l.ended == nil {
			l.unclear = true // its end is not read yet, and a new session may begin
		}
		l.forget()
	}
	l.heard = now
	switch p.Type {
	case wire.TypeODATA, wire.TypeRDATA:
		i := l.src.at(p.Sqn)
		if l.low < 0 {
			l.low = i
		}
		l.lead = max(l.lead, i)
		if l.accepted {
			set(&l.got, i)
		}
	case wire.TypeSPM:
		i := l.src.at(p.Lead)
		if l.low < 0 {
			l.low = i + 1
		}
		l.lead = max(l.lead, i)
	}
}

// tells takes what the engine traces.
func (l *listener) tells(c *Counts, e session.Event) string {
	switch e.Kind {
	case session.EventAccepted:
		if l.accepted && !l.unclear {
			return "ending: the source is accepted for the second time"
		}
		if l.ended != nil {
			l.ended, l.promised = nil, false
			c[Returned]++
		}
		l.accepted, l.begun = true, false
		l.start = l.src.at(e.Range.From)
		l.next = l.start
		if l.start < 0 || l.start > len(l.src.sent) {
			return fmt.Sprintf("copy: delivery begins at %d, sent are %d", l.start, len(l.src.sent))
		}
		if l.promised && l.g.set.Join != session.JoinNow && l.start > 0 {
			return fmt.Sprintf("gap: delivery begins at %d, though the first packet can be had", l.start)
		}
	case session.EventRepaired:
		if l.accepted {
			set(&l.got, l.src.at(e.Range.From)) // perhaps from parity
		}
	case session.EventLost:
		l.lost = append(l.lost, e.Range)
		if l.promised {
			return fmt.Sprintf("gap: the engine gives up %v, which no network here can lose", e.Range)
		}
	}
	return ""
}

// asks checks a NAK that the receiver sends.
func (l *listener) asks(w *world, now time.Duration, p *wire.Packet, ipBytes int) string {
	if !l.naks.take(now, ipBytes) {
		return fmt.Sprintf("nak: %d bytes of NAKs beyond their rate", l.naks.over())
	}
	if !l.accepted {
		return "nak: one leaves before the source is accepted"
	}
	for n, i := p.Sqn, 0; ; i++ {
		wants := l.wants
		if p.Flags&wire.FlagParity != 0 {
			wants = l.wantsParity
		}
		if fault := wants(w, n); fault != "" {
			return fault
		}
		if !p.Options.Set.Has(wire.OptNAKList) || i >= p.Options.NAKList.N {
			return ""
		}
		n = p.Options.NAKList.Sqn[i]
	}
}

// wants checks one number that is asked for.
func (l *listener) wants(w *world, n seq.Num) string {
	i := l.src.at(n)
	switch {
	case i > l.lead:
		return fmt.Sprintf("nak: it asks for %d, and has heard of none after %d", i, l.lead)
	case i < l.start || l.g.set.Join == session.JoinNow && i < l.low && w.sources <= l.g.peers.MaxSources: // or a candidate gave way, and came back
		return fmt.Sprintf("nak: it asks for %d, which is before it began at %d, %d", i, l.start, l.low)
	case l.begun && !l.g.set.Unordered && i < l.next:
		return fmt.Sprintf("nak: it asks for %d, which is read", i)
	case has(l.got, i) && w.tookAll(l):
		return fmt.Sprintf("nak: it asks for %d, which came", i)
	}
	for _, r := range l.lost {
		if r.Has(n) {
			return fmt.Sprintf("nak: it asks for %d, which it gave up in %v", i, r)
		}
	}
	return ""
}

// wantsParity checks a count of parity packets that is asked for.
func (l *listener) wantsParity(w *world, n seq.Num) string {
	if l.src.groupSize == 0 || l.g.set.NoParity {
		return fmt.Sprintf("nak: it asks for parity at %d, and there is none", l.src.at(n))
	}
	base, missing := l.src.group(n), 0
	for j := range l.src.groupSize {
		if l.wants(w, base.Add(j)) == "" {
			missing++
		}
	}
	if count := n.Sub(base) + 1; count > missing {
		return fmt.Sprintf("nak: it asks for %d parity packets at %d, and misses %d", count, l.src.at(base), missing)
	}
	return ""
}

// reads takes a message that the application reads.
func (l *listener) reads(c *Counts, e *sim.Event) string {
	if fault := l.alive(); fault != "" {
		return fault
	}
	if l.g.set.Unordered {
		return l.readsUnordered(c, e)
	}
	l.skipTail(len(l.src.sent))
	l.begun = true
	if l.next >= len(l.src.sent) {
		return fmt.Sprintf("copy: it reads %d bytes at %d, which was not sent", e.Bytes, l.next)
	}
	x := l.src.sent[l.next]
	if int(x.first) != l.next {
		return fmt.Sprintf("copy: it reads %d bytes at %d, in the middle of the message at %d", e.Bytes, l.next, x.first)
	}
	if e.Bytes != int(x.length) || e.Data != nil && string(e.Data) != string(pattern(l.src.index, x.offset, e.Bytes)) {
		return fmt.Sprintf("copy: it reads %d bytes at %d, want %d of offset %d (same bytes: %v)", e.Bytes, l.next, x.length, x.offset,
			e.Bytes <= int(x.length) && e.Data != nil && string(e.Data) == string(pattern(l.src.index, x.offset, e.Bytes)))
	}
	end, whole := l.src.end(l.next)
	if !whole {
		return fmt.Sprintf("copy: it reads the message at %d, of which packets were not sent", l.next)
	}
	if end > l.next+1 {
		c[Fragmented]++
	}
	l.next = end
	return ""
}

// alive reports something that is read though nothing can be.
func (l *listener) alive() string {
	switch {
	case l.ended != nil:
		return fmt.Sprintf("ending: it reads on after %v", l.ended)
	case !l.accepted:
		return "ending: it reads of a source that is not accepted"
	}
	return ""
}

// skipTail passes over the rest of a message that began before delivery did, up to most.
func (l *listener) skipTail(most int) {
	if l.begun {
		return
	}
	for l.next < most && int(l.src.sent[l.next].first) < l.start {
		l.next++
	}
}

func (l *listener) readsUnordered(c *Counts, e *sim.Event) string {
	if e.Data == nil {
		return "" // nothing tells which it is
	}
	c[UnorderedRead]++
	x, ok := l.src.byKey[key(e.Bytes, e.Data)]
	known := false
	for ; ok && x >= 0; x = l.src.chain[x] {
		m := l.src.sent[x]
		if int(m.length) != e.Bytes || string(e.Data) != string(pattern(l.src.index, m.offset, e.Bytes)) {
			continue
		}
		if known = true; has(l.read, int(x)) {
			continue
		}
		end, whole := l.src.end(int(x))
		if !whole || int(x) < l.start {
			return fmt.Sprintf("copy: it reads the message at %d, begun at %d, all of it sent: %v", x, l.start, whole)
		}
		if end > int(x)+1 {
			c[Fragmented]++
		}
		set(&l.read, int(x))
		return ""
	}
	return fmt.Sprintf("copy: it reads a message of %d bytes, which was sent: %v; then it is the second time", e.Bytes, known)
}

// misses takes a loss that the application is told.
func (l *listener) misses(c *Counts, now time.Duration, e *session.LossError) string {
	if fault := l.alive(); fault != "" {
		return fault
	}
	from, to := l.src.at(e.Lost.From), l.src.at(e.Lost.To)
	if l.g.set.Unordered {
		return "gap: unordered delivery tells of a loss"
	}
	if from <= len(l.src.sent) {
		l.skipTail(from)
	}
	l.begun = true
	switch {
	case from != l.next || to <= from:
		return fmt.Sprintf("copy: a loss of [%d,%d) is told at %d", from, to, l.next)
	case to > len(l.src.sent):
		return fmt.Sprintf("gap: a loss of [%d,%d), sent are %d", from, to, len(l.src.sent))
	case l.promised:
		return fmt.Sprintf("gap: a loss of [%d,%d): %v; no network here can lose it", from, to, e.Reason)
	}
	l.next = to
	c[Gaps]++
	return l.explains(c, now, from, e.Reason)
}

// explains checks that a reason can be one here. The rest of a message whose beginning was told before has the reason of that.
func (l *listener) explains(c *Counts, now time.Duration, from int, why session.LossReason) string {
	ok, rest := true, int(l.src.sent[from].first) < from
	switch why {
	case session.LossTrail:
		c[GapTrail]++
		ok = from < l.src.trail || rest
	case session.LossTimeout:
		c[GapTimeout]++
		ok = now-l.src.began >= l.g.patience()
	case session.LossUnrepaired:
		c[GapUnrepaired]++
		ok = l.g.set.ReceiveOnly
	case session.LossMalformed:
		c[GapMalformed]++
		ok = l.src.longest > l.g.maxMessage()
	case session.LossReset:
		c[GapReset]++
		ok = l.src.reset
	case session.LossUnavailable:
		c[GapUnavailable]++
		ok = l.src.finish || now-l.heard >= l.g.expiry()
	case session.LossTooLong:
		c[GapTooLong]++
		ok = !l.g.holds(l.src.longest)
	default:
		ok = false
	}
	if !ok {
		return fmt.Sprintf("gap: a loss at %d because %v, which cannot be", from, why)
	}
	return ""
}

// ends takes the end that the application reads.
func (l *listener) ends(c *Counts, now time.Duration, err error) string {
	if fault := l.alive(); fault != "" {
		return fault
	}
	l.ended = err
	var reset *session.ResetError
	switch {
	case errors.Is(err, io.EOF):
		c[EndEOF]++
		if !l.src.finish || l.src.bytes != l.src.written {
			return fmt.Sprintf("ending: %v, the source was told to finish: %v, and has sent %d bytes of %d", err, l.src.finish, l.src.bytes, l.src.written)
		}
		if l.g.set.Unordered {
			return l.allRead()
		}
		if l.skipTail(len(l.src.sent)); l.next != len(l.src.sent) {
			return fmt.Sprintf("ending: %v at %d of %d", err, l.next, len(l.src.sent))
		}
	case errors.As(err, &reset):
		c[EndReset]++
		if !l.src.reset || reset.Code != l.src.code {
			return fmt.Sprintf("ending: %v; the source reset: %v, with code %d", err, l.src.reset, l.src.code)
		}
	case errors.Is(err, session.ErrSourceLost):
		c[EndLost]++
		if now-l.heard < l.g.expiry() {
			return fmt.Sprintf("ending: %v, heard %v ago", err, now-l.heard)
		}
	default:
		return fmt.Sprintf("ending: %v", err)
	}
	if l.promised && !errors.Is(err, io.EOF) {
		return fmt.Sprintf("gap: it ends with %v, though no network here can lose the end", err)
	}
	return ""
}

// allRead checks that every message that was not read has lost a packet, after unordered delivery came to the end. Those of a few bytes
// are too much alike to tell which was read.
func (l *listener) allRead() string {
	if l.g.set.Hollow {
		return ""
	}
	for i := l.start; i < len(l.src.sent); {
		end, _ := l.src.end(i)
		if int(l.src.sent[i].first) == i && l.src.sent[i].length >= 8 && !has(l.read, i) && !l.excused(i, end) {
			return fmt.Sprintf("gap: the message [%d,%d) was not read, and none of it was lost", i, end)
		}
		i = max(end, i+1)
	}
	return ""
}

// excused reports whether the message in [from, to) may be missing: a packet of it was given up, or it is too long.
func (l *listener) excused(from, to int) bool {
	length := int(l.src.sent[from].length)
	if length > l.g.maxMessage() || !l.g.holds(length) {
		return true
	}
	span := seq.Range{From: l.src.first.Add(from), To: l.src.first.Add(to)}
	for _, r := range l.lost {
		if !r.Intersect(span).Empty() {
			return true
		}
	}
	return false
}

// set sets bit i of b, which grows.
func set(b *[]uint64, i int) {
	if i < 0 {
		return
	}
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// has reports whether bit i of b is set.
func has(b []uint64, i int) bool { return i >= 0 && i/64 < len(b) && b[i/64]>>(i%64)&1 != 0 }
