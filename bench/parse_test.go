package main

import (
	"testing"
	"time"
)

func TestParseDev(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 1000 10 1 2 3 4 5 6 2800 20 7 8 9 10 11 12
`
	var c Counters
	if err := parseDev([]byte(text), "eth0", &c); err != nil {
		t.Fatal(err)
	}
	want := Counters{TxBytes: 2800, TxPackets: 20, RxBytes: 1000, RxPackets: 10, TxDropped: 8, RxDropped: 2}
	if c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if got := c.IPBytes(); got != 2800-20*14 {
		t.Errorf("%d IP bytes", got)
	}
	if err := parseDev([]byte(text), "eth1", &c); err == nil {
		t.Error("found an interface that is not there")
	}
	if err := parseDev([]byte("eth0: 1 2 3\n"), "eth0", &c); err == nil {
		t.Error("took a line with three numbers")
	}
}

func TestParseMachine(t *testing.T) {
	var m Machine
	if err := parseStat([]byte("cpu  100 1 50 9000 5 2 7 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"), &m); err != nil {
		t.Fatal(err)
	}
	if err := parseSoftnet([]byte("0000000a 00000002 00000000\n0000000b 00000010 00000000\n"), &m); err != nil {
		t.Fatal(err)
	}
	want := Machine{Busy: 1600 * time.Millisecond, SoftIRQ: 70 * time.Millisecond, Steal: 30 * time.Millisecond, Idle: 90050 * time.Millisecond, Backlog: 18}
	if m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if got := (Machine{Busy: 2, Steal: 1, Idle: 1}).BusyShare(); got != 0.75 {
		t.Errorf("three quarters busy are %v", got)
	}
	if parseStat([]byte("intr 1 2"), &m) == nil || parseSoftnet([]byte("0a zz\n"), &m) == nil {
		t.Error("took text that is something else")
	}
}

func TestParseSNMP6(t *testing.T) {
	var c Counters
	if err := parseSNMP6([]byte("Udp6InErrors 9\nUdp6RcvbufErrors                	7\n"), &c); err != nil || c.UDPDrops != 7 {
		t.Errorf("%d, %v", c.UDPDrops, err)
	}
	if err := parseSNMP6([]byte("Ip6InReceives 3\n"), &c); err == nil {
		t.Error("found a counter that is not there")
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "64M": 64 << 20, "1.5 GiB": 3 << 29, "10 MB": 10e6, "2k": 2048, "100B": 100} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "0", "-1", "5 X", "2000 GiB", "1e3"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: taken as %d", text, got)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{percent(0.1), "10 %"}, {percent(0), "0 %"}, {percent(0.005), "0.5 %"},
		{megabits(186.4e6), "186"}, {megabits(23.27e6), "23.3"}, {megabits(412e3), "0.41"}, {megabits(2.412e9), "2412"},
		{size(32 << 20), "32 MiB"}, {size(1 << 29), "512 MiB"}, {size(1536), "1.5 KiB"}, {size(3 << 30), "3 GiB"}, {size(12), "12 B"},
		{short(0), "0"}, {short(1.8234), "1.82"}, {short(184.6), "185"}, {short(12345), "12.3k"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	delays := make([]int64, 0, 1000)
	for i := range 1000 {
		delays = append(delays, int64((i*7919)%1000+1)) // 1 … 1000 in some order
	}
	want := Quantiles{1000, 500, 990, 999, 1000}
	if got := quantiles(delays); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := quantiles([]int64{5}); got != (Quantiles{1, 5, 5, 5, 5}) {
		t.Errorf("of one: %v", got)
	}
	if got := quantiles(nil); got != (Quantiles{}) {
		t.Errorf("of none: %v", got)
	}
}
