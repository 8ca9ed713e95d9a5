package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// heard is a datagram, of a group or of a capture.
type heard struct {
	at       time.Time
	from, to netip.AddrPort
	b        []byte
	ipBytes  int
}

// listen calls take for each datagram that comes to a group, until ctx ends or take returns false.
func listen(ctx context.Context, conn dgram.Conn, group netip.AddrPort, take func(heard) bool) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	head := 28
	if group.Addr().Is6() {
		head = 48
	}
	if conn.Info().Raw {
		head -= 8
	}
	batch := make([]dgram.Datagrams, 16)
	for i := range batch {
		batch[i].B = make([]byte, dgram.BufferSize)
	}
	for {
		n, err := conn.ReadBatch(batch)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		now := time.Now()
		for i := range batch[:n] {
			d := &batch[i]
			for b := d.B; len(b) > 0; {
				size := min(d.Segment, len(b))
				if !take(heard{now, d.From, group, b[:size], size + head}) {
					return nil
				}
				b = b[size:]
			}
		}
	}
}

// maxWatched bounds the sessions that are watched.
const maxWatched = 256

// watched is what is known of a session by its packets.
type watched struct {
	label     string // a, b, …, for people
	tsi       wire.TSI
	source    netip.Addr     // from where it sends
	group     netip.AddrPort // to where
	path      netip.Addr     // where NAKs go, as its SPMs say
	port      uint16         // its UDP port for that
	dest      uint16         // PGM data-destination port
	own       bool           // of this library
	since, at time.Time      // first and last packet
	sent      time.Time      // last of its data
	packets   uint64         // ODATA
	repairs   uint64         // RDATA, parity included
	naks      uint64         // NAKs seen
	ncfs      uint64         // NCFs seen
	spms      uint64         // SPMs seen
	bytes     uint64         // IP bytes of all of its
	data      uint64         // payload bytes
	first     seq.Num        // number of the first ODATA
	lead      seq.Num        // highest number seen
	trail     seq.Num        // what its window begins with
	size      float64        // of its group, as it says; 0: it does not
	grtt      time.Duration  // as it says
	ended     bool           // FIN
	reset     bool           // RST
	rates     meter
	rate      flow.Rate
}

// missed is how many of its packets have not come here at first.
func (s *watched) missed() uint64 {
	if s.packets == 0 {
		return 0
	}
	span := uint64(s.lead.Sub(s.first)) + 1
	return span - min(span, s.packets)
}

// loss is missed as a part of what was sent meanwhile.
func (s *watched) loss() float64 {
	if s.packets == 0 {
		return 0
	}
	return float64(s.missed()) / float64(uint64(s.lead.Sub(s.first))+1)
}

// lossText is loss for people: that of a source whose data nobody has seen is not known.
func (s *watched) lossText() string {
	if s.packets == 0 {
		return "-"
	}
	return human.Percent(s.loss())
}

// lossValue is loss for programs: nil if it is not known.
func (s *watched) lossValue() any {
	if s.packets == 0 {
		return nil
	}
	return s.loss()
}

// state says in a word what the session does.
func (s *watched) state(now time.Time) string {
	switch {
	case s.reset:
		return "reset"
	case s.ended:
		return "ended"
	case now.Sub(s.at) > 10*time.Second:
		return "silent"
	case !s.sent.IsZero() && now.Sub(s.sent) < 2*time.Second:
		return "sends"
	}
	return "idle"
}

// watcher follows sessions by their packets. It is not safe for several goroutines.
type watcher struct {
	sessions []*watched
	byTSI    map[watchedKey]*watched
	beyond   bool   // there were more than maxWatched
	group    uint16 // the port of the group whose sessions alone are followed: not those that say for a moment what receivers want; 0: all are
	packet   wire.Packet
}

// watchedKey: a session is told apart by its source too: whoever forges a TSI makes another one. Packets of receivers name no source; they count for the first.
type watchedKey struct {
	tsi    wire.TSI
	source netip.Addr
}

func newWatcher() *watcher { return &watcher{byTSI: map[watchedKey]*watched{}} }

