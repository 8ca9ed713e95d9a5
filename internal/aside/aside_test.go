package aside

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/internal/breakable"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const group = "[ff15::8000:1]:7500"

// The port is beside the group's, and never 0 nor one whose parity has none.
func TestConfigPort(t *testing.T) {
	for _, c := range []struct {
		group string
		cfg   *transport.Config
		want  uint16
	}{
		{group, nil, 7502},
		{group, &transport.Config{}, 7502},
		{group, &transport.Config{DestinationPort: 1000}, 1002},
		{"239.1.2.3", nil, 7502}, // raw IP
		{"239.1.2.3:65532", nil, 65534},
		{"239.1.2.3:65533", nil, 1},
		{"239.1.2.3:65535", nil, 3},
	} {
		if got := Config(c.group, c.cfg, Requests).DestinationPort; got != c.want {
			t.Errorf("%s, %+v: port %d, want %d", c.group, c.cfg, got, c.want)
		}
	}
}

// What three say at once is heard, each once, though two of three copies are lost; who says too much is passed over; Listeners of the group do not
// see it; and when the Ear is closed nothing is heard any more.
func TestSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{})
		config := func(host string) *transport.Config {
			return &transport.Config{Network: f.Host(host), Logger: slog.New(slog.DiscardHandler)}
		}
		said := []string{"one", "two", "ten bytes.", "eleven bytes"}
		var mu sync.Mutex
		copies := map[string]int{}
		f.SetDrop(func(_, _ netip.Addr, b []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range said {
				if bytes.HasSuffix(b, []byte(s)) {
					copies[s]++
					return copies[s] < 3
				}
			}
			return false
		})
		of, err := transport.Listen("udp", group, config("fd00::1"))
		if err != nil {
			t.Fatal(err)
		}
		var heard []string
		e, err := Listen("udp", group, Config(group, config("fd00::1"), Interest), 10, func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, string(b))
		}, func(err error) { t.Errorf("failed: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		if g, iface := e.Where(); g != netip.MustParseAddr("ff15::8000:1") || iface == "" {
			t.Errorf("hears %v by %q", g, iface)
		}
		say := func() {
			var speakers sync.WaitGroup
			for i, s := range said {
				speakers.Go(func() {
					c := Config(group, config("fd00::"+string(rune('2'+i))), Interest)
					if err := Say(t.Context(), "udp", group, c, []byte(s)); err != nil {
						t.Error(err)
					}
				})
			}
			speakers.Wait()
			time.Sleep(time.Second)
		}
		say()
		if slices.Sort(heard); strings.Join(heard, ",") != "one,ten bytes.,two" {
			t.Errorf("heard %q", heard)
		}
		if n := of.Stats().Accepted; n != 0 {
			t.Errorf("a Listener of the group accepted %d", n)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		say()
		if len(heard) != 3 {
			t.Errorf("heard %q, some of it after Close", heard)
		}
		of.Close()
	})
}

var errBroken = errors.New("no such device")

// An Ear whose socket breaks says so, once, and can be closed.
func TestFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := breakable.New(netem.NewFabric(netem.FabricConfig{}).Host("fd00::1"))
		var failed []error
		c := &transport.Config{Network: network, Logger: slog.New(slog.DiscardHandler)}
		e, err := Listen("udp", group, Config(group, c, Interest), 10, func([]byte) {}, func(err error) { failed = append(failed, err) })
		if err != nil {
			t.Fatal(err)
		}
		network.Break(errBroken)
		synctest.Wait()
		if len(failed) != 1 || !errors.Is(failed[0], errBroken) {
			t.Errorf("failed: %v", failed)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}
