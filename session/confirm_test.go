package session

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// replicas is a source with receivers that take part in confirmation under the ids 1, 2, …
type replicas struct {
	*network
	s     *Source
	sn    *node
	nodes []*node
	peers []*Peers
	acks  int // that receivers sent because of confirmation
	spms  int
}

func newReplicas(t testing.TB, seed uint64, count int, edit func(*SourceConfig)) *replicas {
	n := &replicas{network: newNetwork(t, seed)}
	n.delay = 500 * time.Microsecond
	n.sn, n.s = n.source(func(c *SourceConfig) {
		c.InitialGRTT = time.Millisecond
		if edit != nil {
			edit(c)
		}
	})
	for range count {
		n.add(nil)
	}
	n.spy = func(_ *node, p *wire.Packet) {
		switch {
		case p.Type == wire.TypeSPM && p.DestinationPort == testPort:
			n.spms++
		case p.Type == wire.TypeACK && p.Options.Peer.Report.On:
			n.acks++
		}
	}
	return n
}

// add adds the next receiver, whose application reads everything.
func (n *replicas) add(edit func(*PeersConfig)) {
	nd, ps := n.network.peers(func(c *PeersConfig) {
		c.ID, c.Confirm = wire.ReceiverID(len(n.peers)+1), true
		if edit != nil {
			edit(c)
		}
	})
	_, nd.tick = collect(ps)
	n.nodes, n.peers = append(n.nodes, nd), append(n.peers, ps)
}

// greet lets all find the source.
func (n *replicas) greet() {
	n.write(1)
	n.run(n.now.Add(50*time.Millisecond), never)
}

func (n *replicas) write(bytes int) {
	if !n.s.WriteMessage(n.now, pattern(1, bytes)) {
		n.t.Fatal("the window is full")
	}
}

// wait waits for q, within at most, and reports how long that took.
func (n *replicas) wait(q Quorum, most time.Duration) (took time.Duration, ok bool) {
	n.t.Helper()
	if err := q.Validate(); err != nil {
		n.t.Fatal(err)
	}
	start := n.now
	w := n.s.Await(n.now, q)
	n.run(start.Add(most), w.Done)
	if !w.Done() {
		n.s.Forget(n.now, w)
	}
	return n.now.Sub(start), w.Done()
}

func (n *replicas) mustWait(q Quorum, most time.Duration) time.Duration {
	n.t.Helper()
	took, ok := n.wait(q, most)
	if !ok {
		n.t.Fatalf("not confirmed in %v (seed %d): %+v", most, n.seed, n.s.confirm.list)
	}
	return took
}

// One write after the other, each confirmed: that takes a round trip each, and costs one packet of each receiver and not one SPM.
func TestConfirmInARoundTrip(t *testing.T) {
	n := newReplicas(t, 1, 5, nil)
	n.greet()
	n.write(1000)
	n.mustWait(Quorum{Count: 5}, time.Second)
	n.run(n.now.Add(10*time.Millisecond), never)
	n.acks = 0
	const writes = 200
	spms := n.spms
	for range writes {
		n.write(1000)
		if took := n.mustWait(Quorum{Count: 3}, time.Second); took != 2*n.delay {
			t.Fatalf("a wait took %v, want %v", took, 2*n.delay)
		}
	}
	n.run(n.now.Add(n.delay), never)
	if n.acks != 5*writes {
		t.Errorf("%d acknowledgements of %d writes by 5 receivers", n.acks, writes)
	}
	if got, most := n.spms-spms, 2+int(2*writes*n.delay/flowSPMMin); got > most {
		t.Errorf("%d SPMs, want at most %d", got, most)
	}
	if st := n.s.Stats(); st.Confirming != 5 || st.Confirmations < 5*writes {
		t.Errorf("Stats say %d receivers, %d confirmations", st.Confirming, st.Confirmations)
	}
}

