package transport

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

func TestValidateRefuses(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		cfg  Config
		want []string // words of the error
	}{
		"hops":             {Config{HopLimit: 256}, []string{"HopLimit", "255"}},
		"negative hops":    {Config{HopLimit: -1}, []string{"HopLimit"}},
		"small MTU":        {Config{MTU: 500}, []string{"MTU", "576"}},
		"large MTU":        {Config{MTU: 1 << 16}, []string{"MTU"}},
		"negative rate":    {Config{Rate: -1}, []string{"Rate", "negative"}},
		"rate in Mbit":     {Config{Rate: 100}, []string{"Rate", "flow.Mbps"}},
		"no share":         {Config{RepairShare: -0.1}, []string{"RepairShare"}},
		"large share":      {Config{RepairShare: 1.01}, []string{"RepairShare"}},
		"NaN share":        {Config{RepairShare: math.NaN()}, []string{"RepairShare"}},
		"small window":     {Config{WindowBytes: 1000}, []string{"WindowBytes"}},
		"tiny window":      {Config{MaxWindow: 1}, []string{"MaxWindow"}},
		"negative message": {Config{MaxMessage: -1}, []string{"MaxMessage"}},
		"negative sources": {Config{MaxSources: -1}, []string{"MaxSources"}},
		"negative age":     {Config{WindowAge: -ms}, []string{"WindowAge", "negative"}},
		"negative delay":   {Config{MaxDelay: -ms}, []string{"MaxDelay", "negative"}},
		"nanoseconds":      {Config{Linger: 50}, []string{"Linger", "50ns", "time.Millisecond"}},
		"years":            {Config{WindowAge: 1 << 60}, []string{"WindowAge", "day"}},
		"hold over age":    {Config{WindowHold: 2 * time.Second, WindowAge: time.Second}, []string{"WindowHold", "WindowAge"}},
		"heartbeat":        {Config{HeartbeatMin: 20 * ms, HeartbeatMax: 10 * ms}, []string{"HeartbeatMin", "HeartbeatMax"}},
		"delay":            {Config{MaxDelay: 20 * ms, RepairTimeout: 10 * ms}, []string{"MaxDelay", "RepairTimeout"}},
		"backoff":          {Config{NAKBackoff: 20 * ms, MaxDelay: 10 * ms}, []string{"NAKBackoff", "MaxDelay"}},
		"backoff, timeout": {Config{NAKBackoff: 20 * ms, RepairTimeout: 10 * ms}, []string{"NAKBackoff", "RepairTimeout"}},
		"ambient":          {Config{AmbientSPM: 2 * time.Second, Expiry: time.Second}, []string{"AmbientSPM", "Expiry"}},
		"ambient, default": {Config{AmbientSPM: time.Minute}, []string{"AmbientSPM", "Expiry", "30s"}},
		"message, slots":   {Config{MaxWindow: 16}, []string{"MaxMessage", "MaxWindow"}},
		"message, bytes":   {Config{MaxMessage: 50000, WindowBytes: 80000}, []string{"MaxMessage", "WindowBytes"}},
		"message, MTU":     {Config{MTU: 576, MaxWindow: 32}, []string{"MaxMessage", "MaxWindow"}},
		"group as source":  {Config{Sources: []netip.Addr{netip.MustParseAddr("ff02::1")}}, []string{"Sources", "ff02::1"}},
		"no source":        {Config{Sources: []netip.Addr{{}}}, []string{"Sources"}},
		"mute backoff":     {Config{ReceiveOnly: true, NAKBackoff: ms}, []string{"ReceiveOnly", "NAKBackoff"}},
		"mute repeat":      {Config{ReceiveOnly: true, NAKRepeat: ms}, []string{"ReceiveOnly", "NAKRepeat"}},
		"mute data":        {Config{ReceiveOnly: true, NAKData: ms}, []string{"ReceiveOnly", "NAKData"}},
		"mute uniform":     {Config{ReceiveOnly: true, UniformBackoff: true}, []string{"ReceiveOnly", "UniformBackoff"}},
		"mute confirm":     {Config{ReceiveOnly: true, ReceiverID: 1}, []string{"ReceiveOnly", "ReceiverID"}},
		"mute trail":       {Config{ReceiveOnly: true, Join: JoinTrail}, []string{"ReceiveOnly", "JoinTrail"}},
		"unknown join":     {Config{Join: JoinTrail + 1}, []string{"Join"}},
		"loss, fixed":      {Config{Fixed: true, LossIsCongestion: true}, []string{"LossIsCongestion", "Fixed"}},
		"slow, fixed":      {Config{Fixed: true, SlowReceivers: flow.Slow{Mode: flow.Ignore}}, []string{"SlowReceivers", "Fixed"}},
		"slow, named":      {Config{SlowReceivers: flow.Slow{Mode: flow.FollowNamed}}, []string{"SlowReceivers", "Named"}},
		"slow, floor":      {Config{Rate: flow.Mbps, SlowReceivers: flow.Slow{Floor: 2 * flow.Mbps}}, []string{"Floor", "Rate"}},
		"FEC":              {Config{FEC: fec.Config{GroupSize: 48}}, []string{"GroupSize"}},
	} {
		err := c.cfg.Validate()
		for _, word := range c.want {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: error %v, want one with %q", name, err, word)
			}
		}
		if _, err := Dial("udp", group6, &c.cfg); err == nil {
			t.Errorf("%s: Dial takes it", name)
		}
		if _, err := Listen("udp", group6, &c.cfg); err == nil {
			t.Errorf("%s: Listen takes it", name)
		}
	}
}

