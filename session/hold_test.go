package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// A message of many fragments waits for as many slots by WindowHold, even while a few are free, and not by WindowAge.
func TestLongMessageWaitsForHold(t *testing.T) {
	n := newNetwork(t, 1)
	_, s := n.source(func(c *SourceConfig) { c.Slots, c.WindowAge = 16, time.Minute })
	n.peers(nil)
	message := pattern(1, 11*1384)
	taken := 0
	for n.now < mono.Time(2*time.Second) {
		if s.WriteMessage(n.now, message) {
			taken++
		}
		n.run(n.now.Add(time.Millisecond), never)
	}
	if taken < 10 {
		t.Errorf("%d messages of 11 packets through 16 slots in 2 s", taken)
	}
}

// A message that the receive window cannot hold, by slots or by memory, is told as lost; what follows is delivered.
func TestMessageBeyondReceiveWindow(t *testing.T) {
	for name, edit := range map[string]func(*PeersConfig){
		"slots":  func(c *PeersConfig) { c.MaxWindow = 32 },
		"memory": func(c *PeersConfig) { c.WindowBytes = 64 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, 1)
			_, s := n.source(nil)
			rn, ps := n.peers(edit)
			rd, tick := collect(ps)
			rn.tick = tick
			n.run(mono.Time(20*time.Millisecond), never)
			if !s.WriteMessage(n.now, pattern(1, 60*1384)) || !s.WriteMessage(n.now, pattern(2, 100)) {
				t.Fatal("the messages do not fit the source")
			}
			s.Finish(n.now)
			n.run(mono.Time(20*time.Second), func() bool { return rd.end != nil })
			var lost int
			for _, err := range rd.errs {
				lost += err.(*LossError).Lost.Len()
			}
			if lost != 60 || !bytes.Equal(rd.got, pattern(2, 100)) || rd.end != errEOF {
				t.Errorf("%d packets lost of 60, %d bytes delivered of 100, end %v at %v", lost, len(rd.got), rd.end, n.now)
			}
		})
	}
}

// A receiver whose packets do not get through for the first second, as when neighbour discovery loses one, is waited for.
func TestMuteReceiverIsWaitedFor(t *testing.T) {
	n := newNetwork(t, 1)
	data := pattern(1, 2<<20)
	sn, s := n.source(nil)
	sn.tick = writer(s, data)
	rn, ps := n.peers(nil)
	rd, tick := collect(ps)
	rn.tick = tick
	n.drop = func(from, _ *node, p *wire.Packet) bool {
		return from == rn && n.now < mono.Time(1100*time.Millisecond) || from == sn && n.rng.Float64() < 0.1
	}
	n.run(mono.Time(20*time.Second), func() bool { return rd.end != nil })
	if rd.end != errEOF || len(rd.errs) > 0 || !bytes.Equal(rd.got, data) {
		t.Errorf("%d of %d bytes, end %v, losses %v", len(rd.got), len(data), rd.end, rd.errs)
	}
}

// In a small group each receiver answers the first probe, so that the way to the source is known before a NAK needs it.
func TestSmallGroupAnswersTheFirstProbe(t *testing.T) {
	n := newNetwork(t, 1)
	_, s := n.source(nil)
	for range 4 {
		n.peers(nil)
	}
	n.run(mono.Time(100*time.Millisecond), never)
	if got := s.Stats().ACKs; got != 4 {
		t.Errorf("%d ACKs of 4 receivers", got)
	}
}

// A receiver that has measured one round trip asks again after two, not three: Source.hold counts on that where little is lost.
func TestRepeatAfterOneSample(t *testing.T) {
	r := &Receiver{peers: NewPeers(0, testPeersConfig(), nil), ours: true, grtt: 20 * time.Millisecond, group: 1}
	r.rtt.Sample(20 * time.Millisecond)
	if got := r.timing().Repeat; got != 41*time.Millisecond {
		t.Errorf("asks again after %v, want 41ms", got)
	}
	r.rtt.Sample(100 * time.Millisecond) // far behind the others, in a queue of its own: 30 ms smoothed
	if got := r.timing().Repeat; got != 61*time.Millisecond {
		t.Errorf("asks again after %v, want 61ms", got)
	}
}

// The time for which packets are held goes by how much is asked for, and how late.
func TestHoldFollowsWhatIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		packets int // sent,
		late    int // then NAKs that come late,
		timely  int // and in time
		clean   bool
	}{
		{"too few to tell", 4095, 0, 0, false},
		{"nothing", 4096, 0, 0, true},
		{"one in a thousand", 8000, 0, 8, true},
		{"more", 8000, 0, 9, false},
		{"one late", 50000, 1, 0, false},
		{"one late, forgotten", 50000, 1, 16, true},
		{"one late, not yet forgotten", 50000, 1, 15, false},
	} {
		var e effort
		at := mono.Time(0)
		for range tt.packets {
			e.sent(1, 1<<16)
		}
		for range tt.late {
			at++
			e.asked(at, 1, true)
		}
		for range tt.timely {
			at++
			e.asked(at, 1, false)
		}
		if got := e.clean(); got != tt.clean {
			t.Errorf("%s: clean %v, want %v", tt.name, got, tt.clean)
		}
	}
}

// A NAK of several numbers that comes late is one late NAK, and a burst of loss is forgotten after two windows.
func TestEffortFades(t *testing.T) {
	var e effort
	e.sent(4000, 4096)
	for n := range 60 {
		e.asked(1, 1, n == 0)
	}
	if e.late != effortLate {
		t.Errorf("%d after one late NAK, want %d", e.late, effortLate)
	}
	for i := range 40 {
		e.sent(4096, 4096)
		if got, want := e.clean(), i >= effortLate-1; got != want {
			t.Fatalf("%d windows after a late NAK of 60 numbers: clean %v", i+1, got)
		}
	}
}

// What is held while little is asked for leaves room for two NAKs of a receiver, else for three.
func TestHoldTries(t *testing.T) {
	n := newNetwork(t, 1)
	_, s := n.source(func(c *SourceConfig) { c.Rate, c.WindowAge, c.GroupSize = 100*flow.Mbps, 10*time.Second, 100 })
	now := mono.Time(20 * time.Second)
	s.beganAt = 0
	s.grtt.Init(20 * time.Millisecond)
	s.lag.Init(20 * time.Millisecond)
	cycle := 5*20*time.Millisecond + time.Millisecond
	if got := s.hold(now); got != 4*cycle {
		t.Errorf("%v before anything is known, want %v", got, 4*cycle)
	}
	s.effort.sent(effortLeast, effortLeast)
	if got := s.hold(now); got < 2*cycle+20*time.Millisecond || got > 3*cycle {
		t.Errorf("%v while nothing is asked for, cycles of %v", got, cycle)
	}
	s.lag.Sample(now, 80*time.Millisecond)
	s.lag.Sample(now, 190*time.Millisecond)
	if got, want := s.hold(now), 475*time.Millisecond; got != want {
		t.Errorf("%v with a NAK that came 190 ms late, want %v", got, want)
	}
}