// On a path whose round trip and whose receivers nobody knows yet, the first guesses of a WAN do not make the first wait long.
func TestConfirmFirstGuess(t *testing.T) {
	n := newReplicas(t, 1, 5, func(c *SourceConfig) { c.InitialGRTT, c.InitialGroup = 500*time.Millisecond, 1000 })
	n.delay = 50 * time.Millisecond
	n.greet()
	n.run(n.now.Add(300*time.Millisecond), never)
	for i := range 5 {
		n.write(1000)
		if took := n.mustWait(Quorum{Count: 5}, 10*time.Second); took > 2*n.delay+25*time.Millisecond {
			t.Errorf("wait %d took %v", i, took)
		}
	}
}

// Before anything is written a wait is for the receivers to be there.
func TestConfirmPresence(t *testing.T) {
	n := newReplicas(t, 1, 5, nil)
	n.mustWait(Quorum{Of: []wire.ReceiverID{1, 2, 3, 4, 5}}, time.Second)
	if _, ok := n.wait(Quorum{Count: 6}, time.Second); ok {
		t.Error("six of five receivers are there")
	}
}

// A large message: its parts cause no more than one ACK of a receiver in each interval.
func TestConfirmStream(t *testing.T) {
	n := newReplicas(t, 1, 5, nil)
	n.greet()
	n.mustWait(Quorum{Count: 5}, time.Second)
	n.acks = 0
	start := n.now
	n.write(800 << 10)
	n.mustWait(Quorum{Of: []wire.ReceiverID{1, 2, 3, 4, 5}}, time.Second)
	if most := 5 * (2 + int(n.now.Sub(start)/confirmIn(5, time.Millisecond))); n.acks > most {
		t.Errorf("%d acknowledgements within %v, want at most %d", n.acks, n.now.Sub(start), most)
	}
}

// Nobody waits: not a byte more than without confirmation, and none after a second without a wait.
func TestConfirmUnused(t *testing.T) {
	bytes := func(confirm bool) int64 {
		n := newReplicas(t, 1, 0, nil)
		for range 3 {
			n.add(func(c *PeersConfig) { c.Confirm = confirm })
		}
		n.lose(0.05)
		n.rng = rand.New(rand.NewPCG(1, 1))
		for range 20 {
			n.write(20000)
			n.run(n.now.Add(10*time.Millisecond), never)
		}
		if n.s.confirm != nil {
			t.Error("the source has state for confirmation")
		}
		return n.bytes
	}
	if a, b := bytes(false), bytes(true); a != b {
		t.Errorf("%d bytes without, %d with receivers that would confirm", a, b)
	}
	n := newReplicas(t, 1, 3, nil)
	n.greet()
	n.mustWait(Quorum{Count: 3}, time.Second)
	n.run(n.now.Add(confirmLinger+2*time.Second), never)
	n.acks = 0
	paced := 0
	n.spy = func(_ *node, p *wire.Packet) {
		if p.Options.Set.Has(wire.OptPeer) && (p.Type == wire.TypeSPM && p.Options.Peer.Pace.On || p.Type.Upstream() && p.Options.Peer.Report.On) {
			paced++
		}
	}
	n.write(20000)
	n.run(n.now.Add(time.Second), never)
	if paced > 0 {
		t.Errorf("%d packets still concern confirmation", paced)
	}
}

// With 10 % of all packets lost both ways every write is confirmed by who was named, and what is confirmed is there.
func TestConfirmLoss(t *testing.T) {
	for seed := range uint64(20) {
		n := newReplicas(t, seed, 5, nil)
		n.greet()
		n.lose(0.1)
		var sum time.Duration
		const writes = 50
		for i := range writes {
			n.write(1 + n.rng.IntN(5000))
			q := Quorum{Count: 3}
			if i%3 == 0 {
				q = Quorum{Of: []wire.ReceiverID{2, 4, 5}}
			}
			end := n.s.window.End()
			sum += n.mustWait(q, 5*time.Second)
			have := 0
			for id, ps := range n.peers {
				r := ps.Receivers()[0]
				switch {
				case end.LessEq(r.window.Run()):
					have++
				case slices.Contains(q.Of, wire.ReceiverID(id+1)):
					t.Fatalf("seed %d: receiver %d is said to have everything before %d and has it before %d", seed, id+1, end, r.window.Run())
				}
			}
			if have < 3 {
				t.Fatalf("seed %d: %d receivers have what was confirmed", seed, have)
			}
		}
		if mean := sum / writes; mean > 20*time.Millisecond {
			t.Errorf("seed %d: a wait took %v on average", seed, mean)
		}
	}
}

