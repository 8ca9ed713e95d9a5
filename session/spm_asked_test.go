package session

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// One SPMR brings one SPM, and then the source is as quiet as before.
func TestOneSPMRBringsOneSPM(t *testing.T) {
	n := newNetwork(t, 1)
	sn, s := n.source(nil)
	var spms []mono.Time
	n.spy = func(_ *node, p *wire.Packet) {
		if p.Type != wire.TypeSPM {
			t.Errorf("an idle source sends %v", p.Type)
		}
		if spms = append(spms, n.now); len(spms) > 100 {
			t.Fatalf("100 SPMs by %v", n.now)
		}
	}
	n.run(mono.Time(5500*time.Millisecond), never)
	ambient := len(spms)
	p := forged(wire.TypeSPMR, 0)
	p.GSI, p.SourcePort, p.DestinationPort = s.cfg.TSI.GSI, testPort, s.cfg.TSI.Port
	s.Handle(n.now, Meta{From: n.addr(9), Multicast: true}, p)
	n.run(n.now.Add(s.cfg.HeartbeatMin), never)
	if got := len(spms) - ambient; got != 1 {
		t.Errorf("%d SPMs for one SPMR at %v: %v", got, n.now, spms)
	}
	before := len(spms)
	n.run(n.now.Add(5*time.Second), never)
	if got := len(spms) - before; got < 4 || got > 6 { // one a second
		t.Errorf("%d SPMs in the 5 s after, %s: %v", got, sn.name, spms)
	}
}
