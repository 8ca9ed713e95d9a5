package session

import (
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// paritySourceAt is a source that has sent packets at the instant 0.
func paritySourceAt(t *testing.T, n *network, cfg fec.Config, packets int, edit func(*SourceConfig)) *Source {
	t.Helper()
	_, s := n.source(func(c *SourceConfig) {
		c.Rate, c.Parity = flow.Unlimited, cfg.WithDefaults()
		if edit != nil {
			edit(c)
		}
	})
	if got := s.Write(0, make([]byte, packets*1408)); got != packets*1408 {
		t.Fatalf("%d bytes taken", got)
	}
	pollAll(t, s, 0)
	if s.window.Next().Sub(s.cfg.First) != packets {
		t.Fatalf("sent up to %d", s.window.Next())
	}
	return s
}

// pollAll returns what s sends at now.
func pollAll(t *testing.T, s *Source, now mono.Time) (sent []wire.Packet) {
	t.Helper()
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	for s.Advance(now); s.Poll(now, &tr); s.Advance(now) {
		for b := tr.B; len(b) > 0; {
			size := min(tr.Segment, len(b))
			var p wire.Packet
			if err := p.Decode(slices.Clone(b[:size])); err != nil {
				t.Fatal(err)
			}
			sent, b = append(sent, p), b[size:]
		}
	}
	return sent
}

// parityNAK is a NAK for the parity of groups, to s.
func parityNAK(s *Source, nums ...seq.Num) *wire.Packet {
	p := &wire.Packet{
		Type: wire.TypeNAK, Flags: wire.FlagParity, GSI: s.cfg.TSI.GSI, SourcePort: testPort + 1, DestinationPort: s.cfg.TSI.Port,
		Source: s.cfg.Path, Group: s.cfg.Group,
	}
	setNumbers(p, nums)
	return p
}

// After OPT_RST nothing goes out but SPMs that say so: no parity that was due, no announcement, no denial.
func TestParityEndsWithReset(t *testing.T) {
	n := newNetwork(t, 1)
	s := paritySourceAt(t, n, fec.Config{GroupSize: 64, Proactive: 8}, 100, nil) // the second group is not full
	s.deny(0)
	s.Reset(mono.Time(time.Millisecond), 1)
	for now := mono.Time(time.Millisecond); !s.Finished(); now = max(now+1, s.Deadline()) {
		for _, p := range pollAll(t, s, now) {
			if p.Type != wire.TypeSPM || !p.Options.Set.Has(wire.OptRST) {
				t.Errorf("%v: %v to port %d, flags %#x, after the reset", now, p.Type, p.DestinationPort, p.Flags)
			}
		}
		if now > mono.Time(10*time.Second) {
			t.Fatal("no end")
		}
	}
}

// Denials of groups that several receivers asked for stand in the order of their numbers, as OPT_NAK_LIST wants it.
func TestParityDeniedInOrder(t *testing.T) {
	n := newNetwork(t, 1)
	s := paritySourceAt(t, n, fec.Config{GroupSize: 8}, 8, nil)
	for range 40 { // of 1428 bytes: no parity fits over them
		if !s.WriteMessage(0, make([]byte, s.cfg.Room.Message())) {
			t.Fatal("not taken")
		}
	}
	pollAll(t, s, 0)
	now := mono.Time(time.Millisecond)
	for _, base := range []seq.Num{32, 8, 24, 16} {
		s.Handle(now, Meta{From: n.addr(int(base))}, parityNAK(s, base))
	}
	var denied []seq.Num
	for _, p := range pollAll(t, s, now) {
		if p.Type == wire.TypeNCF && p.Options.Set.Has(wire.OptCurrTGSize) {
			denied = append(denied, p.Numbers(nil)...)
		}
	}
	if want := []seq.Num{8, 16, 24, 32}; !slices.Equal(denied, want) {
		t.Errorf("denied are %v, want %v", denied, want)
	}
}

// edgeSource is what a receiver hears of one source that has parity in groups of 8.
type edgeSource struct {
	ps  *Peers
	r   *Receiver
	spm seq.Num
}

func newEdgeSource(edit func(*PeersConfig)) *edgeSource {
	e := &edgeSource{ps: forgedPeers(edit)}
	e.ps.Handle(0, forgedMeta, e.head(seq.Num(0).Add(-1), testPort))
	e.ps.Handle(0, forgedMeta, e.head(seq.Num(0).Add(-1), testPort))
	e.r = e.ps.Accept()
	return e
}

// head begins an SPM that says that a few receivers are there.
func (e *edgeSource) head(lead seq.Num, port uint16) *wire.Packet {
	p := forgedSPM(e.spm, 0, lead)
	e.spm++
	p.DestinationPort = port
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	p.Options.Peer = wire.Peer{GRTT: flow.EncodeGRTT(time.Millisecond), GroupSize: flow.EncodeGroupSize(4), Window: 4096}
	return p
}

// announce has the receiver hear a plan.
func (e *edgeSource) announce(now mono.Time, lead seq.Num, hold time.Duration, ahead, spread uint8) {
	e.ps.Handle(now, forgedMeta, e.plan(8, lead, hold, ahead, spread))
}

func (e *edgeSource) plan(k uint32, lead seq.Num, hold time.Duration, ahead, spread uint8) *wire.Packet {
	p := e.head(lead, testPort+1)
	p.Options.Set = p.Options.Set.With(wire.OptParityPRM)
	p.Options.ParityPRM = wire.ParityPRM{OnDemand: true, GroupSize: k}
	p.Options.Peer.Hold, p.Options.Peer.Ahead, p.Options.Peer.Spread = encodeHold(hold), ahead, spread
	return p
}

// closed has it hear that the group at lead was closed early.
func (e *edgeSource) closed(now mono.Time, lead seq.Num) {
	p := e.plan(8, lead, 200*time.Millisecond, 0, 1)
	p.Options.Set = p.Options.Set.With(wire.OptCurrTGSize)
	p.Options.CurrTGSize = uint32(lead&7) + 1
	e.ps.Handle(now, forgedMeta, p)
}

func (e *edgeSource) data(now mono.Time, nums ...seq.Num) {
	for _, n := range nums {
		e.ps.Handle(now, forgedMeta, forgedData(n, 0, make([]byte, 1408)))
	}
}

func (e *edgeSource) wantMode(t *testing.T, base seq.Num, want groupMode) {
	t.Helper()
	g := e.r.groupAt(base)
	if g == nil || g.mode != want {
		t.Errorf("group %d: %+v, want mode %d", base, g, want)
	}
	checkRepairing(t, e.r)
}

// A plan without unasked parity ends at once the groups that waited only for that.
func TestParityPlanEndsGroups(t *testing.T) {
	e := newEdgeSource(nil)
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 4, 8) // a group ends with the 25th number after it
	e.data(1e6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	e.wantMode(t, 0, groupOpen)
	e.announce(2e6, 10, 200*time.Millisecond, 0, 1)
	e.wantMode(t, 0, groupByCount)
}

// Data that finds no room in the window ends groups as well as data that does.
func TestParityGroupEndsWithoutRoom(t *testing.T) {
	e := newEdgeSource(func(c *PeersConfig) { c.MaxWindow = 16 })
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 4, 8)
	for n := seq.Num(1); n < 32; n++ {
		e.data(1e6, n)
	}
	if full := e.ps.Stats().Total.Refused.WindowFull; full != 16 {
		t.Fatalf("%d packets found no room", full)
	}
	e.wantMode(t, 0, groupOpen)
	e.data(2e6, 32)
	e.wantMode(t, 0, groupByCount)
}