// Two of five fall silent: nothing changes. A third: nobody is confirmed, and the missing are named.
func TestConfirmSilent(t *testing.T) {
	n := newReplicas(t, 1, 5, nil)
	n.greet()
	n.mustWait(Quorum{Count: 5}, time.Second)
	for _, nd := range n.nodes[:2] {
		nd.paused = true
	}
	for range 100 {
		n.write(1000)
		if took := n.mustWait(Quorum{Count: 3}, time.Second); took != 2*n.delay {
			t.Fatalf("with two gone a wait took %v", took)
		}
	}
	n.nodes[2].paused = true
	n.write(1000)
	n.spms = 0
	w := n.s.Await(n.now, Quorum{Count: 3})
	named := n.s.Await(n.now, Quorum{Of: []wire.ReceiverID{5, 3, 1, 9}, Count: 2})
	n.run(n.now.Add(10*time.Second), w.Done)
	if w.Done() || named.Done() {
		t.Fatal("confirmed by the dead")
	}
	if got := w.Got(); !slices.Equal(got, []wire.ReceiverID{4, 5}) {
		t.Errorf("confirmed by %v", got)
	}
	if got := n.s.Lacking(w); !slices.Equal(got, []wire.ReceiverID{1, 2, 3}) {
		t.Errorf("missing are %v", got)
	}
	if got := n.s.Lacking(named); !slices.Equal(got, []wire.ReceiverID{1, 3, 9}) {
		t.Errorf("of the named are missing %v", got)
	}
	if most := 10 + int(10*time.Second/confirmRepeatMax); n.spms > most {
		t.Errorf("%d SPMs in 10 s of waiting in vain, want at most %d", n.spms, most)
	}
	n.nodes[0].paused = false // it comes back, and catches up
	n.run(n.now.Add(5*time.Second), w.Done)
	if !w.Done() || !named.Done() {
		t.Errorf("not confirmed by who came back: %+v", n.s.confirm.list)
	}
	if len(n.s.confirm.waits) != 0 {
		t.Errorf("%d waits are left", len(n.s.confirm.waits))
	}
}

// Who joins late counts from the wait after the one it missed something of, and so does who lost something.
func TestConfirmLate(t *testing.T) {
	n := newReplicas(t, 1, 1, func(c *SourceConfig) { c.WindowAge = 100 * time.Millisecond })
	n.greet()
	n.mustWait(Quorum{Count: 1}, time.Second)
	n.write(1000)
	n.run(n.now.Add(time.Second), never)
	n.add(func(c *PeersConfig) { c.Join = JoinNow })
	n.run(n.now.Add(1100*time.Millisecond), never)
	n.write(1000)
	if _, ok := n.wait(Quorum{Count: 2}, time.Second); ok {
		t.Error("who joined late confirmed what came before")
	}
	n.write(1000)
	n.mustWait(Quorum{Count: 2}, time.Second)

	n.drop = func(_, to *node, p *wire.Packet) bool {
		return to == n.nodes[0] && (p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA)
	}
	n.write(1000)
	n.run(n.now.Add(5*time.Second), never)
	n.drop = nil
	n.write(1000)
	if _, ok := n.wait(Quorum{Of: []wire.ReceiverID{1}}, time.Second); ok {
		t.Error("who lost a message confirmed it")
	}
	n.write(1000)
	n.mustWait(Quorum{Count: 2}, time.Second)
	if st := n.peers[0].Receivers()[0].Stats(); st.Lost != 1 {
		t.Errorf("%d packets were lost, want 1: the test tests nothing", st.Lost)
	}
}

// Many waits at once, for what different writers wrote.
func TestConfirmPipelined(t *testing.T) {
	n := newReplicas(t, 3, 5, nil)
	n.greet()
	n.lose(0.05)
	var waits []*Confirmation
	for i := range 300 {
		n.write(2000)
		waits = append(waits, n.s.Await(n.now, Quorum{Count: 1 + i%5}))
		n.run(n.now.Add(time.Duration(n.rng.IntN(2000))*time.Microsecond), never)
		if i%50 == 7 {
			n.s.Forget(n.now, waits[i])
		}
	}
	n.run(n.now.Add(5*time.Second), never)
	for i, w := range waits {
		if !w.Done() && i%50 != 7 {
			t.Errorf("wait %d is not done", i)
		}
	}
	if got := len(n.s.confirm.waits); got != 0 || n.s.Confirmed() < 290 {
		t.Errorf("%d waits left, %d confirmed", got, n.s.Confirmed())
	}
}

