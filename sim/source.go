package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// SourceConfig says what a source is like. The zero value is a source of 100 Mbit/s at the root, with perfect links.
type SourceConfig struct {
	Switch   *Switch          // where it hangs; nil: the root
	Up, Down netem.Impairment // of its own link: what it sends, what comes to it
	// Engine may change the engine's configuration, which is that of transport at hop limit 64: a window of 32,768 packets, first guesses
	// of round trip time and group size 500 ms and 1,000. It is called once.
	Engine func(*session.SourceConfig)
}

// Source is a host with a source engine, and an application that writes what it is told to as fast as the engine takes it.
type Source struct {
	n      *Network
	host   int
	at     *Switch
	engine *session.Source
	up     *netem.Link // nil: perfect
	down   *netem.Link
	alarm  alarm
	queue  []writing
	ended  bool // the last of queue is, or was, the end
	tsi    wire.TSI

	period []byte // what Stream writes, over and over
	wrote  int64  // by Stream
}

// writing is one thing that the application still has to do.
type writing struct {
	what  uint8
	b     []byte
	count int64 // bytes of Stream to go
	code  uint8
	wait  *waiting
}

const (
	writeStream = iota
	writeMessage
	writePattern
	writeFlush
	writeFinish
	writeReset
	writeAwait
)

// Source adds a source. It panics on a configuration that is not valid.
func (n *Network) Source(cfg SourceConfig) *Source {
	s := &Source{n: n, at: n.place(cfg.Switch)}
	s.host = n.number(owner{source: s}, 1)
	n.sources++
	s.SetLinks(cfg.Down, cfg.Up)
	room, err := wire.NewRoom(mtu, !n.cfg.V4, false)
	if err != nil {
		panic("BUG: sim: " + err.Error())
	}
	c := session.SourceConfig{
		TSI: wire.TSI{GSI: wire.NewGSI("sim"), Port: sourcePort + uint16(n.sources%50000)}, DestinationPort: port, Group: n.Group(),
		Path: n.Addr(s.host), Room: room, Rate: 100 * flow.Mbps, RepairShare: flow.DefaultRepairShare, ReceiverShare: 0.25,
		Slots: sourceSlots, WindowAge: 2 * time.Second, InitialGRTT: 500 * time.Millisecond, InitialGroup: 1000,
		HeartbeatMin: 10 * time.Millisecond, HeartbeatMax: time.Second, AmbientSPM: time.Second, Linger: 2 * time.Second,
	}
	if cfg.Engine != nil {
		cfg.Engine(&c)
	}
	checkPower("Slots", c.Slots)
	if !n.apart && (n.sources > 1 || c.Congestion != nil) {
		n.apart = true
		for _, k := range n.classes {
			k.dissolve()
		}
	}
	trace := c.Trace
	c.Trace = func(e session.Event) {
		if trace != nil {
			trace(e)
		}
		if n.watched.Has(Engine) {
			n.tell(&Event{Kind: Engine, Host: s.host, Source: c.TSI, Session: e})
		}
	}
	s.tsi = c.TSI
	s.engine = session.NewSource(n.now, c)
	s.at.sources = append(s.at.sources, s)
	s.alarm = alarm{host: s.host, index: -1, who: s}
	n.set(&s.alarm, n.now)
	return s
}

// SetLinks replaces both links of the source, with their queues; what is under way arrives. down is for what comes to it. It panics on
// an impairment that is not valid.
func (s *Source) SetLinks(down, up netem.Impairment) {
	s.n.links++
	s.down, s.up = s.n.newLink(down, s.host, useLinkDown), s.n.newLink(up, s.host, useLinkUp)
}

// checkPower panics if what an Engine function set is not the number of slots that a window may have.
func checkPower(name string, slots int) {
	if slots < 2 || slots > 1<<30 || slots&(slots-1) != 0 {
		panic(fmt.Sprintf("sim: %s %d is not a power of two from 2 to 2^30", name, slots))
	}
}

// Host returns the source's number.
func (s *Source) Host() int { return s.host }

// TSI returns the identity of its session.
func (s *Source) TSI() wire.TSI { return s.tsi }

// Stats returns the engine's counters.
func (s *Source) Stats() session.SourceStats { return s.engine.Stats() }

// Finished reports whether the session is over: Close would have returned.
func (s *Source) Finished() bool { return s.engine.Finished() }

// Idle reports whether the application has nothing left to write.
func (s *Source) Idle() bool { return len(s.queue) == 0 }

// Write gives bytes of the stream to the application, which writes them when all before is written. b belongs to it then.
func (s *Source) Write(b []byte) { s.push(writing{what: writeStream, b: b}) }

// WriteMessage does so with a message. It panics on an empty one and on one that the window cannot hold.
func (s *Source) WriteMessage(b []byte) {
	if len(b) == 0 || len(b) > s.engine.MaxMessage() {
		panic("sim: a message that the window cannot hold, or an empty one")
	}
	s.push(writing{what: writeMessage, b: b})
}

// Stream does so with count bytes of a stream that Verify knows. They go on where those of the Stream before ended.
func (s *Source) Stream(count int64) { s.push(writing{what: writePattern, count: count}) }