// However many reports of loss come, another plan is looked for only now and then: it costs far more than a report does to send.
func TestParityReportsFlood(t *testing.T) {
	n := newNetwork(t, 1)
	s := paritySourceAt(t, n, fec.Config{GroupSize: 8, Goal: fec.LeastBytes}, 1, func(c *SourceConfig) { c.GroupSize = 100 })
	now := mono.Time(0)
	for range 100 {
		now = now.Add(time.Millisecond)
		s.Write(now, make([]byte, 1408))
		pollAll(t, s, now)
	}
	report := func(at time.Duration, loss float64) {
		p := &wire.Packet{Type: wire.TypeACK, GSI: s.cfg.TSI.GSI, SourcePort: testPort, DestinationPort: s.cfg.TSI.Port}
		p.Options.Set = p.Options.Set.With(wire.OptPeer)
		p.Options.Peer.Time = micros(now.Add(at - time.Millisecond))
		p.Options.Peer.SetLoss(loss)
		s.Handle(now.Add(at), Meta{From: n.addr(9)}, p)
	}
	report(20*time.Millisecond, 0)
	for range 100 {
		report(29*time.Millisecond, 0.3)
	}
	if s.parity.spmDue {
		t.Error("another plan within 10 ms")
	}
	if report(30*time.Millisecond, 0.3); !s.parity.spmDue {
		t.Error("no other plan after 10 ms")
	}
}

