package session

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Packets that nobody should send, and ends that nobody should meet: each test is a defect that was there once.

func forgedPeers(edit func(*PeersConfig)) *Peers {
	cfg := testPeersConfig()
	if edit != nil {
		edit(&cfg)
	}
	return NewPeers(0, cfg, rand.New(rand.NewPCG(1, 1)))
}

func forged(typ wire.Type, sqn seq.Num) *wire.Packet {
	return &wire.Packet{Type: typ, GSI: wire.NewGSI("x"), SourcePort: 1000, DestinationPort: testPort, Sqn: sqn,
		Path: netip.MustParseAddr("fd00::1"), Source: netip.MustParseAddr("fd00::1"), Group: testGroup}
}

func forgedSPM(sqn, trail, lead seq.Num) *wire.Packet {
	p := forged(wire.TypeSPM, sqn)
	p.Trail, p.Lead = trail, lead
	return p
}

func forgedData(sqn, trail seq.Num, b []byte) *wire.Packet {
	p := forged(wire.TypeODATA, sqn)
	p.Trail, p.Payload = trail, b
	return p
}

func forgedFragment(sqn, first seq.Num, off, length, size int) *wire.Packet {
	p := forgedData(sqn, 0, make([]byte, size))
	p.Options.Set = p.Options.Set.With(wire.OptFragment)
	p.Options.Fragment = wire.Fragment{First: first, Offset: uint32(off), Length: uint32(length)}
	return p
}

var forgedMeta = Meta{From: netip.MustParseAddr("fd00::1"), Multicast: true}

// The source dies in the middle of a fragmented message.
func TestSourceDiesInMessage(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		for _, how := range []string{"dies", "rst", "fin"} {
			ps := forgedPeers(func(c *PeersConfig) { c.Unordered = unordered })
			ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
			ps.Handle(0, forgedMeta, forgedFragment(0, 0, 0, 3000, 1384))
			ps.Handle(0, forgedMeta, forgedFragment(1, 0, 1384, 3000, 1384))
			r := ps.Accept()
			now := mono.Time(time.Millisecond)
			switch how {
			case "rst":
				p := forgedSPM(1, 0, 1)
				p.Options.Set = p.Options.Set.With(wire.OptRST)
				p.Options.Reset.NoNAKs = true
				ps.Handle(now, forgedMeta, p)
			case "fin":
				p := forgedSPM(1, 0, 1)
				p.Options.Set = p.Options.Set.With(wire.OptFIN)
				ps.Handle(now, forgedMeta, p)
			}
			now = now.Add(301 * time.Second)
			ps.Advance(now)
			_, err := r.Read(now, make([]byte, 100))
			t.Logf("unordered %v %s: sources %d, deadline %v, Read: %v", unordered, how, len(ps.list), ps.Deadline(), err)
			if errors.Is(err, ErrWouldBlock) {
				t.Errorf("unordered %v, %s: Read blocks for ever", unordered, how)
			}
		}
	}
}

// one packet exactly 2^31 away.
func TestNumberHalfTheSpaceAhead(t *testing.T) {
	ps := forgedPeers(nil)
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	ps.Handle(1, forgedMeta, forgedData(1<<31, 0, []byte("x"))) // one forged packet
	st := r.Stats()
	if st.Gaps > 0 || st.Lead != 0 {
		t.Errorf("one packet: lead %d, %d missing, refused %+v", st.Lead, st.Gaps, st.Refused)
	}
	for i := 1; i < 100; i++ {
		ps.Handle(mono.Time(i), forgedMeta, forgedData(seq.Num(i), 0, []byte("b")))
	}
	buf := make([]byte, 1000)
	n, err := r.Read(200, buf)
	t.Logf("after 99 good packets Read gives %d bytes, %v; refused %+v", n, err, r.Stats().Refused)
	if n != 100 {
		t.Errorf("%d bytes of 100", n)
	}
}

