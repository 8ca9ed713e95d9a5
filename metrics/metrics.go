package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/transport"
)

// Metrics is a set of sources, listeners, receivers and parts of carousels whose counters are exported. It implements http.Handler, for Prometheus, and expvar.Var.
// The zero value is an empty set. Its methods may be called from several goroutines.
type Metrics struct {
	// Max bounds how many things are shown at once; set it before the first is added. Zero: 256.
	Max int

	mu      sync.Mutex
	things  []*thing
	refused uint64
}

const (
	defaultMax = 256
	maxID      = 64 // bytes
)

// thing is what has counters: a source, a listener and so on.
type thing struct {
	kind    string
	labels  []label
	collect func(c *collector)
}

type label struct{ name, value string }

// AddSource adds a source under the id, which is cut to 64 bytes and may be empty; of several things that would have the same labels the later
// ones have a number after it. The function that it returns takes the source out again; that may be done more than once.
func (m *Metrics) AddSource(id string, s *transport.Source) (remove func()) {
	return m.add("source", id, s.RemoteAddr().String(), s.TSI().String(), func(c *collector) { c.source(s.Stats()) })
}

// AddListener adds a Listener, as AddSource does: what it counted over all its receivers, accepted or not.
func (m *Metrics) AddListener(id string, l *transport.Listener) (remove func()) {
	return m.add("listener", id, l.Addr().String(), "", func(c *collector) { c.listener(l.Stats()) })
}

// AddReceiver adds one receiver, as AddSource does. What it counts is in its Listener's counters too.
func (m *Metrics) AddReceiver(id string, r *transport.Receiver) (remove func()) {
	return m.add("receiver", id, r.LocalAddr().String(), r.TSI().String(), func(c *collector) { c.receiver(r.Stats()) })
}

// AddInbox adds the directory that a carousel is received into, as AddSource does, with how far its objects are.
func (m *Metrics) AddInbox(id string, in *carousel.Inbox) (remove func()) {
	return m.add("inbox", id, "", "", func(c *collector) {
		c.inbox(in.Stats())
		c.objects(in.Objects())
	})
}

// AddRequests adds the ear of a carousel's source for what its receivers ask for, as AddSource does.
func (m *Metrics) AddRequests(id string, r *carousel.Requests) (remove func()) {
	return m.add("requests", id, "", "", func(c *collector) { c.requests(r.Stats()) })
}

// AddWatcher adds who watches whether anybody listens, as AddSource does.
func (m *Metrics) AddWatcher(id string, w *demand.Watcher) (remove func()) {
	return m.add("demand", id, "", "", func(c *collector) { c.demand(w.Stats()) })
}

// add adds a thing; group and tsi are empty where it has none.
func (m *Metrics) add(kind, id, group, tsi string, collect func(*collector)) (remove func()) {
	for len(id) > maxID || !utf8.ValidString(id) && id != "" {
		_, n := utf8.DecodeLastRuneInString(id)
		id = id[:len(id)-n]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Max == 0 {
		m.Max = defaultMax
	}
	if len(m.things) >= m.Max {
		m.refused++
		return func() {}
	}
	t := &thing{kind, []label{{"id", id}}, collect}
	for _, l := range []label{{"group", group}, {"tsi", tsi}} {
		if l.value != "" {
			t.labels = append(t.labels, l)
		}
	}
	for n := 2; m.has(t); n++ {
		t.labels[0].value = id + "#" + strconv.Itoa(n)
	}
	m.things = append(m.things, t)
	return func() { m.remove(t) }
}

// has reports whether there is a thing of the same kind and labels.
func (m *Metrics) has(t *thing) bool {
	for _, o := range m.things {
		if o.kind == t.kind && slices.Equal(o.labels, t.labels) {
			return true
		}
	}
	return false
}

func (m *Metrics) remove(t *thing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, o := range m.things {
		if o == t {
			m.things = append(m.things[:i:i], m.things[i+1:]...)
			return
		}
	}
}

// gather asks all things. Their locks are taken one after the other, and m's is not held meanwhile.
func (m *Metrics) gather() *collector {
	m.mu.Lock()
	things, refused := m.things[:len(m.things):len(m.things)], m.refused
	m.mu.Unlock()
	c := newCollector()
	c.metrics(len(things), refused)
	for _, t := range things {
		c.begin(t)
		t.collect(c)
	}
	return c
}

// ServeHTTP writes everything in Prometheus' text format.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(m.gather().text()) // the client is gone if that fails
}

// String gives everything as JSON: a list of things with their labels and values, without the beginnings of names.
func (m *Metrics) String() string { return string(m.gather().json()) }