// Waiting for the end of a group, or for parity far behind it, loses nothing that the window of the source would still have had: a window
// that is short by age, and one that is short by packets.
func TestParityShortWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		fec  fec.Config
		edit func(*SourceConfig)
	}{
		{"age", fec.Config{}, func(c *SourceConfig) { c.Rate, c.WindowAge = 4*flow.Mbps, 100*time.Millisecond }},
		{"packets", fec.Config{GroupSize: 32, Proactive: 8, Interleave: 64}, func(c *SourceConfig) { c.Rate, c.Slots = 20*flow.Mbps, 128 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			restored := uint64(0)
			for seed := range uint64(3) {
				n := newNetwork(t, seed)
				n.lose(0.04)
				sn, s := n.source(func(cfg *SourceConfig) {
					cfg.Parity, cfg.GroupSize = c.fec.WithDefaults(), 8
					c.edit(cfg)
				})
				sn.tick = writer(s, make([]byte, 800*1408))
				var peers []*Peers
				for range 8 {
					rn, ps := n.peers(nil)
					_, rn.tick = collect(ps)
					peers = append(peers, ps)
				}
				n.run(mono.Time(time.Minute), s.Finished)
				for i, ps := range peers {
					st := ps.Stats().Total
					if st.Lost > 0 || st.Missing < 5 {
						t.Errorf("seed %d, receiver %d: %d lost of %d missing", seed, i, st.Lost, st.Missing)
					}
					restored += st.Restored
				}
			}
			if restored == 0 {
				t.Error("no parity took part")
			}
		})
	}
}

// Parity that waits takes no more memory than a quarter of WindowBytes, but for a few packets: however many of the longest come.
func TestParityMemory(t *testing.T) {
	const bytes = 8 << 20
	e := newEdgeSource(func(c *PeersConfig) { c.WindowBytes = bytes })
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 4, 8)
	hear := func(base seq.Num, index, size int) {
		p := forgedData(base.Add(index), 0, make([]byte, size))
		p.DestinationPort, p.Flags = testPort+1, wire.FlagParity
		p.Options.Set = p.Options.Set.With(wire.OptPeer)
		e.ps.Handle(1e6, forgedMeta, p)
	}
	for base := seq.Num(0); base < 8000; base += 8 {
		e.data(1e6, base+3) // misses more than two
		hear(base, 0, 1408)
	}
	for base := seq.Num(8000); base > 0; base -= 8 { // lower ones take the place of higher ones
		hear(base-8, 1, 60000)
	}
	held := 0
	for _, g := range append(e.r.repair.groups, e.r.repair.free...) {
		held += g.memory()
	}
	if most := bytes/heldShare + (minParityHeld+1)*1<<16; held > most || e.r.repair.held < minParityHeld {
		t.Errorf("%d parity packets take %d bytes, want at most %d", e.r.repair.held, held, most)
	}
	checkRepairing(t, e.r)
}

