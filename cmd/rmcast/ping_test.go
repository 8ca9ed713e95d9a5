package main

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// A ping finds receivers, another ping and a foreign source, with round trip and loss.
func TestPing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		recv := w.start(2, "recv", "demo", w.path("in"))
		w.host(2).SetIngress(netem.Impairment{Delay: 2 * time.Millisecond})
		w.host(2).SetEgress(netem.Impairment{Delay: 3 * time.Millisecond})
		ctx := t.Context()
		to, err := parseTarget("demo", &netOptions{}, families{v4: true})
		if err != nil {
			t.Fatal(err)
		}
		source, err := w.host(4).OpenSource(ctx, "udp", to.group, dgram.Options{})
		if err != nil {
			t.Fatal(err)
		}
		gone := foreign(source)
		time.Sleep(3 * time.Second)
		ping := w.start(1, "ping", "demo", "-json", "-count", "10")
		table := w.start(3, "ping", "demo")
		w.wait(ping, exitOK)
		w.wait(table, exitOK)
		source.Close()
		<-gone
		list := events(t, ping.out.String())
		found := map[any]map[string]any{}
		for _, o := range list {
			if o["event"] == "member" || o["event"] == "source" {
				found[o["addr"]] = o
			}
		}
		if m := found["10.0.0.2"]; m == nil || m["role"] != "recv" || m["rtt"].(float64) < 0.005 || m["rtt"].(float64) > 0.006 || m["loss_to"] != 0.0 {
			t.Errorf("the receiver is %v", m)
		}
		if s := found["10.0.0.4"]; s == nil || s["kind"] != "PGM" || s["rtt"] != 0.001 || s["answers"].(float64) < 8 {
			t.Errorf("the source is %v", s)
		}
		if got := table.out.String(); !strings.Contains(got, "WHO") || !strings.Contains(got, "host2") || !strings.Contains(got, "SOURCE") || !strings.Contains(got, "10.0.0.4") {
			t.Errorf("the table is\n%s", got)
		}
		w.says(table, "host2 (10.0.0.2, recv) answers after")
		recv.cancel(&signalled{})
		<-recv.ended
	})
}

// foreign is a source that sends an SPM now and then, and one for each SPMR, 1 ms after it, as others do.
func foreign(c dgram.Conn) (gone <-chan struct{}) {
	done := make(chan struct{})
	p := wire.Packet{Type: wire.TypeSPM, SourcePort: 1000, DestinationPort: 7500, GSI: wire.NewGSI("foreign"), Trail: 1, Path: netip.MustParseAddr("10.0.0.4")}
	var mu sync.Mutex
	spm := func() error {
		mu.Lock()
		defer mu.Unlock()
		p.Sqn++
		return c.WriteRun(p.Append(nil), 0, netip.AddrPort{}, 0)
	}
	go func() {
		for spm() == nil {
			select {
			case <-done:
				return
			case <-time.After(730 * time.Millisecond):
			}
		}
	}()
	tsi := p.TSI()
	go func() {
		defer close(done)
		d := []dgram.Datagrams{{B: make([]byte, dgram.BufferSize)}}
		var q wire.Packet
		for {
			if _, err := c.ReadBatch(d); err != nil {
				return
			}
			if q.Decode(d[0].B) == nil && q.Type == wire.TypeSPMR && q.TSI() == tsi {
				time.Sleep(time.Millisecond)
				_ = spm()
			}
		}
	}()
	return done
}

// Nobody there: the machine is examined, and the exit code says it.
func TestPingNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ping := w.start(1, "ping", "demo")
		w.wait(ping, exitNobody)
		w.says(ping, "nobody answers in demo", "two of them find each other", "allow UDP to 239.193.147.137")
		if got := ping.out.String(); !strings.Contains(got, "ok   sending to a group and hearing it works on eth0") {
			t.Errorf("it finds\n%s", got)
		}
		alone := w.start(1, "ping")
		w.wait(alone, exitOK)
	})
}

