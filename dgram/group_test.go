package dgram

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

func TestParseGroup(t *testing.T) {
	for _, tt := range []struct{ network, group, want string }{
		{"udp", "[ff15::8000:1%eth0]:7500", "[ff15::8000:1%eth0]:7500"},
		{"udp", "239.192.0.9:7500", "239.192.0.9:7500"},
		{"udp6", "[ff02::1234%2]:1", "[ff02::1234%2]:1"},
		{"udp4", "[::ffff:239.1.2.3]:65535", "239.1.2.3:65535"},
		{"ip:pgm", "239.192.0.9", "239.192.0.9:0"},
		{"ip4:113", "239.192.0.9:0", "239.192.0.9:0"},
		{"ip:pgm", "ff15::8000:1%eth0", "[ff15::8000:1%eth0]:0"},
		{"ip6:pgm", "[ff15::8000:1]", "[ff15::8000:1]:0"},
		{"ip6:pgm", "[ff15::8000:1]:7500", "[ff15::8000:1]:7500"},
		{"udp", "[ff32::1]:7500", "[ff32::1]:7500"}, // a source may send to it
	} {
		got, err := ParseGroup(tt.network, tt.group)
		if err != nil || got != netip.MustParseAddrPort(tt.want) {
			t.Errorf("%s %s: %v, %v, want %s", tt.network, tt.group, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ network, group, want string }{
		{"tcp", "239.192.0.9:7500", "use udp, udp4, udp6, ip:pgm"},
		{"ip", "239.192.0.9:7500", "unknown network"},
		{"ip:udp", "239.192.0.9:7500", "unknown network"},
		{"udp:pgm", "239.192.0.9:7500", "unknown network"},
		{"", "239.192.0.9:7500", "unknown network"},
		{"udp", "feed.example.com:7500", "host names are not looked up"},
		{"ip:pgm", "feed.example.com", "host names are not looked up"},
		{"udp", "feed.example.com", "write it like [ff15::8000:1%eth0]:7500"},
		{"udp", "", "write it like"},
		{"udp", ":7500", "not an IP address"},
		{"udp", "239.192.0.999:7500", "not an IP address"},
		{"udp", "239.192.0.9", "no port: write 239.192.0.9:7500"},
		{"udp", "ff15::8000:1", "no port: write [ff15::8000:1]:7500"},
		{"udp", "[ff15::8000:1]", "no port: write [ff15::8000:1]:7500"},
		{"ip:pgm", "[ff15::8000:1%eth0]:75:0", "write it like"}, // found by FuzzParseGroup: a zone "eth0]:75:0"
		{"ip:pgm", "ff15::8000:1%eth0]", "write it like"},
		{"udp", "239.192.0.9:0", `bad port "0"`},
		{"udp", "239.192.0.9:65536", `bad port "65536"`},
		{"udp", "239.192.0.9:http", `bad port "http"`},
		{"udp", "239.192.0.9:-1", `bad port "-1"`},
		{"udp", "239.192.0.9%eth0:7500", `no zone; name the interface "eth0"`},
		{"udp4", "[ff15::8000:1]:7500", "IPv4 only"},
		{"ip6:pgm", "239.192.0.9", "IPv6 only"},
		{"udp", "192.0.2.1:7500", "not a multicast group"},
		{"udp", "[fd00::1]:7500", "not a multicast group"},
		{"udp", "[ff10::1]:7500", "reserved scope 0"},
	} {
		if got, err := ParseGroup(tt.network, tt.group); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, %v, want an error with %q", tt.network, tt.group, got, err, tt.want)
		}
	}
}

// What cannot work says what to do instead.
func TestOpenErrors(t *testing.T) {
	p := loopback4(t)
	for _, tt := range []struct {
		name, network, group string
		o                    Options
		receiver             bool // only receivers refuse
		want                 []string
	}{
		{"interface name", "udp", "239.192.0.9:7500", Options{Interface: "nosuch0"}, false, []string{`no interface "nosuch0"`, "there are", p.iface}},
		{"interface index", "udp", "239.192.0.9:7500", Options{Interface: "54321"}, false, []string{"index 54321", p.iface}},
		{"interface address", "udp", "239.192.0.9:7500", Options{Interface: "203.0.113.77"}, false, []string{"no interface has the address 203.0.113.77", p.iface}},
		{"zone", "udp", "[ff15::1%nosuch0]:7500", Options{}, false, []string{`no interface "nosuch0"`}},
		{"link-local scope", "udp", "[ff02::1234]:7500", Options{}, false, []string{"link-local scope", "%eth0]", "Interface"}},
		{"not a group", "udp", "192.0.2.1:7500", Options{}, false, []string{"not a multicast group", "239.192.0.9"}},
		{"port", "udp", "239.192.0.9:0", Options{}, false, []string{"bad port 0"}},
		{"family", "udp6", "239.192.0.9:7500", Options{}, false, []string{"udp6", "IPv6 only"}},
		{"network", "udp5", "239.192.0.9:7500", Options{}, false, []string{"udp5", "use udp"}},
		{"hop limit", "udp", "239.192.0.9:7500", Options{HopLimit: 256}, false, []string{"HopLimit 256"}},
		{"buffer", "udp", "239.192.0.9:7500", Options{SendBuffer: -1}, false, []string{"SendBuffer -1"}},
		{"source family", "udp", "239.192.0.9:7500", Options{Sources: []netip.Addr{netip.MustParseAddr("::1")}}, false, []string{"Sources has ::1"}},
		{"SSM, IPv4", "udp", "232.1.1.1:7500", Options{}, true, []string{"source-specific", "Sources", "239."}},
		{"SSM, IPv6", "udp", "[ff35::1]:7500", Options{Interface: p.iface}, true, []string{"source-specific", "Sources", "ff15::"}},
	} {
		group := netip.MustParseAddrPort(tt.group)
		check := func(c Conn, err error) {
			t.Helper()
			if err == nil {
				c.Close()
				t.Errorf("%s: no error", tt.name)
				return
			}
			for _, w := range append(tt.want, "dgram: ") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %q does not say %q", tt.name, err, w)
				}
			}
		}
		check(Kernel.OpenReceiver(context.Background(), tt.network, group, tt.o))
		if !tt.receiver {
			check(Kernel.OpenSource(context.Background(), tt.network, group, tt.o))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Kernel.OpenSource(ctx, "udp", p.group, p.options()); err != context.Canceled {
		t.Errorf("a context that has ended: %v", err)
	}
	if _, err := Kernel.OpenReceiver(context.Background(), "udp", netip.AddrPort{}, Options{}); err == nil {
		t.Error("no group: no error")
	}
}

func TestSSMRanges(t *testing.T) {
	for a, want := range map[string]bool{
		"232.0.0.1": true, "231.255.255.255": false, "233.0.0.0": false, "ff30::1": true, "ff3f::1": true, "ff35:0:1::1": true,
		"ff35:1::1": false, "ff25::1": false, "ff45::1": false, "ff15::1": false,
	} {
		if got := isSSM(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
}
