package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// hear takes the report in a packet to the source. It reports false for receivers that are not served.
func (s *Source) hear(now mono.Time, m Meta, p *wire.Packet) bool {
	if s.pace == nil {
		return true
	}
	served := s.hearReport(now, m, p)
	s.forgetSlow(now)
	if served && p.Type == wire.TypeNAK {
		s.limit(now, m.From)
	}
	return served
}

func (s *Source) hearReport(now mono.Time, m Meta, p *wire.Packet) bool {
	q := s.pace
	o := &p.Options.Peer
	q.ignored, q.mute = false, false
	if !p.Options.Set.Has(wire.OptPeer) || !o.Report.On {
		q.ignored = !q.group.Follows(m.From)
		q.mute = p.Type == wire.TypeNAK && !q.ignored
		return true
	}
	r := &o.Report
	if q.group.Evicted(uint64(r.ID)) {
		s.tellEvicted(now, r.ID)
		return false
	}
	if r.Heard == 0 {
		return true // it says what is confirmed, and nothing of the rate
	}
	if next := s.window.Next(); !r.Lead.Less(next) || next.Sub(r.Lead) > farthest || s.beganAt == mono.Never {
		s.stats.Refused.Malformed++
		return true
	}
	x := flow.Report{
		ID: uint64(r.ID), From: m.From, Lead: r.Lead, Held: time.Duration(r.Held) * time.Microsecond, Clock: r.Clock, Bytes: r.Bytes, Heard: r.Heard,
		Room: int(min(r.Room, farthest)), Front: r.Front, Behind: o.Flags&peerBehind != 0, Loss: -1,
	}
	if share, ok := o.LossShare(); ok {
		x.Loss = share
	}
	if rtt := time.Duration(micros(now)-o.Time) * time.Microsecond; rtt >= 0 && rtt < time.Minute {
		x.RTT = rtt
	}
	d, acker := q.group.Report(now, x)
	s.tellGroup(now)
	chosen := s.elect(now)
	if acker { // and not another one that has its id, or what does not go on from what it said: that would keep it for ever
		if chosen || q.lead.Less(r.Lead) {
			q.lead = r.Lead
		}
		q.heardAt, q.reports = now, min(q.reports+1, provenReports)
		s.settle(now)
		q.control.Delivered(now, d)
	}
	q.ignored = !q.group.Follows(m.From)
	s.follow(now)
	return true
}

// settle takes it, at a report of the acker, that what was sent some round trips ago came or was lost: it is not under way any more. A lead
// does not tell that when all that was sent after it is lost.
func (s *Source) settle(now mono.Time) {
	q := s.pace
	if age := 2*max(s.grtt.Value(now), q.control.State().RTT) + settleLeast; q.markAt != mono.Never && now.Sub(q.markAt) < age {
		return
	}
	if last := q.mark.Add(-1); q.markAt != mono.Never && q.lead.Less(last) {
		q.lead = last
	}
	q.mark, q.markAt = s.window.Next(), now
}

// elect follows the group's choice of the acker, and reports whether there is another.
func (s *Source) elect(now mono.Time) bool {
	q := s.pace
	pace, yes := q.group.Switched()
	id, ok := q.group.Acker()
	if !yes && (ok || q.acker == 0) {
		return false
	}
	if q.acker = wire.ReceiverID(id); !ok {
		q.acker = 0
	}
	q.markAt, q.reports = mono.Never, 0
	q.lead, q.heardAt = s.window.Lead(), now // what is under way is not known of the new one
	if ok {
		if q.gone {
			q.control.Blind(now) // it was the slowest: what the others can take is to be found out quickly
		}
		q.control.Switched(now, pace)
		s.spm.askedAt = now
	} else {
		q.control.Blind(now)
		q.probe = true
		s.spm.ask(now)
	}
	q.gone = false
	s.traceID(now, EventAcker, q.acker)
	return true
}

// tellGroup passes on what the group found of its receivers.
func (s *Source) tellGroup(now mono.Time) {
	q := s.pace
	q.events = q.group.Events(q.events[:0])
	for _, e := range q.events {
		id := wire.ReceiverID(e.ID)
		switch e.Kind {
		case flow.GroupSlow:
			s.traceID(now, EventSlow, id)
			if !q.group.Follows(e.From) {
				s.repairs.SetShareOf(now, e.From, q.slowShare())
				q.left, q.forgetAt = true, now
			}
			q.gone = q.gone || id == q.acker
		case flow.GroupRecovered:
			s.traceID(now, EventRecovered, id)
		case flow.GroupEvicted:
			s.traceID(now, EventEvicted, id)
			s.repairs.SetShareOf(now, e.From, q.slowShare())
			q.left, q.forgetAt = true, now
			q.gone = q.gone || id == q.acker
			s.tellEvicted(now, id)
		}
	}
}

func (s *Source) traceID(now mono.Time, kind EventKind, id wire.ReceiverID) {
	if s.cfg.Trace != nil {
		s.cfg.Trace(Event{At: now, Kind: kind, TSI: s.cfg.TSI, ID: id})
	}
}
