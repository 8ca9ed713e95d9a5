package demand

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const group = "[ff15::8000:1]:7500"

func address6(i byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfd, 15: i}) }

func config(f *netem.Fabric, i byte) *Config {
	return &Config{Transport: &transport.Config{Network: f.Host(address6(i).String()), Logger: slog.New(slog.DiscardHandler)}}
}

// settled lets what is going on end, short of time.
func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// A source hears the first receiver within a round trip and 200 ms, and that the last has left; in between that one is left of two; and who dies
// without a word is forgotten.
func TestWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 100 * time.Millisecond
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		for i := byte(2); i < 5; i++ {
			f.Host(address6(i).String()).SetIngress(netem.Impairment{Delay: rtt / 2})
			f.Host(address6(i).String()).SetEgress(netem.Impairment{Delay: rtt / 2})
		}
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		var receivers sync.WaitGroup
		receive := func(i byte) (leave func()) {
			ctx, cancel := context.WithCancel(context.Background())
			receivers.Go(func() {
				if err := Want(ctx, "udp", group, config(f, i)); !errors.Is(err, context.Canceled) {
					t.Errorf("Want: %v", err)
				}
			})
			return cancel
		}
		pass(time.Minute)
		if w.Wanted() {
			t.Fatal("wanted by nobody")
		}
		start := time.Now()
		first := receive(2)
		if err := w.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > rtt+200*time.Millisecond {
			t.Errorf("heard %v after it began", took)
		}
		second := receive(3)
		pass(time.Minute)
		first()
		for range 60 {
			pass(time.Second)
			if !w.Wanted() {
				t.Fatal("not wanted though one is left")
			}
		}
		gone, changed := time.Now(), w.Changed()
		second()
		<-changed
		if took := time.Since(gone); w.Wanted() || took > 3*time.Second {
			t.Errorf("wanted %v for %v after the last has left", w.Wanted(), took)
		}
		third := receive(4)
		pass(time.Second)
		if !w.Wanted() {
			t.Error("not wanted again")
		}
		f.Host(address6(4).String()).SetEgress(netem.Impairment{Loss: 1})
		pass(15 * time.Second)
		if st := w.Stats(); w.Wanted() || st.Starts != 2 || st.Left == 0 || st.Invalid > 0 {
			t.Errorf("of one that fell silent: wanted %v, %+v", w.Wanted(), st)
		}
		third()
		receivers.Wait()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := w.Wait(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Wait of a closed one: %v", err)
		}
		w.Close()
	})
}

// Of many receivers few speak.
func TestManyWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 40
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var receivers sync.WaitGroup
		for i := range many {
			receivers.Go(func() { _ = Want(ctx, "udp", group, config(f, byte(2+i))) })
		}
		pass(10 * time.Second)
		before := w.Stats().Heard
		const long = 60 * time.Second
		pass(long)
		if n := w.Stats().Heard - before; n < 10 || n > 120 {
			t.Errorf("%d receivers said %d times in %v that they want it", many, n, long)
		}
		cancel()
		receivers.Wait()
		pass(3 * time.Second)
		if w.Wanted() {
			t.Error("wanted after all have left")
		}
		w.Close()
	})
}

func TestMessage(t *testing.T) {
	for _, k := range []kind{want, leave} {
		b := appendMessage(nil, k, 77)
		if got, who, err := parseMessage(b); got != k || who != 77 || err != nil {
			t.Errorf("%v: %v %v %v", k, got, who, err)
		}
		for i := range b {
			if i > 3 { // who
				break
			}
			bad := append([]byte(nil), b...)
			bad[i] ^= 0x80
			if _, _, err := parseMessage(bad); err == nil {
				t.Errorf("%x passes", bad)
			}
		}
		for n := range b {
			if _, _, err := parseMessage(b[:n]); err == nil {
				t.Errorf("%d bytes pass", n)
			}
		}
	}
}

// mld2 is a report of records, each a type, a group and how many sources.
func mld2(records ...any) []byte {
	b := []byte{mld2Report, 0, 0, 0, 0, 0, 0, byte(len(records) / 3)}
	for i := 0; i < len(records); i += 3 {
		b = append(b, byte(records[i].(int)), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(records[i+2].(int)))
		b = append(b, records[i+1].(netip.Addr).AsSlice()...)
		b = append(b, make([]byte, 16*records[i+2].(int))...)
	}
	return b
}