// add takes a datagram and returns its packet, which is valid until the next call, and its session; isNew if it is the first of that.
func (w *watcher) add(h heard) (p *wire.Packet, s *watched, isNew bool, err error) {
	p = &w.packet
	if err := p.Decode(h.b); err != nil {
		return nil, nil, false, err
	}
	if w.beside(p) {
		return p, nil, false, nil
	}
	s, isNew = w.session(p, h)
	if s == nil {
		return p, nil, false, nil
	}
	s.at = h.at
	if p.Type.Upstream() {
		if p.Type == wire.TypeNAK {
			s.naks++
		}
		return p, s, isNew, nil
	}
	s.dest = p.DestinationPort
	s.bytes += uint64(h.ipBytes)
	s.own = s.own || p.Options.Has(wire.OptPeer)
	s.ended = s.ended || p.Options.Has(wire.OptFIN)
	s.reset = s.reset || p.Options.Has(wire.OptRST)
	switch p.Type {
	case wire.TypeSPM:
		s.spms++
		s.path, s.trail = p.Path, p.Trail
		if p.Options.Has(wire.OptPeer) {
			s.size, s.grtt, s.port = flow.DecodeGroupSize(p.Options.Peer.GroupSize), flow.DecodeGRTT(p.Options.Peer.GRTT), p.Options.Peer.Port
		}
	case wire.TypeODATA:
		if p.Flags&wire.FlagParity != 0 {
			s.repairs++
			s.sent = h.at
			break
		}
		if s.packets == 0 {
			s.first, s.lead = p.Sqn, p.Sqn
		}
		if s.lead.Less(p.Sqn) {
			s.lead = p.Sqn
		}
		if !p.Sqn.Less(s.first) {
			s.packets++
		}
		s.data += uint64(len(p.Payload))
		s.trail, s.sent = p.Trail, h.at
	case wire.TypeRDATA:
		s.repairs++
		s.sent = h.at
	case wire.TypeNCF:
		s.ncfs++
	}
	return p, s, isNew, nil
}

// Receivers speak to sources under these PGM ports, added to the group's: requests of package carousel, interest of package demand.
const (
	requestPort = 2
	demandPort  = 3
)

// beside reports whether a packet is of a session that is not followed.
func (w *watcher) beside(p *wire.Packet) bool {
	return w.group != 0 && !p.Type.Upstream() && (p.DestinationPort == w.group+requestPort || p.DestinationPort == w.group+demandPort)
}

// session finds the session of a packet, or makes it.
func (w *watcher) session(p *wire.Packet, h heard) (s *watched, isNew bool) {
	tsi := p.TSI()
	if p.Type.Upstream() {
		for _, s := range w.sessions {
			if s.tsi == tsi {
				return s, false
			}
		}
	}
	k := watchedKey{tsi, h.from.Addr()}
	if p.Type.Upstream() {
		k.source = netip.Addr{}
	}
	if s := w.byTSI[k]; s != nil {
		return s, false
	}
	if len(w.sessions) == maxWatched {
		w.beyond = true
		return nil, false
	}
	s = &watched{label: label(len(w.sessions)), tsi: tsi, since: h.at}
	s.rates.add(h.at, 0)
	if !p.Type.Upstream() {
		s.source, s.group = h.from.Addr(), h.to
	}
	w.sessions = append(w.sessions, s)
	w.byTSI[k] = s
	return s, true
}

// label counts a, b, …, z, aa, ab, ….
func label(i int) string {
	s := ""
	for ; i >= 0; i = i/26 - 1 {
		s = string(rune('a'+i%26)) + s
	}
	return s
}

// rateAfter is how long a session has to be known before it has a rate: that of a moment says nothing.
const rateAfter = 300 * time.Millisecond

// tick brings the rates up to date.
func (w *watcher) tick(now time.Time) {
	for _, s := range w.sessions {
		if now.Sub(s.since) < rateAfter {
			continue
		}
		s.rate = s.rates.add(now, int64(min(s.bytes, math.MaxInt64)))
	}
}

// whose says what kind of source a session is.
func (s *watched) whose() string {
	if s.own {
		return "rmcast"
	}
	return "PGM"
}

func (s *watched) String() string {
	return fmt.Sprintf("session %s: %s source %v, TSI %v", s.label, s.whose(), s.source.WithZone(""), s.tsi)
}