// unordered: hold, then an SPM whose trail is too far back.
func TestUnorderedStartOutOfReach(t *testing.T) {
	for _, join := range []Join{JoinStart, JoinTrail} {
		func() {
			defer func() {
				if x := recover(); x != nil {
					t.Errorf("join %d: %v", join, x)
				}
			}()
			ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true; c.MaxWindow = 4096; c.Join = join })
			ps.Handle(0, forgedMeta, forgedData(20000, 0, []byte("hello")))
			p := forgedSPM(0, 0, 20000)
			p.Options.Set = p.Options.Set.With(wire.OptJoin)
			ps.Handle(1, forgedMeta, p)
			r := ps.Accept()
			n, err := r.Read(2, make([]byte, 100))
			t.Log(n, err)
		}()
	}
}

// unordered: two fragments that claim a message which is whole already.
func TestUnorderedMessageClaimedTwice(t *testing.T) {
	defer func() {
		if x := recover(); x != nil {
			t.Errorf("%v", x)
		}
	}()
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedFragment(0, 0, 0, 2000, 1384))
	ps.Handle(0, forgedMeta, forgedFragment(1, 0, 1384, 2000, 616))
	r := ps.Accept()
	ps.Handle(0, forgedMeta, forgedFragment(2, 0, 100, 2000, 1384))
	ps.Handle(0, forgedMeta, forgedFragment(3, 0, 100, 2000, 1384))
	b := make([]byte, 3000)
	for range 3 {
		n, err := r.ReadMessage(1, b)
		t.Log(n, err)
	}
}

// message longer than MaxMessage
func TestMessageBeyondMaxMessage(t *testing.T) {
	n := newNetwork(t, 1)
	sn, s := n.source(nil)
	msg := pattern(1, 200000)
	wrote := 0
	sn.tick = func(now mono.Time) {
		if wrote == 0 && s.WriteMessage(now, msg) {
			wrote++
		}
		if wrote == 1 && s.WriteMessage(now, []byte("small")) {
			wrote++
		}
	}
	rn, ps := n.peers(func(c *PeersConfig) { c.MaxMessage = 100000 })
	rd, tick := collect(ps)
	rn.tick = tick
	n.run(mono.Time(60*time.Second), func() bool { return len(rd.got) > 0 })
	if n.now > mono.Time(time.Second) || s.Stats().Repairs > 0 || len(rd.errs) == 0 {
		t.Errorf("small message delivered at %v after %d NAKs, %d repairs (%d packets), errs %v", n.now, rd.r.Stats().NAKs, s.Stats().Repairs, s.Stats().Packets, rd.errs)
	}
}

// memory-limited window, application stalled.
func TestStalledReaderAsksForWhatFits(t *testing.T) {
	n := newNetwork(t, 1)
	sn, s := n.source(func(c *SourceConfig) { c.WindowAge = 60 * time.Second; c.Slots = 32768 })
	data := pattern(1, 20<<20)
	left := data
	sn.tick = func(now mono.Time) { left = left[s.Write(now, left):] }
	rn, ps := n.peers(func(c *PeersConfig) { c.WindowBytes = 1 << 20 })
	rd, tick := collect(ps)
	rn.tick = func(now mono.Time) {
		if now > mono.Time(100*time.Millisecond) && now < mono.Time(5*time.Second) {
			return // the application is busy
		}
		tick(now)
	}
	n.run(mono.Time(60*time.Second), func() bool { return len(rd.got) == len(data) })
	st := rd.r.Stats()
	if len(rd.got) == len(data) && len(rd.errs) == 0 && st.NAKs < s.Stats().Packets/4 {
		return
	}
	t.Errorf("at %v: %d of %d bytes, end %v, %d LossErrors, first %v; lost %d, NAKs %d for %d numbers, source sent %d repairs beside %d packets",
		n.now, len(rd.got), len(data), rd.end, len(rd.errs), append(rd.errs, nil)[0], st.Lost, st.NAKs, st.NAKNumbers, s.Stats().Repairs, s.Stats().Packets)
}

