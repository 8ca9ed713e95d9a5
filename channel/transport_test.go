package channel_test

import (
	"net/netip"
	"testing"

	"github.com/rmcast/rmcast/channel"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Package transport takes the text of every kind of group at both ends, and takes source-specific ones for what they are: it
// listens to none without the sources' names.
func TestTransportTakes(t *testing.T) {
	scopes := []channel.Scope{
		channel.Interface, channel.Link, channel.Realm, channel.Admin, channel.Site, channel.Organization, channel.Global,
	}
	type hosts struct{ source, receiver string }
	taken := 0
	for _, ipv4 := range []bool{false, true} {
		for _, specific := range []bool{false, true} {
			for _, scope := range scopes {
				group, err := channel.Channel{Name: "a", Scope: scope, IPv4: ipv4, SourceSpecific: specific}.Group()
				if err != nil {
					continue // TestRefused
				}
				taken++
				h := hosts{"fd00::1", "fd00::2"}
				if ipv4 {
					h = hosts{"10.0.0.1", "10.0.0.2"}
				}
				network := netem.NewFabric(netem.FabricConfig{Seed: 1})
				cfg := transport.Config{Network: network.Host(h.receiver)}
				listener, err := transport.Listen("udp", group.String(), &cfg)
				if (err == nil) == specific {
					t.Errorf("%v, scope %v, source-specific %v: Listen without Sources: %v", group, scope, specific, err)
				}
				if specific {
					cfg.Sources = []netip.Addr{netip.MustParseAddr(h.source)}
					listener, err = transport.Listen("udp", group.String(), &cfg)
				}
				if err != nil {
					t.Errorf("%v, scope %v: %v", group, scope, err)
					continue
				}
				source, err := transport.Dial("udp", group.String(), &transport.Config{Network: network.Host(h.source), Linger: -1})
				if err != nil {
					t.Errorf("%v, scope %v: %v", group, scope, err)
				} else {
					source.Close()
				}
				listener.Close()
			}
		}
	}
	if want := 7 + 7 + 4 + 1; taken != want {
		t.Errorf("%d kinds of groups, want %d", taken, want)
	}
}
