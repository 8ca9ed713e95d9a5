package roster

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

var group = netip.MustParseAddrPort("239.192.0.9:7500")

func join(t *testing.T, f *netem.Fabric, host int, change func(*Config)) *Roster {
	t.Helper()
	c := Config{
		Network: "udp", Group: group, Host: fmt.Sprintf("host%d", host), Role: "recv", Pong: true,
		Transport: transport.Config{Network: f.Host(fmt.Sprintf("10.0.0.%d", host)), Logger: slog.New(slog.DiscardHandler)},
	}
	if change != nil {
		change(&c)
	}
	r, err := Join(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hosts(r *Roster) (list []string) {
	for _, m := range r.Members() {
		list = append(list, fmt.Sprintf("%s %s %s gone=%v", m.Host, m.Role, m.State, m.Gone))
	}
	return list
}

// Who comes knows all within two seconds, and is known; who is silent is not; who leaves is seen to leave, with its last word.
func TestComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		a := join(t, f, 1, func(c *Config) { c.Role = "send" })
		time.Sleep(time.Minute)
		b := join(t, f, 2, nil)
		silent := join(t, f, 3, func(c *Config) { c.Silent = true })
		time.Sleep(3 * time.Second)
		if got := fmt.Sprint(hosts(a)); got != "[host2 recv wait gone=false]" {
			t.Errorf("the first knows %s", got)
		}
		if got := fmt.Sprint(hosts(b)); got != "[host1 send wait gone=false]" {
			t.Errorf("the second knows %s", got)
		}
		if got := fmt.Sprint(hosts(silent)); got != "[host1 send wait gone=false host2 recv wait gone=false]" {
			t.Errorf("the silent one knows %s", got)
		}
		if n := f.Host("10.0.0.3").Counters().SentPackets; n != 0 {
			t.Errorf("the silent one sent %d packets", n)
		}
		b.Say(func(n *Note) { n.State = Done })
		b.Leave()
		time.Sleep(time.Second)
		if got := fmt.Sprint(hosts(a)); got != "[host2 recv done gone=true]" {
			t.Errorf("after it left: %s", got)
		}
		a.Leave()
		silent.Leave()
	})
}

// Whose machine is switched off is gone after Expiry.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		a, b := join(t, f, 1, nil), join(t, f, 2, nil)
		time.Sleep(3 * time.Second)
		f.Host("10.0.0.2").SetEgress(netem.Impairment{Loss: 1})
		time.Sleep(Expiry + 3*Interval)
		if got := fmt.Sprint(hosts(a)); got != "[host2 recv wait gone=true]" {
			t.Errorf("%s", got)
		}
		b.Leave()
		a.Leave()
	})
}

// Pings measure the round trip without the time that answers wait, and the loss of either way.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 7})
		a, b := join(t, f, 1, func(c *Config) { c.Role = "ping" }), join(t, f, 2, nil)
		f.Host("10.0.0.2").SetIngress(netem.Impairment{Loss: 0.2, Delay: 10 * time.Millisecond})
		f.Host("10.0.0.2").SetEgress(netem.Impairment{Delay: 5 * time.Millisecond})
		time.Sleep(5 * time.Second)
		const pings = 400
		for n := range pings {
			a.Ping(int64(n + 1))
			time.Sleep(100 * time.Millisecond)
		}
		m := a.Members()[0]
		if !m.Pinged || m.Least < 15*time.Millisecond || m.Least > 15100*time.Microsecond || m.RTT < m.Least || m.RTT > 17*time.Millisecond {
			t.Errorf("round trip %v, least %v, want 15 ms", m.RTT, m.Least)
		}
		if math.Abs(m.Lost-0.2) > 4*math.Sqrt(0.2*0.8/pings) || m.Missed != 0 {
			t.Errorf("%v of the pings lost, %v of the notes, want 0.2 and none", m.Lost, m.Missed)
		}
		a.Leave()
		b.Leave()
	})
}

func TestNote(t *testing.T) {
	long := strings.Repeat("\x00<ü>", 100)
	n := Note{ID: strings.Repeat("f", idLength), Seq: math.MaxInt64, Host: long, What: long, Why: long, Role: "0123456789abcdef", State: "0123456789abcdef",
		Objects: math.MaxInt, Bytes: math.MaxInt64, Have: 1.0 / 3, Loss: 1e-300 / 3, Ping: &Ping{math.MaxInt64, math.MaxInt64}}
	for range 100 {
		n.Pongs = append(n.Pongs, Pong{strings.Repeat("f", idLength), math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64})
	}
	b := n.append() // panics if it does not fit
	if got, err := parse(b); err != nil || got.Seq != n.Seq || len(got.Pongs) != maxPongs {
		t.Errorf("%d bytes: %+v, %v", len(b), got, err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"id":"0123456789abcdef","h":2}`, `{"id":"0123456789abcdef","seq":-1}`, `{"id":"x"}`, string(make([]byte, MaxNote+1))} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q is a note", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add((&Note{ID: "0123456789abcdef", Host: "h", Ping: &Ping{1, 2}}).append())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parse(b)
		if err == nil {
			n.append() // panics if it does not fit
		}
	})
}
