package transport

import (
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// twoReceivers opens a listener on each of two nodes and reads two sources there to their ends. The function that it returns
// waits for that.
func (l *lab) twoReceivers(size int) (wait func()) {
	t := l.t
	var wg sync.WaitGroup
	for i, li := range l.open() {
		wg.Go(func() {
			defer li.Close()
			seen := make(map[wire.GSI]bool)
			for range 2 {
				r, err := li.AcceptReceiver()
				if err != nil {
					t.Errorf("receiver %d: %v", i, err)
					return
				}
				if seen[r.TSI().GSI] {
					t.Errorf("receiver %d: %v a second time", i, r.TSI())
				}
				seen[r.TSI().GSI] = true
				wg.Go(func() {
					defer r.Close()
					if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
						t.Error(err)
					}
					wantWords(t, r, size)
					st := r.Stats()
					t.Logf("receiver %d: %v, %d missing, %d repairs, %d NAKs", i, r.RemoteAddr(), st.Missing, st.Repairs, st.NAKs)
					if st.Repairs == 0 {
						t.Errorf("receiver %d: %v repaired nothing", i, r.RemoteAddr())
					}
				})
			}
		})
	}
	return wg.Wait
}

// wantWords reads r to its end, which must give all words before size.
func wantWords(t *testing.T, r *Receiver, size int) {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil || len(b) != size {
		t.Errorf("%v: %d of %d bytes, %v", r.RemoteAddr(), len(b), size, err)
	}
	for i := 0; i+8 <= len(b); i += 8 {
		if got := binary.BigEndian.Uint64(b[i:]); got != uint64(i) {
			t.Errorf("%v: the word at %d is %d", r.RemoteAddr(), i, got)
			return
		}
	}
}

// Two sources on one host and port, first in one process, then in two: both are repaired.
func TestLabTwoSources(t *testing.T) {
	size := 1 << 20
	if invariant.Enabled {
		size = 512 << 10
	}
	for _, c := range []struct {
		name, network, group string
		cfg                  netem.LabConfig
	}{
		{"IPv6", "udp6", "[ff15::8000:1%eth0]:7500", netem.LabConfig{}},
		{"IPv4", "udp4", "239.192.77.9:7500", netem.LabConfig{}},
		{"link-local", "udp6", "[ff12::8000:1%eth0]:7500", netem.LabConfig{LinkLocalOnly: true}},
	} {
		c.cfg.Receivers, c.cfg.Loss, c.cfg.SenderLoss, c.cfg.Wire = 2, 0.05, 0.01, true
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.cfg)
			l.network, l.group = c.network, c.group
			l.cfg.Interface, l.cfg.Rate = netem.LabInterface, 40*flow.Mbps
			t.Run("one process", func(t *testing.T) { l.with(t).sourcesOfOneProcess(size) })
			t.Run("two processes", func(t *testing.T) { l.with(t).sourcesOfTwoProcesses(size) })
		})
	}
}

// with is l for another test.
func (l *lab) with(t *testing.T) *lab {
	sub := *l
	sub.t = t
	return &sub
}

func (l *lab) sourcesOfOneProcess(size int) {
	t := l.t
	wait := l.twoReceivers(size)
	var wg sync.WaitGroup
	for range 2 {
		s := l.dial()
		if port := s.LocalAddr().(*Addr).Host().Port(); port != 7500 {
			t.Errorf("%v has port %d of its own", s.TSI(), port)
		}
		wg.Go(func() {
			if _, err := io.Copy(s, &words{end: size}); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.Repairs == 0 {
				t.Errorf("%v repaired nothing", s.TSI())
			}
		})
	}
	wg.Wait()
	wait()
}

func (l *lab) sourcesOfTwoProcesses(size int) {
	t := l.t
	wait := l.twoReceivers(size)
	a := l.start(netem.Sender, "source", script{Rate: l.cfg.Rate, GSI: wire.NewGSI("a"), Bytes: size})
	b := l.start(netem.Sender, "source", script{Rate: l.cfg.Rate, GSI: wire.NewGSI("b"), Bytes: size})
	if p, q := a.want("port"), b.want("port"); (p == 7500) == (q == 7500) {
		t.Errorf("the sources have ports %d and %d, want 7500 for the first and another for the second", p, q)
	}
	a.tell()
	b.tell()
	for _, c := range []*child{a, b} {
		if c.want("repaired") == 0 {
			t.Error("a source repaired nothing")
		}
	}
	wait()
}
