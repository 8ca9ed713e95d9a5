package session

import (
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// confirmation is a session with three replicas, under a fuzzer's program: writes, waits, losses, replicas that fall silent and
// that begin anew, and reports that somebody else makes up. Whoever is said to hold something has to have held it.
type confirmation struct {
	*replicas
	waits []*Confirmation
	held  [honest][]seq.Range // what each held at some time
}

const honest = 3

func (c *confirmation) look(mono.Time) {
	for i, ps := range c.peers {
		for _, r := range ps.Receivers() {
			if !r.accepted || r.closed {
				continue
			}
			now := seq.Range{From: r.confirm.since, To: r.window.Run()}
			if k := len(c.held[i]) - 1; k >= 0 && c.held[i][k].From == now.From {
				c.held[i][k].To = seq.Max(c.held[i][k].To, now.To)
			} else {
				c.held[i] = append(c.held[i], now)
			}
		}
	}
}

// check compares what the source believes with what was, and looks at its tables.
func (c *confirmation) check() {
	for _, w := range c.waits {
		for _, id := range w.got {
			if id <= honest && !slices.ContainsFunc(c.held[id-1], func(r seq.Range) bool { return r.From.LessEq(w.since) && w.mark.LessEq(r.To) }) {
				c.t.Fatalf("%v is said to hold everything from %d to %d and never did", id, w.since, w.mark)
			}
		}
		if len(w.got) > w.want || !slices.IsSorted(w.got) {
			c.t.Fatalf("wait for %d: %v", w.want, w.got)
		}
	}
	if c.s.confirm == nil {
		return
	}
	for i, w := range c.s.confirm.waits {
		if w.Done() || i > 0 && w.mark.Less(c.s.confirm.waits[i-1].mark) {
			c.t.Fatalf("among the waits is %+v", w)
		}
	}
	for i, r := range c.s.confirm.list {
		if i > 0 && r.id <= c.s.confirm.list[i-1].id || r.id == 0 {
			c.t.Fatalf("the table of receivers is out of order at %v", r.id)
		}
	}
}

// forge hands the source a report that nobody sent: in an honest replica's name only while that one is alive, which protects it.
func (c *confirmation) forge(p *program) {
	id := wire.ReceiverID(p.u8() % 8)
	if id <= honest && id > 0 {
		alive := c.s.confirm != nil && slices.ContainsFunc(c.s.confirm.list, func(r confirmer) bool {
			return r.id == id && c.now.Sub(r.heard) < confirmAlive
		})
		if !alive {
			id += 10
		}
	}
	q := wire.Packet{Type: pick(p, wire.TypeACK, wire.TypeNAK), GSI: c.s.cfg.TSI.GSI, SourcePort: testPort, DestinationPort: c.s.cfg.TSI.Port,
		Source: c.s.cfg.Path, Group: testGroup, Sqn: c.s.window.Next().Add(p.near())}
	q.Options.Set = q.Options.Set.With(wire.OptPeer)
	end := c.s.window.Next()
	q.Options.Peer = wire.Peer{Flags: p.u8(), Time: micros(c.now) - uint32(p.u16())}
	q.Options.Peer.Report = wire.Report{On: p.u8()&7 != 0, ID: id, Start: end.Add(p.near()), Front: end.Add(p.near())}
	if p.u8()&15 == 0 {
		q.Options.Peer.Report.Front = seq.Num(p.u32())
	}
	c.s.Handle(c.now, Meta{From: c.addr(200 + int(p.u8()&3))}, &q)
}

// forgeSPM hands a replica what the source might say, but for what it wants confirmed.
func (c *confirmation) forgeSPM(p *program) {
	q := *c.s.spmHead(c.now)
	q.Sqn = q.Sqn.Add(int(p.u8() % 4))
	q.Options.Peer.Pace = wire.Pace{On: p.bit(), Mark: q.Lead.Add(p.near()), Confirm: p.u8(), Every: p.u8() & 0x80}
	c.peers[p.u8()%honest].Handle(c.now, Meta{From: c.sn.addr, Multicast: true}, &q)
}

// again has a replica begin anew, with nothing.
func (c *confirmation) again(i int, join Join) {
	nd := c.nodes[i]
	cfg := testPeersConfig()
	cfg.ID, cfg.Confirm, cfg.Join = wire.ReceiverID(i+1), true, join
	ps := NewPeers(c.now, cfg, c.rng)
	nd.engine, c.peers[i] = ps, ps
	_, read := collect(ps)
	nd.tick = func(now mono.Time) { read(now); c.look(now) }
}

func (c *confirmation) step(p *program) {
	switch p.u8() % 8 {
	case 0, 1:
		if size := 1 + p.u16()%5000; c.s.MessageWritable(c.now, size) {
			c.write(size)
		}
	case 2:
		q := Quorum{Count: 1 + int(p.u8())%4}
		for id := range wire.ReceiverID(4) {
			if p.bit() {
				q.Of = append(q.Of, id+1)
			}
		}
		if len(q.Of) > 0 {
			q.Count = min(q.Count, len(q.Of))
		}
		c.waits = append(c.waits, c.s.Await(c.now, q))
	case 3:
		if len(c.waits) > 0 {
			c.s.Forget(c.now, c.waits[int(p.u8())%len(c.waits)])
		}
	case 4:
		if p.bit() {
			c.forgeSPM(p)
		} else {
			c.forge(p)
		}
	case 5:
		nd := c.nodes[p.u8()%honest]
		nd.paused = !nd.paused
	case 6:
		c.again(int(p.u8()%honest), Join(p.u8()%3))
	case 7:
		share := float64(p.u8()%4) / 8
		c.drop = func(_, _ *node, _ *wire.Packet) bool { return c.rng.Float64() < share }
	}
	c.run(c.now.Add(time.Duration(p.u16())*time.Duration(1<<(p.u8()%18))*time.Nanosecond), never)
	c.check()
}

// FuzzConfirm runs a program on a session whose delivery is confirmed.
func FuzzConfirm(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x10\x00\xff\xff\x08\x02\x01\x01\x01\x01\x00\xff\xff\x09\x04\x09\x00\x00\x03\x00\x00\xff\x00\x00\x01\x00\xff\xff\x09"))
	for seed := range byte(20) {
		f.Add(pattern(uint64(seed), 200))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &program{b[:min(len(b), 1000)]}
		c := &confirmation{replicas: newReplicas(t, 1, 0, func(s *SourceConfig) {
			s.Slots = 64
			s.First = seq.Num(0).Add(-20)
			s.Parity.GroupSize = 0
		})}
		for i := range honest {
			c.add(nil)
			read := c.nodes[i].tick
			c.nodes[i].tick = func(now mono.Time) { read(now); c.look(now) }
		}
		for p.more() {
			c.step(p)
		}
	})
}