// Flush lets a packet that is not full leave.
func (s *Source) Flush() { s.push(writing{what: writeFlush}) }

// Finish ends the session in order when all before is written. What the application is told to write later is thrown away.
func (s *Source) Finish() {
	s.push(writing{what: writeFinish})
	s.ended = true
}

// Reset ends the session at once, with a code from 0 to 63: what is not written yet never will be.
func (s *Source) Reset(code uint8) {
	clear(s.queue)
	s.queue, s.ended = s.queue[:0], false
	s.push(writing{what: writeReset, code: code})
	s.ended = true
}

func (s *Source) push(w writing) {
	if s.ended {
		return
	}
	s.queue = append(s.queue, w)
	s.n.set(&s.alarm, s.n.now)
}

const (
	mtu         = 1500
	sourceSlots = 32768
)

const patternBytes = 65521 // a prime: no packet size divides it

// pattern returns the bytes of Stream from offset on: as many as there are before they repeat.
func (s *Source) pattern(offset int64) []byte {
	if s.period == nil {
		rng := stream{key: s.n.key(s.host, usePattern)}
		s.period = make([]byte, patternBytes)
		for i := range s.period {
			s.period[i] = byte(rng.Uint64() >> 56)
		}
	}
	return s.period[offset%patternBytes:]
}

// Verify reports whether b is what Stream writes from offset on.
func (s *Source) Verify(offset int64, b []byte) bool {
	for len(b) > 0 {
		want := s.pattern(offset)
		k := min(len(want), len(b))
		if string(want[:k]) != string(b[:k]) {
			return false
		}
		offset += int64(k)
		b = b[k:]
	}
	return true
}

// feed lets the application write; it reports whether anything was done.
func (s *Source) feed() bool {
	did, now := false, s.n.now
	for len(s.queue) > 0 {
		w := &s.queue[0]
		switch w.what {
		case writeStream:
			k := s.engine.Write(now, w.b)
			did = did || k > 0
			if w.b = w.b[k:]; len(w.b) > 0 {
				return did
			}
		case writePattern:
			for w.count > 0 {
				b := s.pattern(s.wrote)
				k := s.engine.Write(now, b[:min(int64(len(b)), w.count)])
				s.wrote += int64(k)
				w.count -= int64(k)
				if k == 0 {
					return did
				}
				did = true
			}
		case writeMessage:
			if !s.engine.WriteMessage(now, w.b) {
				return did
			}
		case writeFlush:
			s.engine.Flush(now)
		case writeFinish:
			s.engine.Finish(now)
		case writeReset:
			s.engine.Reset(now, w.code)
		case writeAwait:
			if !w.wait.over(s) {
				return did
			}
		}
		did = true
		s.queue = slices.Delete(s.queue, 0, 1)
	}
	return did
}

// ring lets application and engine work until they have nothing more to do at this instant.
func (s *Source) ring() {
	n := s.n
	for range maxTurns {
		did := s.feed()
		s.engine.Advance(n.now)
		for t := (session.Transmit{B: n.send[:0]}); s.engine.Poll(n.now, &t); t = (session.Transmit{B: n.send[:0]}) {
			did = true
			n.emit(&t, s.host, s.up, s.at)
		}
		if !did {
			break
		}
	}
	n.reset(&s.alarm, s.engine.Deadline())
}

const maxTurns = 1000

// reset sets an alarm for when an engine wants to be called, which has just been called: not at this instant again for ever.
func (n *Network) reset(a *alarm, at mono.Time) {
	if at == mono.Never {
		n.unset(a)
		return
	}
	n.set(a, max(at, n.now))
}

// handle takes packets that came to the source.
func (s *Source) handle(pkts []*packet) {
	for _, k := range pkts {
		if k.damaged {
			s.n.stats.Corrupt++
			s.n.tellLost(s.host, k)
			continue
		}
		s.n.tellArrived(s.host, k)
		s.engine.Handle(s.n.now, k.meta, &k.p)
	}
	s.ring()
}

// send puts packets on the link to the source.
func (s *Source) send(pkts []*packet) {
	n := s.n
	if n.cfg.Drop != nil {
		pkts = n.sift(pkts, s.host)
	}
	if s.down != nil {
		n.travel(s.down, pkts, s.host, func(e *event) { e.source = s })
		return
	}
	if len(pkts) > 0 {
		e := n.newEvent(n.now)
		e.source, e.pkts = s, append(e.pkts, pkts...)
		n.events.Push(e)
	}
}

// sift returns the packets that Drop lets pass.
func (n *Network) sift(pkts []*packet, to int) []*packet {
	var pass []*packet
	for _, k := range pkts {
		if !k.damaged && n.cfg.Drop(k.from, to, &k.p) {
			n.stats.Lost++
			n.tellLost(to, k)
			continue
		}
		pass = append(pass, k)
	}
	return pass
}

func (n *Network) tellArrived(host int, k *packet) {
	if n.watched.Has(Arrived) {
		n.tell(&Event{Kind: Arrived, Host: host, From: k.from, To: k.to, Packet: &k.p, Raw: k.raw, hash: k.hash})
	}
}