// one forged SPM: NAKs to a victim.
func TestOneSPMCausesNoNAK(t *testing.T) {
	ps := forgedPeers(nil)
	p := forgedSPM(0, 0, 65535)
	p.Path = netip.MustParseAddr("2001:db8::dead")
	p.Options.Set = p.Options.Set.With(wire.OptJoin)
	in := len(p.Append(nil))
	ps.Handle(0, forgedMeta, p)
	now := mono.Time(0)
	packets, bytes := 0, 0
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	var to netip.AddrPort
	for now < mono.Time(30*time.Second) {
		ps.Advance(now)
		for ps.Poll(now, &tr) {
			packets++
			bytes += len(tr.B) + 48
			to = tr.To
		}
		now = max(ps.Deadline(), now+1)
	}
	if packets > 0 {
		t.Errorf("one SPM of %d bytes: %d packets, %d bytes to %v", in, packets, bytes, to)
	}
}

// source spins when an SPM is due and the control bucket is closed.
func TestSPMWaitsForItsBucket(t *testing.T) {
	now := mono.Time(0)
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	cfg.Rate = 10 * flow.Mbps
	s := NewSource(now, cfg)
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	spins := 0
	for i := 0; i < 20000; i++ {
		s.Write(now, make([]byte, 2000))
		if i%2 == 0 { // a receiver asks for 63 numbers
			p := forged(wire.TypeNAK, 0)
			p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
			st := s.Stats()
			if k := st.Lead.Sub(st.Trail); k > 70 {
				nums := []seq.Num{}
				from := st.Trail.Add(i / 2 * 63 % (k - 64))
				for j := range 63 {
					nums = append(nums, from.Add(j))
				}
				setNumbers(p, nums)
				p.Sqn = nums[0]
				s.Handle(now, Meta{From: netip.MustParseAddr("fd00::2")}, p)
			}
		}
		for range 3 {
			s.Advance(now)
			for s.Poll(now, &tr) {
			}
		}
		if s.Deadline() <= now {
			spins++
			if spins == 1 {
				t.Errorf("at %v: deadline %v, Poll has nothing (spm %v, control opens at %v)", now, s.Deadline(), s.spm.deadline(), s.limiter.ControlAt(now))
			}
		}
		now = now.Add(500 * time.Microsecond)
	}
	t.Logf("%d of 20000 rounds", spins)
}

// one NAK with 63 late numbers
func TestLateNumbersOfOneNAK(t *testing.T) {
	now := mono.Time(0)
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	cfg.First = 1000
	s := NewSource(now, cfg)
	before := s.hold(now)
	p := forged(wire.TypeNAK, 0)
	p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
	var nums []seq.Num
	for j := range 63 {
		nums = append(nums, seq.Num(j))
	}
	setNumbers(p, nums)
	s.Handle(now, Meta{From: netip.MustParseAddr("fd00::2")}, p)
	if after := s.hold(now); after > 2*before {
		t.Errorf("one NAK brings the hold from %v to %v", before, after)
	}
}

// forged ACKs
func TestForgedRoundTrips(t *testing.T) {
	now := mono.Time(0)
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	s := NewSource(now, cfg)
	now = mono.Time(100 * time.Second)
	for range 14 {
		p := forged(wire.TypeACK, 0)
		p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
		p.Options.Set = p.Options.Set.With(wire.OptPeer)
		p.Options.Peer.Time = micros(now) - 50e6
		s.Handle(now, Meta{From: netip.MustParseAddr("fd00::66")}, p)
	}
	g := s.grtt.Value(now)
	if g <= 25*time.Millisecond {
		return
	}
	t.Errorf("after 14 ACKs: grtt %v, hold %v", g, s.hold(now))
}

