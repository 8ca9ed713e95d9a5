package metrics_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/metrics"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const group = "[ff15::8000:1]:7500"

var quiet = slog.New(slog.DiscardHandler)

// session sends 100 kB to one receiver that loses a tenth, and calls f when everything has arrived and nothing is closed.
func session(t *testing.T, f func(*transport.Source, *transport.Listener, *transport.Receiver)) {
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		fabric.Host("fd00::2").SetIngress(netem.Impairment{Loss: 0.1})
		l, err := transport.Listen("udp", group, &transport.Config{Network: fabric.Host("fd00::2"), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s, err := transport.Dial("udp", group, &transport.Config{Network: fabric.Host("fd00::1"), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 100e3)); err != nil {
			t.Error(err)
		}
		r, err := l.AcceptReceiver()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 100e3)); err != nil {
			t.Error(err)
		}
		f(s, l, r)
		for _, c := range []io.Closer{s, r, l} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func scrape(m http.Handler) string {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// What is exported is what Stats say, for each thing, under its labels, and no longer than it is there.
func TestMetrics(t *testing.T) {
	session(t, func(s *transport.Source, l *transport.Listener, r *transport.Receiver) {
		var m metrics.Metrics
		remove := m.AddSource("feed", s)
		m.AddListener("in", l)
		m.AddReceiver("", r)
		labels := fmt.Sprintf(`group="%v",tsi="%v"`, s.RemoteAddr(), s.TSI())
		text := scrape(&m)
		for _, line := range []string{
			fmt.Sprintf(`rmcast_source_packets_total{id="feed",%s} %d`, labels, s.Stats().Packets),
			fmt.Sprintf(`rmcast_source_phase{id="feed",%s,phase="%v"} 1`, labels, s.Stats().Phase),
			fmt.Sprintf(`rmcast_source_socket_dropped_total{id="feed",%s,reason="kernel"} 0`, labels),
			fmt.Sprintf(`rmcast_listener_sources{id="in",group="%v"} 1`, l.Addr()),
			fmt.Sprintf(`rmcast_receiver_repair_packets_total{id="",%s} %d`, labels, r.Stats().Repairs),
			fmt.Sprintf(`rmcast_receiver_round_trip_seconds{id="",%s} %v`, labels, r.Stats().RTT.Seconds()),
			"rmcast_metrics_things 3",
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("there is no %s", line)
			}
		}
		wantFormat(t, text)
		remove()
		remove()
		if text = scrape(&m); strings.Contains(text, "rmcast_source") || !strings.Contains(text, "rmcast_receiver") {
			t.Error("a source is there after it was removed, or others are not")
		}
	})
}

// wantFormat checks the text by the rules of Prometheus' format: samples of one name together, after their HELP and TYPE; no series twice.
func wantFormat(t *testing.T, text string) {
	t.Helper()
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\\n]|\\[\\"n])*")*\})? (\+Inf|[-+.e0-9]+)$`)
	head := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	names, series := map[string]bool{}, map[string]bool{}
	var name, last string
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if h := head.FindStringSubmatch(line); h != nil {
			if h[1] == "HELP" && names[h[2]] || h[1] == "TYPE" && (h[2] != name || h[3] != "counter" && h[3] != "gauge") {
				t.Errorf("misplaced: %s", line)
			}
			name, last = h[2], h[1]
			names[name] = true
			continue
		}
		s := sample.FindStringSubmatch(line)
		if s == nil || s[1] != name || last != "TYPE" || series[s[1]+s[2]] {
			t.Errorf("bad or misplaced: %q", line)
			continue
		}
		series[s[1]+s[2]] = true
	}
}

// The ends of a carousel have series of their own, under their id.
func TestCarousel(t *testing.T) {
	in, err := carousel.NewInbox(t.TempDir(), &carousel.InboxConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	in.Handle([]byte("no carousel"))
	synctest.Test(t, func(t *testing.T) {
		host := netem.NewFabric(netem.FabricConfig{Seed: 1}).Host("fd00::1")
		r, err := carousel.ListenRequests("udp", group, &transport.Config{Network: host})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		w, err := demand.Watch("udp", group, &demand.Config{Transport: &transport.Config{Network: host}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var m metrics.Metrics
		m.AddInbox("recv", in)
		m.AddRequests("send", r)
		remove := m.AddWatcher("send", w)
		text := scrape(&m)
		wantFormat(t, text)
		for _, line := range []string{
			`rmcast_inbox_packets_total{id="recv"} 1`, `rmcast_inbox_unused_total{id="recv",reason="foreign"} 1`, `rmcast_inbox_objects{id="recv"} 0`,
			`rmcast_requests_heard_total{id="send"} 0`, `rmcast_demand_starts_total{id="send"} 0`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("there is no %s", line)
			}
		}
		if remove(); strings.Contains(scrape(&m), "rmcast_demand") {
			t.Error("it is there after it was removed")
		}
	})
}

// What is added beyond Max is counted; the same thing twice is two series.
func TestBounds(t *testing.T) {
	session(t, func(s *transport.Source, l *transport.Listener, _ *transport.Receiver) {
		m := metrics.Metrics{Max: 5}
		for range 3 {
			m.AddListener("in", l)
		}
		m.AddSource(strings.Repeat("ü", 100)+"\xff", s)
		m.AddSource("\"\\\n\xff", s)
		removed := m.AddSource("one too many", s)
		removed()
		text := scrape(&m)
		wantFormat(t, text)
		for _, part := range []string{`{id="in#3",`, "rmcast_metrics_things_refused_total 1\n", "rmcast_metrics_things 5\n", `{id="` + strings.Repeat("ü", 32) + `",`, `{id="\"\\\n",`} {
			if !strings.Contains(text, part) {
				t.Errorf("there is no %s", part)
			}
		}
	})
}

// expvar has the same numbers, for programs that speak JSON.
func TestExpvar(t *testing.T) {
	session(t, func(s *transport.Source, _ *transport.Listener, r *transport.Receiver) {
		var m metrics.Metrics
		m.AddSource("feed", s)
		m.AddReceiver("", r)
		var v expvar.Var = &m
		var things []struct {
			Kind, ID, Group, TSI string
			Values               struct {
				Packets uint64            `json:"packets_total"`
				Refused map[string]uint64 `json:"refused_total"`
				Rate    any               `json:"rate_bytes_per_second"`
				Socket  struct{ Interface string }
			}
		}
		if err := json.Unmarshal([]byte(v.String()), &things); err != nil {
			t.Errorf("%v: %s", err, v)
			return
		}
		if len(things) != 3 || things[0].Kind != "metrics" {
			t.Errorf("%+v", things)
			return
		}
		if f := things[1]; f.Kind != "source" || f.ID != "feed" || f.TSI != s.TSI().String() || f.Values.Packets != s.Stats().Packets ||
			f.Values.Socket.Interface != "eth0" || len(f.Values.Refused) != 14 {
			t.Errorf("%+v", f)
		}
		if f := things[2]; f.Kind != "receiver" || f.Values.Packets != r.Stats().Packets {
			t.Errorf("%+v", f)
		}
	})
}

// A program whose source can be watched at /metrics by Prometheus, and at /debug/vars.
func Example() {
	var m metrics.Metrics
	http.Handle("/metrics", &m)
	expvar.Publish("rmcast", &m)

	network := netem.NewFabric(netem.FabricConfig{}) // without it: the kernel's
	source, err := transport.Dial("udp", "239.192.0.9:7500", &transport.Config{Network: network.Host("10.0.0.1")})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	defer m.AddSource("feed", source)()
	if err := source.WriteMessage([]byte("to all of you")); err != nil {
		log.Fatal(err)
	}

	// Prometheus asks:
	w := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "rmcast_source_messages") {
			fmt.Print(strings.ReplaceAll(line, source.TSI().String(), "…"))
		}
	}
	// Output:
	// # HELP rmcast_source_messages_total Messages taken from WriteMessage.
	// # TYPE rmcast_source_messages_total counter
	// rmcast_source_messages_total{id="feed",group="239.192.0.9:7500",tsi="…"} 1
}