// In a group of 400 that all take part, a quorum of 5 has few speak for each write; who is named speaks in time.
func TestConfirmLargeGroup(t *testing.T) {
	const group = 400
	n := newReplicas(t, 1, group, nil)
	n.delay = 5 * time.Millisecond
	n.greet()
	n.mustWait(Quorum{Count: group}, 10*time.Second)
	if st := n.s.Stats(); st.Confirming != group {
		t.Fatalf("%d receivers are known", st.Confirming)
	}
	n.run(n.now.Add(100*time.Millisecond), never)
	n.acks = 0
	const writes = 20
	for range writes {
		n.write(1000)
		n.mustWait(Quorum{Count: 5}, 10*time.Second)
		n.run(n.now.Add(20*time.Millisecond), never)
	}
	t.Logf("%.1f confirmations for each write", float64(n.acks)/writes)
	if got := n.acks / writes; got > 5+2*confirmShare {
		t.Errorf("%d of %d receivers confirm for a quorum of 5", got, group)
	}
	for range 5 {
		n.write(1000)
		n.mustWait(Quorum{Of: []wire.ReceiverID{7, 77, 377}}, 10*time.Second)
	}
}

// What a receiver says of itself is believed only where it can be true.
func TestConfirmForged(t *testing.T) {
	n := newReplicas(t, 1, 3, nil)
	n.greet()
	n.mustWait(Quorum{Count: 3}, time.Second)
	end := n.s.window.Next()
	type refusals struct{ malformed, claimed uint64 }
	say := func(from int, id wire.ReceiverID, start, front seq.Num, flags uint8) refusals {
		before := n.s.Stats()
		p := wire.Packet{Type: wire.TypeACK, GSI: n.s.cfg.TSI.GSI, SourcePort: testPort, DestinationPort: n.s.cfg.TSI.Port}
		p.Options.Set = p.Options.Set.With(wire.OptPeer)
		p.Options.Peer = wire.Peer{Flags: flags, Time: micros(n.now), Report: wire.Report{On: true, ID: id, Start: start, Front: front}}
		n.s.Handle(n.now, Meta{From: n.addr(from)}, &p)
		after := n.s.Stats()
		return refusals{after.Refused.Malformed - before.Refused.Malformed, after.Claimed - before.Claimed}
	}
	const both = peerUnasked | peerConfirms
	for _, nd := range n.nodes {
		nd.paused = true
	}
	n.write(1000)
	w := n.s.Await(n.now, Quorum{Count: 1})
	for _, c := range []struct {
		what         string
		from         int
		id           wire.ReceiverID
		start, front seq.Num
		flags        uint8
		want         refusals
	}{
		{"not sent", 99, 99, 0, end.Add(1), both, refusals{1, 0}},
		{"far beyond", 99, 99, 0, end.Add(1 << 29), both, refusals{1, 0}},
		{"half the numbers away", 99, 99, end, end.Add(-1 << 30).Add(-1), both, refusals{1, 0}},
		{"begins in the future", 99, 99, end.Add(1), end, both, refusals{1, 0}},
		{"somebody else's id", 99, 2, 0, end, both, refusals{0, 1}},
		{"nobody's id", 99, 0, 0, end, both, refusals{}},
		{"takes no part", 99, 98, 0, end, peerUnasked, refusals{}},
	} {
		if got := say(c.from, c.id, c.start, c.front, c.flags); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		if w.Done() || n.s.Stats().Confirming != 3 {
			t.Fatalf("%s: believed", c.what)
		}
	}
	// One address is so many receivers and no more; the table has an end.
	for i := range maxClaims + 10 {
		say(50, wire.ReceiverID(1000+i), 0, 0, both)
	}
	if st := n.s.Stats(); st.Confirming != 3+maxClaims || st.Claimed != 11 {
		t.Errorf("one address is %d receivers, %d refused", st.Confirming-3, st.Claimed)
	}
	for i := range 2 * maxConfirming {
		say(100+i/maxClaims, wire.ReceiverID(10000+i), 0, 0, both)
	}
	if st := n.s.Stats(); st.Confirming != maxConfirming || st.Refused.TooMany == 0 {
		t.Errorf("%d receivers in the table, %d refused", st.Confirming, st.Refused.TooMany)
	}
	// An id that has fallen silent may come from elsewhere: a replica that was moved.
	n.now = n.now.Add(confirmAlive)
	n.run(n.now.Add(time.Millisecond), never)
	if got := say(99, 2, 0, n.s.window.Next(), both); got != (refusals{}) || !w.Done() {
		t.Errorf("a replica that was moved: %+v, done %v", got, w.Done())
	}
}