// multicast NAKs of a third party suppress repairs for ever.
func TestForeignNAKsDoNotSilenceForEver(t *testing.T) {
	n := newNetwork(t, 1)
	n.delay = 5 * time.Millisecond
	sn, s := n.source(func(c *SourceConfig) { c.WindowAge = 60 * time.Second; c.Slots = 32768 })
	data := pattern(1, 1<<20)
	left := data
	sn.tick = func(now mono.Time) { left = left[s.Write(now, left):] }
	rn, ps := n.peers(nil)
	rd, tick := collect(ps)
	rn.tick = tick
	n.drop = func(from, to *node, p *wire.Packet) bool { return p.Type == wire.TypeODATA && p.Sqn == 100 }
	naks := 0
	for n.now < mono.Time(15*time.Second) {
		p := forged(wire.TypeNAK, 100)
		p.GSI, p.SourcePort, p.DestinationPort = s.TSI().GSI, testPort, s.TSI().Port
		ps.Handle(n.now, Meta{From: netip.MustParseAddr("fd00::66"), Multicast: true}, p)
		naks++
		n.run(n.now.Add(time.Millisecond), never)
	}
	if len(rd.got) != len(data) || len(rd.errs) > 0 {
		t.Errorf("%d bytes of %d, our NAKs %d, forged %d, errs %v", len(rd.got), len(data), rd.r.Stats().NAKs, naks, rd.errs)
	}
}

// Unordered: a gap larger than the window, then the source dies.
func TestUnorderedEndsBeyondTheWindow(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true; c.MaxWindow = 64; c.RepairTimeout = time.Hour })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedSPM(1, 0, 59))
	ps.Handle(0, forgedMeta, forgedSPM(2, 0, 119))
	r := ps.Accept()
	now := mono.Time(301 * time.Second)
	ps.Advance(now)
	_, err := r.Read(now, make([]byte, 10))
	t.Logf("lead %d next %d: %v", r.lead, r.window.Next(), err)
	if errors.Is(err, ErrWouldBlock) {
		t.Error("blocks for ever")
	}
}

// The reason of a LossError is that of the latest loss, not its own.
func TestEachLossHasItsReason(t *testing.T) {
	ps := forgedPeers(nil)
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	ps.Handle(0, forgedMeta, forgedData(2, 0, []byte("a")))
	ps.Handle(0, forgedMeta, forgedData(3, 2, []byte("a"))) // 1 is lost: trail
	ps.Handle(0, forgedMeta, forgedData(5, 2, []byte("a")))
	r := ps.Accept()
	now := mono.Time(11 * time.Second)
	ps.Advance(now) // 4: timeout
	b := make([]byte, 10)
	for range 5 {
		_, err := r.ReadMessage(now, b)
		var l *LossError
		if errors.As(err, &l) && l.Lost.From == 1 && l.Reason != LossTrail {
			t.Error(err)
		}
	}
}

// Malformed counts how often somebody looked.
func TestBrokenMessageCountsOnce(t *testing.T) {
	ps := forgedPeers(nil)
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedFragment(0, 0, 0, 1000, 500))
	ps.Handle(0, forgedMeta, forgedData(1, 0, []byte("not a fragment")))
	r := ps.Accept()
	for i := range 50 {
		for ps.Ready() != nil {
		}
		ps.Handle(1, forgedMeta, forgedData(seq.Num(2+i), 0, []byte("x")))
	}
	if _, err := r.Read(1, make([]byte, 10)); err == nil {
		t.Error("a broken message is delivered")
	}
	if m := r.Stats().Refused.Malformed; m != 1 {
		t.Errorf("one broken message counted %d times", m)
	}
}

// An expired, never accepted source is handed to Accept after it was removed.
func TestNobodyAcceptsTheGone(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Backlog = 1 })
	for i := range 2 {
		m := Meta{From: netip.AddrFrom16([16]byte{0xfd, 15: byte(1 + i)}), Multicast: true}
		ps.Handle(0, m, forgedSPM(0, 0, seq.Num(0).Add(-1)))
		ps.Handle(0, m, forgedData(0, 0, []byte("a")))
	}
	ps.Accept()
	now := mono.Time(301 * time.Second)
	ps.Advance(now)
	if r := ps.Accept(); r != nil {
		t.Errorf("accepted a source that is gone: lost %v", r.lost)
	}
}

// After Reset NAKs are still answered.
func TestNoRepairAfterReset(t *testing.T) {
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	s := NewSource(0, cfg)
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	work := func(now mono.Time) {
		for s.Advance(now); s.Poll(now, &tr); s.Advance(now) {
		}
	}
	s.Write(0, make([]byte, 5000))
	s.Flush(0)
	work(0)
	s.Reset(0, 1)
	work(1)
	p := forged(wire.TypeNAK, 1)
	p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
	s.Handle(1e6, Meta{From: netip.MustParseAddr("fd00::2")}, p)
	work(1e6)
	if s.Stats().Repairs > 0 {
		t.Errorf("%d repairs after Reset", s.Stats().Repairs)
	}
}

