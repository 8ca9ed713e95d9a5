package flow

import (
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// cubic is a bulk transfer by TCP CUBIC (RFC 9438): every second packet acknowledged (RFC 5681, 4.2), SACK without detail, one fall a window, HyStart, retransmission
// timeout. What is lost is sent again as new packets.
type cubic struct {
	id         int
	start      mono.Time
	arriving   []parcel
	unacked    []parcel // arrived, at most one; the second takes both along
	ackBy      mono.Time
	got        int // highest number that arrived
	acks       []parcel
	sent       int
	sentAt     map[int]mono.Time
	acked      int // highest number
	flight     int
	window     float64
	ssthresh   float64
	wmax, k    float64
	reno       float64
	epoch      mono.Time
	recover    int // falls count once until this number is acknowledged
	srtt, base time.Duration
	least      time.Duration // of the round
	samples    int
	roundEnd   int
	heard      mono.Time
}

const tcpBytes = 1500

func newCubic(b *bottleneck, start mono.Time) *cubic {
	t := &cubic{start: start, window: 10, ssthresh: 1e9, acked: -1, got: -1, ackBy: mono.Never, sentAt: map[int]mono.Time{}, heard: start, recover: -1}
	t.id = b.add(t)
	return t
}

func (t *cubic) rto() mono.Time {
	if t.flight == 0 {
		return max(t.start, t.heard)
	}
	return t.heard.Add(max(200*ms, 2*t.srtt))
}

func (t *cubic) next() mono.Time {
	at := min(t.rto(), t.ackBy)
	if len(t.arriving) > 0 {
		at = min(at, t.arriving[0].at)
	}
	if len(t.acks) > 0 {
		at = min(at, t.acks[0].at)
	}
	return at
}

func (t *cubic) passed(p parcel, _ *bottleneck) { t.arriving = append(t.arriving, p) }

func (t *cubic) act(now mono.Time, b *bottleneck) {
	for len(t.arriving) > 0 && t.arriving[0].at <= now {
		p := t.arriving[0]
		t.arriving = t.arriving[1:]
		t.unacked = append(t.unacked, p)
		if t.ackBy = now.Add(40 * ms); len(t.unacked) >= 2 || p.num != t.got+1 {
			t.ackBy = now
		}
		t.got = p.num
		t.acknowledge(now, b)
	}
	t.acknowledge(now, b)
	for len(t.acks) > 0 && t.acks[0].at <= now {
		p := t.acks[0]
		t.acks = t.acks[1:]
		t.ack(now, p.num)
	}
	if t.flight > 0 && t.rto() <= now {
		t.fall(now)
		t.window = 1
		t.flight, t.heard = 0, now
		clear(t.sentAt)
		t.acked = t.sent - 1
	}
	if now < t.start {
		return
	}
	for t.flight < int(t.window) {
		b.send(parcel{flow: t.id, num: t.sent, bytes: tcpBytes})
		t.sentAt[t.sent] = now
		t.sent++
		if t.flight++; t.flight == 1 {
			t.heard = now
		}
	}
}

// acknowledge sends the acknowledgement that is due.
func (t *cubic) acknowledge(now mono.Time, b *bottleneck) {
	if t.ackBy > now {
		return
	}
	for _, p := range t.unacked {
		p.at = now.Add(b.delay)
		t.acks = append(t.acks, p)
	}
	t.unacked, t.ackBy = t.unacked[:0], mono.Never
}

// ack takes the acknowledgement of one packet; those before it that are missing are lost, for nothing overtakes.
func (t *cubic) ack(now mono.Time, num int) {
	at, ok := t.sentAt[num]
	if !ok {
		return
	}
	t.heard = now
	lost := false
	for n := t.acked + 1; n < num; n++ {
		if _, out := t.sentAt[n]; out {
			delete(t.sentAt, n)
			t.flight--
			lost = lost || n > t.recover
		}
	}
	t.acked = num
	delete(t.sentAt, num)
	t.flight--
	d := now.Sub(at)
	if t.srtt == 0 {
		t.srtt, t.base = d, d
	}
	t.srtt += (d - t.srtt) / 8
	t.base = min(t.base, d)
	switch {
	case lost:
		t.fall(now)
	case num <= t.recover: // in recovery the window stands
	case t.window < t.ssthresh:
		t.window++
		t.hystart(num, d)
	default:
		t.grow(now)
	}
}

func (t *cubic) hystart(num int, d time.Duration) {
	if num >= t.roundEnd {
		t.roundEnd, t.least, t.samples = t.sent, time.Hour, 0
	}
	t.least = min(t.least, d)
	if t.samples++; t.samples >= 8 && t.window >= 16 && t.least > t.base+min(max(t.base/8, 4*ms), 16*ms) {
		t.ssthresh = t.window
		t.wmax, t.reno, t.k, t.epoch = t.window, t.window, 0, 0
	}
}

func (t *cubic) grow(now mono.Time) {
	if t.epoch == 0 {
		t.epoch = now
		t.reno = t.window
		t.k = 0
		if t.window < t.wmax {
			t.k = math.Cbrt((t.wmax - t.window) / 0.4)
		} else {
			t.wmax = t.window
		}
	}
	s := (now.Sub(t.epoch) + t.srtt).Seconds() - t.k
	t.reno += 3 * 0.3 / 1.7 / t.window
	target := max(min(t.wmax+0.4*s*s*s, 1.5*t.window), t.reno)
	if target > t.window {
		t.window += (target - t.window) / t.window
	}
}

func (t *cubic) fall(_ mono.Time) {
	t.wmax = t.window
	t.window = max(2, t.window*0.7)
	t.ssthresh = t.window
	t.epoch = 0
	t.recover = t.sent - 1
}