// A group whose first packets the source has no more is asked for by number: when the trail comes into it, and when it ends after that.
func TestParityTrailInGroup(t *testing.T) {
	e := newEdgeSource(nil)
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 0, 1)
	e.data(1e6, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11)
	e.wantMode(t, 0, groupByCount)
	e.ps.Handle(2e6, forgedMeta, forgedData(12, 2, make([]byte, 1408)))
	e.wantMode(t, 0, groupByNumber)
	e.ps.Handle(3e6, forgedMeta, forgedData(13, 9, make([]byte, 1408)))
	e.ps.Handle(3e6, forgedMeta, forgedData(15, 9, make([]byte, 1408)))
	e.ps.Handle(3e6, forgedMeta, forgedData(16, 9, make([]byte, 1408)))
	e.wantMode(t, 8, groupByNumber)
}

// A group that was closed early and goes on is open again when more of it is missing.
func TestParityGroupGoesOn(t *testing.T) {
	e := newEdgeSource(nil)
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 0, 1)
	e.data(1e6, 0, 2, 3)
	e.wantMode(t, 0, groupOpen)
	e.closed(2e6, 3)
	e.wantMode(t, 0, groupByCount)
	e.data(3e6, 4)
	e.wantMode(t, 0, groupByCount)
	e.data(3e6, 6)
	e.wantMode(t, 0, groupOpen)
	e.data(3e6, 7)
	e.wantMode(t, 0, groupByCount)
	if need := e.r.need(e.r.groupAt(0)); need != 2 {
		t.Errorf("it needs %d, want 2", need)
	}
}

// A source that announces another group size has no parity of the groups before: what was held for it is asked for by number.
func TestParityOtherGroupSize(t *testing.T) {
	e := newEdgeSource(nil)
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 0, 1)
	e.data(1e6, 0, 1, 2, 4, 5, 6, 7, 8, 9, 11)
	e.wantMode(t, 0, groupByCount)
	e.wantMode(t, 8, groupOpen)
	e.ps.Handle(2e6, forgedMeta, e.plan(32, 11, 200*time.Millisecond, 0, 1))
	if whole := (seq.Range{From: 0, To: 12}); e.r.repair != nil || e.r.naks.Held(whole) != 0 || e.r.naks.Len() != 2 {
		t.Errorf("%+v, %d of %d numbers held", e.r.repair, e.r.naks.Held(whole), e.r.naks.Len())
	}
	checkRepairing(t, e.r)
}

// A NAK that asks for more parity than a group has packets yet gets as many.
func TestParityOfFewPackets(t *testing.T) {
	n := newNetwork(t, 1)
	s := paritySourceAt(t, n, fec.Config{GroupSize: 64}, 67, nil)
	now := mono.Time(time.Millisecond)
	s.Handle(now, Meta{From: n.addr(9)}, parityNAK(s, 64+63))
	repairs := 0
	for _, p := range pollAll(t, s, now.Add(time.Second)) {
		if p.Type == wire.TypeRDATA {
			repairs++
		}
	}
	if repairs != 3 {
		t.Errorf("%d parity packets of a group of 3", repairs)
	}
}