// A late joiner's NAKs for old packets slow the writer.
func TestLateJoinerDoesNotSlowTheWriter(t *testing.T) {
	n := newNetwork(t, 1)
	sn, s := n.source(func(c *SourceConfig) { c.Rate = flow.Gbps; c.Slots = 32768; c.InitialGRTT = time.Millisecond })
	left := pattern(1, 1<<20)
	sn.tick = func(now mono.Time) { left = left[s.Write(now, left):] }
	_, ps0 := n.peers(nil)
	_ = ps0
	n.run(mono.Time(time.Second), never)
	before := s.hold(n.now)
	_, tick := collect(ps0)
	n.nodes[1].tick = tick
	rn, ps := n.peers(func(c *PeersConfig) { c.Join = JoinTrail })
	rd, tick := collect(ps)
	rn.tick = tick
	n.run(mono.Time(1900*time.Millisecond), never)
	after := s.hold(n.now)
	for i := 0; i < 6; i++ {
		n.run(n.now.Add(10*time.Second), never)
		t.Logf("%v: hold %v", n.now, s.hold(n.now))
	}
	if after > 2*before {
		t.Errorf("hold %v before, %v after one receiver joined (%d bytes); GRTT %v", before, after, len(rd.got), s.grtt.Value(n.now))
	}
}

// The first SPM is not compared with the data that is held.
func TestFirstSPMAgreesWithData(t *testing.T) {
	ps := forgedPeers(nil)
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	ps.Handle(0, forgedMeta, forgedData(1, 0, []byte("b")))
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, 1<<30+100)) // forged
	ps.Handle(0, forgedMeta, forgedSPM(1, 0, 1))
	for i := 2; i < 1000; i++ {
		ps.Handle(mono.Time(i), forgedMeta, forgedData(seq.Num(i), 0, []byte("b")))
	}
	r := ps.Accept()
	b := make([]byte, 2000)
	n, err := r.Read(1, b)
	if n != 1000 {
		t.Errorf("%d bytes of 1000, %v, lead %d, refused jump %d", n, err, r.lead, r.Stats().Refused.Jump)
	}
}

// A forged SPM with FIN while caught up.
func TestFINBehindTheLead(t *testing.T) {
	ps := forgedPeers(nil)
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	ps.Handle(0, forgedMeta, forgedData(1, 0, []byte("b")))
	r := ps.Accept()
	p := forgedSPM(1, 0, 0) // its lead is behind what we hold: a contradiction
	p.Options.Set = p.Options.Set.With(wire.OptFIN)
	ps.Handle(0, forgedMeta, p)
	b := make([]byte, 20)
	n, err := r.Read(1, b)
	n2, err2 := r.Read(1, b)
	if n != 2 || err != nil || n2 != 0 || !errors.Is(err2, ErrWouldBlock) {
		t.Errorf("reads %d, %v and %d, %v; want 2 bytes and then nothing yet", n, err, n2, err2)
	}
}

// A loss before a message that reaches Limit takes that message with it, although it fits the window.
func TestLossBeforeMessageAtLimit(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.MaxWindow = 16 })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedSPM(1, 0, 7)) // 0 to 7 never come
	for i := 8; i < 16; i++ {
		ps.Handle(0, forgedMeta, forgedFragment(seq.Num(i), 8, (i-8)*1000, 10000, 1000))
	}
	r := ps.Accept()
	now := mono.Time(11 * time.Second)
	ps.Advance(now)
	b := make([]byte, 20000)
	_, err := r.Read(now, b)
	t.Log(err)
	for i := 16; i < 18; i++ {
		ps.Handle(now, forgedMeta, forgedFragment(seq.Num(i), 8, (i-8)*1000, 10000, 1000))
	}
	n, err := r.Read(now, b)
	if n != 10000 {
		t.Errorf("%d bytes of 10000, %v", n, err)
	}
}