// Whatever SPMs say, a receiver does not flood the one they name with confirmations.
func TestConfirmForgedSPMs(t *testing.T) {
	n := newReplicas(t, 1, 1, nil)
	n.greet()
	n.sn.paused = true
	p := *n.s.spmHead(n.now)
	p.Options.Peer.Pace = wire.Pace{On: true, Confirm: 1, Mark: p.Lead}
	sent := 0
	n.spy = func(_ *node, p *wire.Packet) {
		if p.Type == wire.TypeACK {
			sent += p.HeadLen() + headerBytes
		}
	}
	const flood = 100_000
	start := n.now
	for range flood {
		p.Sqn++
		n.peers[0].Handle(n.now, Meta{From: n.sn.addr, Multicast: true}, &p)
		n.run(n.now.Add(10*time.Microsecond), never)
	}
	if most := confirmBurst + int(confirmRate.Bytes(n.now.Sub(start))) + 2000; sent > most || sent < most/2 {
		t.Errorf("%d SPMs within %v caused %d bytes of confirmations, want at most %d", flood, n.now.Sub(start), sent, most)
	}
}

func TestQuorumValidate(t *testing.T) {
	for _, c := range []struct {
		q  Quorum
		ok bool
	}{
		{Quorum{Count: 1}, true},
		{Quorum{Of: []wire.ReceiverID{3, 1}}, true},
		{Quorum{Of: []wire.ReceiverID{3, 1}, Count: 1}, true},
		{Quorum{}, false},
		{Quorum{Count: -1}, false},
		{Quorum{Of: []wire.ReceiverID{3, 1}, Count: 3}, false},
		{Quorum{Of: []wire.ReceiverID{3, 3}}, false},
		{Quorum{Of: []wire.ReceiverID{0}}, false},
		{Quorum{Count: maxConfirming + 1}, false},
	} {
		if err := c.q.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
}

// A source that adapts its rate: writes are confirmed as fast, and when receivers die the next writes wait no longer than the source
// takes to notice that the one that sets its pace is gone.
func TestConfirmAdaptive(t *testing.T) {
	n := newReplicas(t, 1, 5, func(c *SourceConfig) { c.Congestion = &CongestionConfig{} })
	n.greet()
	n.mustWait(Quorum{Count: 5}, time.Second)
	round := func(what string, writes int, most time.Duration) {
		t.Helper()
		var sum, longest time.Duration
		for range writes {
			n.write(1000)
			took := n.mustWait(Quorum{Count: 3}, 5*time.Second)
			sum += took
			longest = max(longest, took)
		}
		t.Logf("%s: %v on average, %v at most", what, sum/time.Duration(writes), longest)
		if mean := sum / time.Duration(writes); mean > most {
			t.Errorf("%s: a wait took %v on average", what, mean)
		}
	}
	round("all alive", 500, 2*n.delay+100*time.Microsecond)
	acker := int(n.s.pace.acker)
	if acker < 1 || acker > 5 {
		t.Fatalf("the acker is %d", acker)
	}
	n.nodes[acker-1].paused, n.nodes[acker%5].paused = true, true
	round("the acker and another one dead", 500, 2*n.delay+2*time.Millisecond)
	n.lose(0.1)
	round("a tenth lost", 200, 20*time.Millisecond)
}