// All the parity packets that the code has go out before one comes again.
func TestParityUsesEveryIndex(t *testing.T) {
	n := newNetwork(t, 1)
	s := paritySourceAt(t, n, fec.Config{GroupSize: 8}, 8, func(c *SourceConfig) { c.WindowAge = time.Hour })
	indices := fec.MaxPackets - 8
	seen := make([]int, indices)
	now, sent := mono.Time(0), 0
	for sent < 2*indices {
		now = now.Add(time.Second)
		s.Handle(now, Meta{From: n.addr(9)}, parityNAK(s, 7))
		for _, p := range pollAll(t, s, now) {
			if p.Type == wire.TypeRDATA && sent < 2*indices {
				seen[int(p.Sqn)+8*int(p.Options.ParityGroup)]++
				if sent++; sent == indices && slices.Contains(seen, 0) {
					t.Fatalf("after %d packets the indices were used so often: %v", sent, seen)
				}
			}
		}
	}
	if slices.Min(seen) != 2 || slices.Max(seen) != 2 {
		t.Errorf("after %d packets the indices were used so often: %v", sent, seen)
	}
}

// Parity over packets that are all here by now does not count among what a group has.
func TestParityOfNoMoreUse(t *testing.T) {
	e := newEdgeSource(nil)
	e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 0, 1)
	e.data(1e6, 0, 4, 7)
	for index, cover := range []uint32{4, 8} {
		p := forgedData(seq.Num(index), 0, make([]byte, 1408))
		p.DestinationPort, p.Flags = testPort+1, wire.FlagParity
		p.Options.Set = p.Options.Set.With(wire.OptPeer).With(wire.OptCurrTGSize)
		p.Options.CurrTGSize = cover
		e.ps.Handle(1e6, forgedMeta, p)
	}
	e.data(2e6, 1, 2)
	if g := e.r.groupAt(0); len(g.parity) != 2 {
		t.Errorf("%d parity packets, want 2", len(g.parity))
	}
	e.data(2e6, 3)
	if g := e.r.groupAt(0); len(g.parity) != 1 || g.parity[0].Cover != 8 {
		t.Errorf("%d parity packets are left, want one over all 8", len(g.parity))
	}
	checkRepairing(t, e.r)
}

// Where nothing is lost for long nothing is kept. What is lost first then is asked for by number, and what is lost next by count.
func TestParityAfterQuiet(t *testing.T) {
	quiet := func() *edgeSource {
		e := newEdgeSource(nil)
		e.announce(0, seq.Num(0).Add(-1), 200*time.Millisecond, 0, 1)
		b := make([]byte, 2000)
		for n := range seq.Num(quietPackets) {
			if e.data(1e6, n); n == quietPackets-10 {
				e.announce(1e6, n, 200*time.Millisecond, 0, 1)
				if _, ok := e.r.window.Kept(n); !ok {
					t.Fatal("nothing is kept from the start on")
				}
			}
			if _, err := e.r.ReadMessage(2e6, b); err != nil {
				t.Fatal(err)
			}
		}
		e.announce(2e6, quietPackets-1, 200*time.Millisecond, 0, 1)
		e.data(2e6, quietPackets)
		if _, err := e.r.ReadMessage(2e6, b); err != nil {
			t.Fatal(err)
		}
		if _, ok := e.r.window.Kept(quietPackets); ok {
			t.Fatal("packets are kept after long quiet")
		}
		return e
	}
	const next = quietPackets + 1
	t.Run("own loss", func(t *testing.T) {
		e := quiet()
		e.data(3e6, next+1)
		e.wantMode(t, quietPackets, groupByNumber)
		for n := seq.Num(next + 2); n < quietPackets+17; n++ {
			if n != quietPackets+11 {
				e.data(4e6, n)
			}
		}
		e.wantMode(t, quietPackets+8, groupByCount)
	})
	t.Run("another's", func(t *testing.T) {
		e := quiet()
		p := e.head(next-1, testPort)
		p.Type, p.Sqn = wire.TypeNCF, next-5
		e.ps.Handle(3e6, forgedMeta, p)
		for n := seq.Num(next); n < quietPackets+17; n++ {
			if n != quietPackets+3 && n != quietPackets+11 {
				e.data(4e6, n)
			}
		}
		e.wantMode(t, quietPackets, groupByNumber)
		e.wantMode(t, quietPackets+8, groupByCount)
	})
}