func TestMembership(t *testing.T) {
	g6, other6, g4 := netip.MustParseAddr("ff15::8000:1"), netip.MustParseAddr("ff15::8000:2"), netip.MustParseAddr("239.1.2.3")
	igmp := func(kind byte, g netip.Addr) []byte { return append([]byte{kind, 0, 0, 0}, g.AsSlice()...) }
	igmp3 := func(kind byte, g netip.Addr, sources byte) []byte {
		b := append([]byte{igmp3Report, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, sources}, g.AsSlice()...)
		return append(b, make([]byte, 4*int(sources))...)
	}
	mld1 := func(kind byte, g netip.Addr) []byte { return append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, g.AsSlice()...) }
	for name, c := range map[string]struct {
		b          []byte
		speaks, on bool
	}{
		"joined":             {mld2(toExclude, g6, 0), true, true},
		"is on it":           {mld2(isExclude, g6, 0), true, true},
		"left":               {mld2(toInclude, g6, 0), true, false},
		"a source":           {mld2(allowNew, g6, 1), true, true},
		"sources":            {mld2(isInclude, g6, 3), true, true},
		"a source less":      {mld2(6, g6, 1), false, false},
		"another group":      {mld2(toExclude, other6, 0), false, false},
		"second record":      {mld2(toExclude, other6, 2, toInclude, g6, 0), true, false},
		"cut off":            {mld2(toExclude, g6, 0)[:20], false, false},
		"claims more":        {append([]byte{mld2Report, 0, 0, 0, 0, 0, 255, 255}, mld2(toExclude, g6, 0)[8:]...), true, true},
		"sources cut off":    {mld2(isInclude, g6, 9)[:60], false, false},
		"version 1":          {mld1(mld1Report, g6), true, true},
		"version 1, done":    {mld1(mld1Done, g6), true, false},
		"version 1, cut off": {mld1(mld1Report, g6)[:20], false, false},
		"a query":            {mld1(130, g6), false, false},
		"nothing":            {nil, false, false},
	} {
		if speaks, on := membership(c.b, g6); speaks != c.speaks || on != c.on {
			t.Errorf("MLD, %s: %v %v", name, speaks, on)
		}
	}
	for name, c := range map[string]struct {
		b          []byte
		speaks, on bool
	}{
		"joined":        {igmp3(toExclude, g4, 0), true, true},
		"left":          {igmp3(toInclude, g4, 0), true, false},
		"a source":      {igmp3(allowNew, g4, 1), true, true},
		"version 1":     {igmp(igmp1Report, g4), true, true},
		"version 2":     {igmp(igmp2Report, g4), true, true},
		"version 2 end": {igmp(igmp2Leave, g4), true, false},
		"a query":       {igmp(0x11, g4), false, false},
		"cut off":       {igmp3(toExclude, g4, 0)[:14], false, false},
	} {
		if speaks, on := membership(c.b, g4); speaks != c.speaks || on != c.on {
			t.Errorf("IGMP, %s: %v %v", name, speaks, on)
		}
	}
}

func TestRefused(t *testing.T) {
	f := netem.NewFabric(netem.FabricConfig{})
	for _, interval := range []time.Duration{-1, time.Millisecond, 2 * time.Hour} {
		c := config(f, 1)
		c.Interval = interval
		if w, err := Watch("udp", group, c); err == nil {
			w.Close()
			t.Errorf("an interval of %v passes", interval)
		}
	}
	c := config(f, 1)
	c.Transport.ReceiveOnly = true
	if err := Want(t.Context(), "udp", group, c); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("who must not send wants: %v", err)
	}
	if err := Want(t.Context(), "udp", "nonsense", config(f, 1)); err == nil {
		t.Error("a group that is none passes")
	}
}

func FuzzMembership(f *testing.F) {
	g := netip.MustParseAddr("ff15::8000:1")
	f.Add(mld2(toExclude, g, 0, allowNew, g, 2), true)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		group := g
		if !v6 {
			group = netip.MustParseAddr("239.1.2.3")
		}
		membership(b, group) // must not panic
	})
}