func TestValidateAccepts(t *testing.T) {
	var none *Config
	if err := none.Validate(); err != nil {
		t.Errorf("nil: %v", err)
	}
	for name, c := range map[string]Config{
		"zero":    {},
		"off":     {RepairTimeout: -1, Expiry: -1, Linger: -1},
		"fastest": {Rate: flow.Unlimited, RepairShare: 1},
		"widest":  {HopLimit: 255, MTU: 65535, WindowBytes: 1 << 30, MaxWindow: 1 << 20},
		"mute":    {ReceiveOnly: true, MaxDelay: time.Second, Join: JoinNow},
		"adapts":  {Rate: flow.Gbps, LossIsCongestion: true, SlowReceivers: flow.Slow{Mode: flow.Evict, Floor: flow.Mbps}},
		"beacon":  {AmbientSPM: time.Minute, Expiry: 5 * time.Minute},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the comments of Config promise for zero.
func TestDefaults(t *testing.T) {
	d := (*Config)(nil).withDefaults()
	want := Config{
		HopLimit: 1, Rate: flow.Unlimited, RepairShare: 0.75,
		WindowBytes: 64 << 20, WindowAge: 2 * time.Second, MaxWindow: 65536, MaxMessage: 22528, MaxSources: 256,
		RepairTimeout: 10 * time.Second, HeartbeatMin: 10 * time.Millisecond, HeartbeatMax: time.Second, AmbientSPM: time.Second,
		Linger: 2 * time.Second, Logger: d.Logger, Network: d.Network,
	}
	if !reflect.DeepEqual(d, want) || d.Logger == nil || d.Network == nil {
		t.Errorf("defaults are %+v, want %+v", d, want)
	}
	for _, c := range []struct{ set, want Config }{
		{Config{HeartbeatMax: time.Millisecond}, Config{HeartbeatMin: time.Millisecond, HeartbeatMax: time.Millisecond}},
		{Config{HeartbeatMin: time.Minute}, Config{HeartbeatMin: time.Minute, HeartbeatMax: time.Minute}},
	} {
		d := c.set.withDefaults()
		if d.HeartbeatMin != c.want.HeartbeatMin || d.HeartbeatMax != c.want.HeartbeatMax {
			t.Errorf("%v to %v becomes %v to %v", c.set.HeartbeatMin, c.set.HeartbeatMax, d.HeartbeatMin, d.HeartbeatMax)
		}
	}
	if d := (&Config{Fixed: true}).withDefaults(); d.Rate != 100*flow.Mbps {
		t.Errorf("a fixed source has a Rate of %v", d.Rate)
	}
	if d := (&Config{MaxDelay: time.Minute}).withDefaults(); d.RepairTimeout != time.Minute {
		t.Errorf("with a MaxDelay of 1m the RepairTimeout is %v", d.RepairTimeout)
	}
	if d := (&Config{WindowHold: time.Minute}).withDefaults(); d.WindowAge != time.Minute {
		t.Errorf("with a WindowHold of 1m the WindowAge is %v", d.WindowAge)
	}
	if d := (&Config{Linger: -1, Expiry: -1, RepairTimeout: -1}).withDefaults(); d.Linger != 0 || d.Expiry != never || d.RepairTimeout != never {
		t.Errorf("off becomes Linger %v, Expiry %v, RepairTimeout %v", d.Linger, d.Expiry, d.RepairTimeout)
	}
}

// Nothing else than a Network and a quiet Logger.
func TestDefaultConfig(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		if st := s.Stats(); st.Window != 32768 || st.Rate != startRate || st.Socket.MTU != 1500 || st.Socket.SendBuffer != dgram.DefaultSendBuffer {
			t.Errorf("a source's window is %d, rate %v, MTU %d, send buffer %d", st.Window, st.Rate, st.Socket.MTU, st.Socket.SendBuffer)
		}
		if st := r.Stats(); st.Window != 32768 || st.Foreign || st.Socket.RecvBuffer != 8<<20 {
			t.Errorf("a receiver's window is %d, receive buffer %d; foreign source: %v", st.Window, st.Socket.RecvBuffer, st.Foreign)
		}
		w.closing(s, r, l)
	})
}

func TestOpenRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		small := netem.NewFabric(netem.FabricConfig{MTU: 1000}).Host("fd00::1", "10.0.0.1")
		four := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		for name, c := range map[string]struct {
			network, group string
			cfg            Config
			listen         bool
			want           []string
		}{
			"network":          {"tcp", group6, Config{}, false, []string{"tcp", "udp6"}},
			"no group":         {"udp", "10.0.0.1:7500", Config{}, false, []string{"10.0.0.1", "multicast"}},
			"no port":          {"udp", "239.192.0.9", Config{}, true, []string{"port", "7500"}},
			"family":           {"udp4", group6, Config{}, true, []string{"udp4", "IPv4"}},
			"interface":        {"udp", group6, Config{Interface: "eth7"}, true, []string{"eth7"}},
			"zone":             {"udp", "[ff15::8000:1%eth7]:7500", Config{}, false, []string{"eth7"}},
			"SSM":              {"udp", "[ff35::8000:1]:7500", Config{}, true, []string{"Sources"}},
			"family of source": {"udp", group6, Config{Sources: four}, true, []string{"Sources", "10.0.0.1", "ff15::8000:1"}},
			"MTU":              {"udp", group6, Config{MTU: 9000}, false, []string{"MTU", "9000", "eth0", "1500"}},
			"interface's MTU":  {"udp", group6, Config{Network: small}, false, []string{"eth0", "1000", "1280"}},
			"window for MTU":   {"udp", group4, Config{Network: small, MTU: 576, MaxWindow: 64, MaxMessage: 29200}, false, []string{"MaxMessage", "MaxWindow"}},
		} {
			var err error
			op := "dial"
			if c.listen {
				op = "listen"
				_, err = Listen(c.network, c.group, w.on(1, c.cfg))
			} else {
				_, err = Dial(c.network, c.group, w.on(1, c.cfg))
			}
			var o *net.OpError
			if !errors.As(err, &o) || o.Op != op || o.Net != c.network && o.Net != "" {
				t.Errorf("%s: %v is not an *net.OpError of %s", name, err, op)
			}
			for _, word := range c.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("%s: error %v, want one with %q", name, err, word)
				}
			}
		}
	})
}

func TestLog(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var out bytes.Buffer // the loops log too; the bubble is quiet when it is read
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.host(1).Take(7500)
		s, l, r := w.pair(Config{Logger: logger, Fixed: true}, Config{})
		linkLocal, err := Dial("udp", group6, w.on(1, Config{Network: w.fabric.Host("fe80::1"), Logger: logger, Rate: flow.Mbps, Fixed: true}))
		if err != nil {
			t.Fatal(err)
		}
		loud, err := Listen("udp", group6, w.on(3, Config{Logger: logger, Expiry: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		logReceiver(logger, &dgram.Info{Interface: "eth3", RecvBuffer: 212992})
		w.message(s, "more")
		w.wantMessage(r, "more")
		gone, goneToo := w.accept(loud), w.accept(loud)
		w.host(3).SetIngress(netem.Impairment{Loss: 1})
		time.Sleep(3 * time.Second)
		w.closing(s, linkLocal, gone, goneToo, loud, r, l)
		for _, want := range []string{
			"level=INFO msg=\"rmcast: Config.Fixed is set and Config.Rate is not", "rate=\"100 Mbit/s\"",
			"level=WARN msg=\"rmcast: another process has the group's port", "\"own port\"=",
			"level=WARN msg=\"rmcast: the interface has link-local IPv6 addresses only",
			"level=WARN msg=\"rmcast: the receive buffer is smaller than asked", "interface=eth3 bytes=212992 asked=8388608",
			"level=DEBUG msg=\"rmcast: source accepted\" tsi=" + s.TSI().String(),
			"level=INFO msg=\"rmcast: source lost, nothing heard from it for too long\" tsi=" + s.TSI().String(),
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log lacks %s", want)
			}
		}
		if strings.Count(out.String(), "Config.Rate is not") != 1 {
			t.Error("a set rate is logged as the default, or the default not once")
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
}
