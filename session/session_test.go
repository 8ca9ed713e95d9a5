package session

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// transfer sends data from one source to receivers at a loss rate and checks every byte.
func transfer(t *testing.T, seed uint64, receivers int, loss float64, data []byte) (*network, *Source, []*reader) {
	t.Helper()
	n := newNetwork(t, seed)
	n.lose(loss)
	sn, s := n.source(nil)
	sn.tick = writer(s, data)
	var readers []*reader
	for range receivers {
		rn, ps := n.peers(nil)
		rd, tick := collect(ps)
		rn.tick = tick
		readers = append(readers, rd)
	}
	n.run(mono.Time(60*time.Second), func() bool {
		for _, rd := range readers {
			if rd.end == nil {
				return false
			}
		}
		return true
	})
	for i, rd := range readers {
		if rd.end != errEOF || len(rd.errs) > 0 || !bytes.Equal(rd.got, data) {
			t.Errorf("receiver %d at %v: %d of %d bytes, equal %v, end %v, losses %v (seed %d)", i, n.now, len(rd.got), len(data), bytes.Equal(rd.got, data), rd.end, rd.errs, seed)
		}
	}
	return n, s, readers
}

func TestTransfer(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.1, 0.2} {
		for _, receivers := range []int{1, 8} {
			t.Run(fmt.Sprintf("loss %v receivers %d", loss, receivers), func(t *testing.T) {
				n, s, rds := transfer(t, 1, receivers, loss, pattern(1, 3<<20))
				st := s.Stats()
				t.Logf("%v: %+v", n.now, st)
				t.Logf("ratio %.3f of payload, receiver %+v", float64(n.bytes)/float64(st.Bytes), rds[0].r.Stats())
			})
		}
	}
}

// fewer is how many of n random cases to run: the checks of invariants and races make each many times slower.
func fewer(n int) int {
	if invariant.Enabled {
		return max(n/10, 1)
	}
	return n
}

// Whatever the start: never a wrong or missing first byte.
func TestTransferFromTheFirstByte(t *testing.T) {
	for seed := range uint64(fewer(200)) {
		transfer(t, seed, 8, 0.2, pattern(seed, 20000))
		if t.Failed() {
			return
		}
	}
}

func TestNoLossNoNAK(t *testing.T) {
	n := newNetwork(t, 1)
	sn, s := n.source(nil)
	sn.tick = writer(s, pattern(1, 1<<20))
	rn, ps := n.peers(nil)
	rd, tick := collect(ps)
	rn.tick = tick
	n.spy = func(_ *node, p *wire.Packet) {
		if p.Type == wire.TypeNAK || p.Type == wire.TypeNCF || p.Type == wire.TypeRDATA {
			t.Errorf("%v at %v without loss", p.Type, n.now)
		}
	}
	n.run(mono.Time(10*time.Second), func() bool { return rd.end != nil })
	if !errors.Is(rd.end, errEOF) || len(rd.got) != 1<<20 {
		t.Errorf("%d bytes, end %v", len(rd.got), rd.end)
	}
}
