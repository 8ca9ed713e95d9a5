package session

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// A million damaged packets between the good ones: every capture packet with a byte changed or its end cut off, the checksum
// mended half the time so that the damage is believed, from a thousand addresses. None may cost a good one.
func TestPeersHostilePackets(t *testing.T) {
	total := fewer(1_000_000)
	var seeds [][]byte
	for _, c := range testvec.Captures() {
		for _, d := range c.Datagrams {
			seeds = append(seeds, d.Payload)
		}
	}
	data := pattern(3, 4<<20)
	n := newNetwork(t, 3)
	sn, s := n.source(nil)
	sn.tick = writer(s, data)
	rn, ps := n.peers(nil)
	rd, tick := collect(ps)
	rn.tick = func(now mono.Time) {
		// Sessions that damaged packets found are not ours to read: leave them in the backlog.
		if rd.r == nil {
			for r := ps.Accept(); r != nil; r = ps.Accept() {
				if r.TSI() == s.TSI() && r.Addr() == sn.addr {
					rd.r = r
				}
			}
			if rd.r == nil {
				return
			}
		}
		tick(now)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var p wire.Packet
	bad, believed := 0, 0
	spoil := func(perStep int) {
		for range perStep {
			b := bytes.Clone(seeds[rng.IntN(len(seeds))])
			if rng.IntN(2) == 0 && len(b) > 1 {
				b = b[:rng.IntN(len(b))]
			} else {
				b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			}
			if len(b) >= 16 && rng.IntN(2) == 0 {
				mend(b)
			}
			bad++
			if p.Decode(b) != nil {
				continue
			}
			believed++
			p.DestinationPort = testPort
			from := n.addr(100 + rng.IntN(1000))
			ps.Handle(n.now, Meta{From: from, Multicast: true}, &p)
		}
	}
	const step = time.Millisecond
	steps := 300
	for i := 0; rd.end == nil && i < 10*steps; i++ {
		if bad < total {
			spoil(total / steps)
		}
		n.run(n.now.Add(step), func() bool { return rd.end != nil })
	}
	if bad < total || !bytes.Equal(rd.got, data) || rd.end != errEOF || len(rd.errs) > 0 {
		t.Errorf("after %d bad packets (%d of them well formed): %d of %d bytes, end %v, losses %v", bad, believed, len(rd.got), len(data), rd.end, rd.errs)
	}
	if st := rd.r.Stats(); st.NAKs > 0 {
		t.Errorf("%d NAKs without a loss", st.NAKs)
	}
	if st := ps.Stats(); st.Sources > ps.cfg.MaxSources {
		t.Errorf("%d sources in a table of %d", st.Sources, ps.cfg.MaxSources)
	}
	t.Logf("%d bad packets, %d of them well formed; refused %+v", bad, believed, ps.Stats().Refused)
}

// mend makes b's checksum right.
func mend(b []byte) {
	b[6], b[7] = 0, 0
	sum := ^wire.Sum(b)
	if sum == 0 {
		sum = 0xffff
	}
	b[6], b[7] = byte(sum>>8), byte(sum)
}
