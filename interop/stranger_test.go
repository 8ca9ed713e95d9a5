package interop_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// A receiver that hears nothing but what is under the session's own data-destination port, as every receiver does that knows nothing
// of parity, gets everything, however the source repairs the losses of others; and nothing that it hears is about parity.
func TestStranger(t *testing.T) {
	for _, mode := range []struct {
		name string
		cfg  fec.Config
	}{
		{"default", fec.Config{}},
		{"on demand", fec.Config{Goal: fec.LeastBytes}},
		{"proactive", fec.Config{Proactive: 4}},
		{"least delay", fec.Config{Goal: fec.LeastDelay}},
	} {
		for _, v4 := range []bool{true, false} {
			t.Run(mode.name+map[bool]string{true: "/IPv4", false: "/IPv6"}[v4], func(t *testing.T) { stranger(t, mode.cfg, v4) })
		}
	}
}

func stranger(t *testing.T, cfg fec.Config, v4 bool) {
	const ours = 8
	data := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	kept := make(map[wire.Type]int) // from the stranger
	host, own := 0, uint16(0)       // the stranger's; the session's data-destination port
	n := sim.New(sim.Config{Seed: 1, V4: v4, Drop: func(_, to int, p *wire.Packet) bool {
		if to != host {
			return false
		}
		destination := p.DestinationPort
		if p.Type.Upstream() {
			destination = p.SourcePort
		}
		if destination != own {
			kept[p.Type]++
			return true
		}
		o := p.Options.Set
		if p.Flags&wire.FlagParity != 0 || o.Has(wire.OptParityPRM) || o.Has(wire.OptParityGroup) || o.Has(wire.OptCurrTGSize) {
			t.Errorf("parity under the session's own port: %v %d, flags %v", p.Type, p.Sqn, p.Flags)
		}
		return false
	}})
	src := n.Source(sim.SourceConfig{Engine: func(c *session.SourceConfig) {
		c.Parity = cfg.WithDefaults()
		own = c.DestinationPort
	}})
	var got []byte
	link := sim.GroupConfig{
		Down: netem.Impairment{Loss: 0.05, Delay: time.Millisecond}, Up: netem.Impairment{Loss: 0.02, Delay: time.Millisecond},
	}
	others := n.Receivers(ours, link)
	link.Deliver = func(e *sim.Event) {
		if e.Kind == sim.Delivered {
			got = append(got, e.Data...)
		}
	}
	g := n.Receivers(1, link)
	host = g.Host(0)

	// A stream, messages in one packet and in several, and again a stream.
	third := len(data) / 3
	src.Write(data[:third])
	rest := data[third:]
	for size := 1; len(rest) > third; size = size*7%22528 + 1 {
		size = min(size, len(rest))
		src.WriteMessage(rest[:size])
		rest = rest[size:]
	}
	src.Write(rest)
	src.Finish()
	if done, err := n.RunUntil(time.Minute, func() bool { return g.Complete()+others.Complete() == 1+ours }); err != nil || !done {
		t.Errorf("not everybody has everything after a minute (%v)", err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("the stranger has %d bytes that are not the %d sent", len(got), len(data))
	}
	st, one, all := src.Stats(), g.Stats(), others.Stats()
	alone, mates := one.Sessions.Total, all.Sessions.Total
	t.Logf("source: %d ODATA, %d RDATA, %d of them parity, %d parity unasked; %d NAKs for %d numbers and %d groups",
		st.Packets, st.Repairs, st.Parity, st.Ahead, st.NAKs, st.NAKNumbers, st.ParityNAKs)
	t.Logf("ours: %d missing, %d restored; stranger: %d missing, %d restored, %d repairs; kept from it: %v",
		mates.Missing, mates.Restored, alone.Missing, alone.Restored, alone.Repairs, kept)
	if one.Lost+all.Lost > 0 || all.Bytes != ours*uint64(len(data)) {
		t.Errorf("lost: %d by the stranger, %d by %d others, which have %d bytes", one.Lost, all.Lost, ours, all.Bytes)
	}
	if alone.Restored > 0 || alone.Repairs == 0 || st.ParityNAKs == 0 || mates.Restored == 0 {
		t.Errorf("the stranger restored %d and had %d repairs, parity was asked for %d times, the others restored %d: "+
			"too little to prove anything", alone.Restored, alone.Repairs, st.ParityNAKs, mates.Restored)
	}
	types := []wire.Type{wire.TypeSPM, wire.TypeRDATA, wire.TypeNCF}
	if cfg.Proactive > 0 {
		types = append(types, wire.TypeODATA)
	}
	for _, typ := range types {
		if kept[typ] == 0 {
			t.Errorf("no %v under the port of parity was kept from the stranger", typ)
		}
	}
}
