package transport

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
)

// nodes is a network of namespaces: a netem.Lab or a netem.Relay.
type nodes interface {
	Receivers() int
	Do(netem.Node, func() error) error
}

// lab is a network of namespaces, and a session over it.
type lab struct {
	t       *testing.T
	lab     *netem.Lab // nil in a Relay
	nodes   nodes
	network string
	group   string
	cfg     Config
	sent    []byte
}

func newLab(t *testing.T, cfg netem.LabConfig) *lab {
	t.Helper()
	netem.NeedLab(t)
	n, err := netem.NewLab(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	l := labOf(t, n)
	l.lab = n
	return l
}

func labOf(t *testing.T, n nodes) *lab {
	size := 2 << 20
	if invariant.Enabled { // the checks cost more than the network
		size = 256 << 10
	}
	return &lab{
		t: t, nodes: n, network: "udp6", group: "[ff15::8000:1%eth0]:7500", sent: random(1, size),
		cfg: Config{Rate: 100 * flow.Mbps, Logger: slog.New(slog.DiscardHandler)},
	}
}

// listen opens a listener on node n that accepts for a minute.
func (l *lab) listen(n netem.Node) (li *Listener, err error) {
	err = l.nodes.Do(n, func() (err error) {
		if li, err = Listen(l.network, l.group, &l.cfg); err != nil {
			return err
		}
		return li.SetDeadline(time.Now().Add(time.Minute))
	})
	return li, err
}

// open opens the listeners of all nodes.
func (l *lab) open() []*Listener {
	l.t.Helper()
	all := make([]*Listener, l.nodes.Receivers())
	for i := range all {
		li, err := l.listen(netem.Node(i))
		if err != nil {
			l.t.Fatal(err)
		}
		all[i] = li
	}
	return all
}

// dial opens a source on the sender's node.
func (l *lab) dial() (s *Source) {
	l.t.Helper()
	err := l.nodes.Do(netem.Sender, func() (err error) {
		s, err = Dial(l.network, l.group, &l.cfg)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// run sends l.sent to all receivers and checks that each got it. It returns the source, closed.
func (l *lab) run() *Source {
	l.t.Helper()
	var wg sync.WaitGroup
	for i, li := range l.open() {
		wg.Go(func() { l.receive(i, li) })
	}
	s := l.dial()
	if _, err := io.Copy(s, bytes.NewReader(l.sent)); err != nil {
		l.t.Error(err)
	}
	if err := s.Close(); err != nil {
		l.t.Error(err)
	}
	wg.Wait()
	return s
}

func (l *lab) receive(i int, li *Listener) {
	t := l.t
	defer li.Close()
	r, err := li.AcceptReceiver()
	if err != nil {
		t.Errorf("receiver %d: %v", i, err)
		return
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := io.Copy(&got, r); err != nil {
		t.Errorf("receiver %d: %v", i, err)
	}
	same(t, got.Bytes(), l.sent)
	st := r.Stats()
	t.Logf("receiver %d: %d packets, %d missing, %d NAKs, %d suppressed, RTT %v; %+v", i, st.Packets, st.Missing, st.NAKs, st.Suppressed, st.RTT, st.Refused)
}

func TestLab(t *testing.T) {
	for _, c := range []struct {
		name, network, group string
		cfg                  netem.LabConfig
	}{
		{"IPv6", "udp6", "[ff15::8000:1%eth0]:7500", netem.LabConfig{}},
		{"IPv4", "udp4", "239.192.77.9:7500", netem.LabConfig{}},
		{"link-local", "udp6", "[ff12::8000:1%eth0]:7500", netem.LabConfig{LinkLocalOnly: true}},
		{"raw IP", "ip6:pgm", "ff15::8000:1%eth0", netem.LabConfig{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Receivers, c.cfg.Loss, c.cfg.SenderLoss, c.cfg.Wire = 2, 0.1, 0.01, true
			l := newLab(t, c.cfg)
			l.network, l.group = c.network, c.group
			l.cfg.Interface = netem.LabInterface
			s := l.run()
			if st := s.Stats(); st.Repairs == 0 {
				t.Error("nothing was repaired on a link with losses")
			}
		})
	}
}
