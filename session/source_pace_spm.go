package session

import (
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// asks reports whether an SPM should ask all receivers to report.
func (q *sourcePace) asks(now mono.Time) bool {
	switch {
	case q == nil:
		return false
	case q.probe:
		q.probe = false
		return true
	case q.acker != 0 || q.sentAt == mono.Never || q.probed != mono.Never && now < q.probed.Add(flowSPMMin):
		return false
	}
	q.probed = now
	return true
}

// addPace puts what receivers are told of the rate into an SPM.
func (s *Source) addPace(now mono.Time, o *wire.Peer) {
	q := s.pace
	if q == nil {
		return
	}
	q.every = max(flow.EncodeGRTT(q.control.Every()), 1) // 0: only confirmation is wanted
	o.Pace = wire.Pace{
		On: true, Acker: q.acker, Slow: uint32(min(q.group.Slow()/flow.Kbps, 1<<32-1)), Every: q.every,
	}
	for len(q.told) > 0 && now >= q.told[0].until {
		q.told = append(q.told[:0], q.told[1:]...)
	}
	if len(q.told) > 0 {
		o.Pace.Told, o.Pace.Reason = q.told[0].id, uint8(EvictSlow)
		if len(q.told) > 1 { // in turn
			first := q.told[0]
			q.told = append(append(q.told[:0], q.told[1:]...), first)
			s.spm.ask(now.Add(s.spm.heartbeatMin))
		}
	}
}
