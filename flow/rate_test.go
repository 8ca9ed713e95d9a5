package flow

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRateString(t *testing.T) {
	for _, c := range []struct {
		r    Rate
		want string
	}{
		{0, "0 bit/s"}, {1, "1 bit/s"}, {999, "999 bit/s"}, {Kbps, "1 kbit/s"}, {1500, "1.5 kbit/s"},
		{500 * Mbps, "500 Mbit/s"}, {1500 * Mbps, "1.5 Gbit/s"}, {Gbps + 1, "1.000000001 Gbit/s"},
		{400 * Gbps, "400 Gbit/s"}, {Unlimited, "unlimited"}, {Unlimited - 1, "9223372036.854775806 Gbit/s"},
		{-1500, "-1.5 kbit/s"}, {math.MinInt64, "-9223372036.854775808 Gbit/s"},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("%d prints as %q, want %q", int64(c.r), got, c.want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		s    string
		want Rate
	}{
		{"1.5Gbit", 1500 * Mbps}, {"500 Mbit/s", 500 * Mbps}, {"200M", 200 * Mbps}, {"unlimited", Unlimited},
		{" Unlimited ", Unlimited}, {"0", 0}, {"0.0 Mbit", 0}, {"1000000", Mbps}, {"100mbit", 100 * Mbps}, {"64k", 64 * Kbps},
		{"64 kbps", 64 * Kbps}, {"1Tbit/s", 1000 * Gbps}, {"10 Mb/s", 10 * Mbps}, {".5G", 500 * Mbps}, {"2.G", 2 * Gbps},
		{"12 bit", 12}, {"12 bits/s", 12}, {"1.0009k", 1000}, {"0.0000000019G", 1},
	} {
		if got, err := ParseRate(c.s); err != nil || got != c.want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", c.s, got, err, c.want)
		}
	}
	for _, c := range []struct {
		s    string
		want error
	}{
		{"", errRateSyntax}, {"M", errRateSyntax}, {".", errRateSyntax}, {"-5M", errRateSyntax}, {"1.2.3M", errRateSyntax}, {"5 Mibit", errRateSyntax},
		{"5 bit M", errRateSyntax}, {"5 µbit", errRateSyntax}, {"1e9", errRateSyntax},
		{"10 MB/s", errRateBytes}, {"10MB", errRateBytes}, {"10 B", errRateBytes}, {"10 KBps", errRateBytes},
		{"0.4", errRateRange}, {"0.0000000001 Gbit/s", errRateRange}, {"9223372037 G", errRateRange}, {"99999999999999999999999", errRateRange},
	} {
		got, err := ParseRate(c.s)
		if !errors.Is(err, c.want) || got != 0 {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", c.s, got, err, c.want)
		} else if !strings.Contains(err.Error(), `"`+c.s+`"`) {
			t.Errorf("%q does not name the input", err)
		}
	}
}

func TestRateTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Int64Min(0).Draw(t, "rate"))
		got, err := ParseRate(r.String())
		if err != nil || got != r {
			t.Fatalf("%d prints as %q, reads as %d, %v", int64(r), r, int64(got), err)
		}
		squeezed := strings.ToUpper(strings.ReplaceAll(strings.TrimSuffix(r.String(), "bit/s"), " ", ""))
		if got, err := ParseRate(squeezed); err != nil || got != r {
			t.Fatalf("%q reads as %d, %v, want %d", squeezed, int64(got), err, int64(r))
		}
		type config struct{ Rate Rate }
		text, err := json.Marshal(config{r})
		if err != nil {
			t.Fatal(err)
		}
		var back config
		if err := json.Unmarshal(text, &back); err != nil || back.Rate != r {
			t.Fatalf("%s reads as %d, %v", text, int64(back.Rate), err)
		}
	})
	r := 5 * Mbps
	if err := r.UnmarshalText([]byte("quick")); err == nil || r != 5*Mbps {
		t.Errorf("after a failed read the rate is %v, error %v", r, err)
	}
	if _, err := Rate(-1).MarshalText(); err == nil {
		t.Error("a negative rate was written")
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"1.5Gbit", "500 Mbit/s", "unlimited", "0.1", "9223372036.854775807G", "1 MB", "7kk"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		if err != nil {
			if r != 0 {
				t.Fatalf("%q: error %v with rate %v", s, err, r)
			}
			return
		}
		if again, err := ParseRate(r.String()); r < 0 || err != nil || again != r {
			t.Fatalf("%q reads as %d, then as %d, %v", s, int64(r), int64(again), err)
		}
	})
}

// The products are compared with unbounded integers, so hours at 400 Gbit/s and everything else cannot overflow unseen.
func TestRateBytesDuration(t *testing.T) {
	limit := big.NewInt(math.MaxInt64)
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Int64Range(1, math.MaxInt64-1).Draw(t, "rate"))
		v := rapid.Int64Min(1).Draw(t, "duration or bytes")
		want := new(big.Int).Mul(big.NewInt(int64(r)), big.NewInt(v))
		want.Div(want, big.NewInt(8e9))
		if want.Cmp(limit) > 0 {
			want = limit
		}
		if got := r.Bytes(time.Duration(v)); got != want.Int64() {
			t.Fatalf("%v passes %d bytes in %v, want %d", r, got, time.Duration(v), want)
		}
		want = new(big.Int).Mul(big.NewInt(v), big.NewInt(8e9))
		want.Add(want, big.NewInt(int64(r-1))).Div(want, big.NewInt(int64(r)))
		if want.Cmp(limit) > 0 {
			want = limit
		}
		if got := r.Duration(v); int64(got) != want.Int64() {
			t.Fatalf("%v needs %d ns for %d bytes, want %d", r, got, v, want)
		}
	})
	if got := (400 * Gbps).Bytes(24 * time.Hour); got != 50e9*86400 {
		t.Errorf("400 Gbit/s passes %d bytes a day", got)
	}
	if Unlimited.Bytes(1) != math.MaxInt64 || Unlimited.Duration(math.MaxInt64) != 0 || Unlimited.Bytes(0) != 0 {
		t.Error("Unlimited is limited")
	}
	if Rate(0).Bytes(time.Hour) != 0 || Rate(0).Duration(1) != math.MaxInt64 || Mbps.Bytes(-1) != 0 || Mbps.Duration(-1) != 0 || Rate(-5).Bytes(1) != 0 {
		t.Error("nothing and less than nothing are not zero")
	}
}