// What each fact means.
func TestDiagnose(t *testing.T) {
	base := func(change func(*facts)) *facts {
		f := &facts{group: netip.MustParseAddrPort("239.192.0.9:7500"), chosen: "eth0", heard: true, system: "linux",
			ifaces: []ifaceFacts{{name: "lo", up: true, loopback: true, mtu: 65536}, {name: "eth0", up: true, multicast: true, mtu: 1500, addrs: []string{"10.0.0.1/24"}}}}
		change(f)
		return f
	}
	second := ifaceFacts{name: "eth1", up: true, multicast: true, mtu: 1500, addrs: []string{"10.1.0.1/24"}}
	for _, c := range []struct {
		name   string
		f      *facts
		level  level
		what   string
		others int // findings beside it
	}{
		{"well", base(func(*facts) {}), good, "works on eth0", 0},
		{"no interface", base(func(f *facts) {
			f.openErr = errors.New("dgram: no network interface is up")
			f.chosen = ""
			f.ifaces[0].up, f.ifaces[1].up = false, false
		}), broken,
			"no network interface is up. Bring the network up, as root: ip link set dev eth0 up. For this machine alone: ip link set dev lo up", 0},
		{"filter out", base(func(f *facts) { f.refused.Denied = 3 }), broken, "refuses what is sent to the group. Allow UDP to 239.192.0.9", 0},
		{"no route", base(func(f *facts) { f.refused.Unreachable = 3 }), broken, "no route to the group on eth0", 0},
		{"filter in", base(func(f *facts) { f.heard = false }), broken, "does not come back to it on eth0", 0},
		{"flag", base(func(f *facts) { f.ifaces[1].multicast = false }), broken, "no MULTICAST flag. ip link set dev eth0 multicast on", 1},
		{"loopback", base(func(f *facts) { f.chosen = "lo" }), hint, "only this machine hears it", 2},
		{"down", base(func(f *facts) { f.openErr = errors.New("dgram: interface eth0 is down"); f.ifaces[1].up = false }), broken, "interface eth0 is down. Bring the network up, as root: ip link set dev eth0 up", 0},
		{"no link", base(func(f *facts) { f.ifaces[1].noLink = true }), broken, "eth0 has no link", 1},
		{"loopback, as all is down", base(func(f *facts) { f.chosen = "lo"; f.ifaces[1].up = false }), hint, "It is used because eth0 is down. Bring the network up, as root: ip link set dev eth0 up", 1},
		{"loopback, as the family is another", base(func(f *facts) { f.chosen = "lo"; f.ifaces[1].addrs = []string{"fe80::1/64"} }), hint, "eth0 has no IPv4 address. Bring the network up, as root: give eth0 an address, or take -6", 1},
		{"loopback, named", base(func(f *facts) { f.chosen = "lo"; f.named = true }), hint, "only this machine hears it. Leave -interface away", 1},
		{"tunnel", base(func(f *facts) { f.chosen = "tun0"; f.ifaces[1].name = "tun0" }), hint, "looks like a tunnel", 1},
		{"several", base(func(f *facts) { f.ifaces = append(f.ifaces, second) }), hint, "other interfaces that could be meant: eth1", 1},
		{"several, named", base(func(f *facts) { f.ifaces = append(f.ifaces, second); f.named = true }), good, "works", 0},
		{"reverse path", base(func(f *facts) { f.ifaces = append(f.ifaces, second); f.reverse = true }), hint, "rp_filter=2", 2},
		{"reverse path, one interface", base(func(f *facts) { f.reverse = true }), good, "works", 0},
		{"Wi-Fi", base(func(f *facts) { f.ifaces[1].wireless = true }), hint, "is Wi-Fi", 1},
		{"small MTU", base(func(f *facts) { f.ifaces[1].mtu = 576 }), hint, "is 576", 1},
		{"large MTU", base(func(f *facts) { f.ifaces[1].mtu = 9000 }), hint, "is 9000", 1},
		{"bridge", base(func(f *facts) { f.noQuerier = []string{"br0"} }), hint, "mcast_querier 1", 1},
		{"buffers", base(func(f *facts) { f.rmemMax = 212992 }), hint, "net.core.rmem_max=8388608", 1},
	} {
		list := c.f.diagnose()
		match := 0
		for _, x := range list {
			if x.level == c.level && strings.Contains(x.what+". "+x.do, c.what) {
				match++
			}
		}
		if match != 1 || len(list) != 1+c.others {
			t.Errorf("%s: %v; want one with %q and %d others", c.name, list, c.what, c.others)
		}
	}
}
