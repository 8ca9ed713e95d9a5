package channel

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The vector that was there first: others derive it in the same way.
func TestGroupPlain(t *testing.T) {
	for scope, want := range map[Scope]string{
		0:            "ff1e:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Interface:    "ff11:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Link:         "ff12:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Realm:        "ff13:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Admin:        "ff14:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Site:         "ff15:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Organization: "ff18:873e:378f:f6a5:a1f6:fa49:95f1:faf",
		Global:       "ff1e:873e:378f:f6a5:a1f6:fa49:95f1:faf",
	} {
		got, err := Group("example.com", scope)
		if err != nil || got.Addr() != netip.MustParseAddr(want) {
			t.Errorf("scope %v: %v, %v, want %v", scope, got, err, want)
		}
	}
}

type kind struct{ ipv4, specific bool }

// allowed says, by kind and scope, where groups have to lie and what of it is reserved. What has no prefix is refused.
func allowed(k kind, s Scope) (in netip.Prefix, without []netip.Prefix) {
	p := func(texts ...string) (ps []netip.Prefix) {
		for _, t := range texts {
			ps = append(ps, netip.MustParsePrefix(t))
		}
		return ps
	}
	digit := "0123456789abcdef"[s : s+1]
	switch {
	case !k.ipv4 && !k.specific:
		return p("ff1" + digit + "::/16")[0], nil
	case !k.ipv4:
		return p("ff3" + digit + "::8000:0/97")[0], p("ff3" + digit + "::ff00:0/104")
	case k.specific && s == Global:
		return p("232.0.0.0/8")[0], p("232.0.0.0/24", "232.128.0.0/24")
	case k.specific:
		return netip.Prefix{}, nil
	case s == Organization:
		return p("239.192.0.0/14")[0], p("239.195.255.0/24")
	case s == Realm || s == Admin || s == Site:
		return p("239.255.0.0/16")[0], p("239.255.255.0/24")
	}
	return netip.Prefix{}, nil
}

func checkPlace(t interface{ Errorf(string, ...any) }, k kind, s Scope, a netip.Addr) {
	in, without := allowed(k, s)
	a = a.WithZone("")
	if !a.IsMulticast() || a.Is4() != k.ipv4 || !in.Contains(a) {
		t.Errorf("%+v, scope %v: %v is not in %v", k, s, a, in)
	}
	for _, w := range without {
		if w.Contains(a) {
			t.Errorf("%+v, scope %v: %v is in %v", k, s, a, w)
		}
	}
}

func names() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9./:_-]{1,60}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("azAZ09 ._-/äßéΩжйあが中한ส่한")), 1, 60, MaxName),
	).Filter(func(s string) bool { return checkName(s) == nil })
}

var instants = rapid.Custom(func(t *rapid.T) time.Time {
	s := rapid.OneOf(rapid.Int64Range(-1e10, 1e11), rapid.SampledFrom([]int64{-1, 0, 1, 3599, 3600, -3600, -3601})).Draw(t, "seconds")
	return time.Unix(s, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
})

// channels that Group takes, of every kind and scope.
var channels = rapid.Custom(func(t *rapid.T) Channel {
	c := Channel{
		Name: names().Draw(t, "name"), Scope: rapid.SampledFrom(scopes).Draw(t, "scope").Scope,
		IPv4: rapid.Bool().Draw(t, "IPv4"), SourceSpecific: rapid.Bool().Draw(t, "SourceSpecific"),
	}
	if in, _ := allowed(kind{c.IPv4, c.SourceSpecific}, c.Scope); !in.IsValid() {
		c.Scope = 0
	}
	if rapid.Bool().Draw(t, "keyed") {
		c.Key = rapid.SliceOfN(rapid.Byte(), MinKey, MaxKey).Draw(t, "key")
	}
	if rapid.Bool().Draw(t, "rotates") {
		c.Period = time.Second * time.Duration(rapid.Int64Range(1, 1e7).Draw(t, "period"))
		c.At = instants.Draw(t, "at")
	}
	if !c.IPv4 {
		c.Interface = rapid.SampledFrom([]string{"", "eth0", "Ethernet 2", "7"}).Draw(t, "interface")
	}
	return c
})

func mustGroup(t interface{ Fatalf(string, ...any) }, c Channel) netip.AddrPort {
	g, err := c.Group()
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return g
}

// Every group is where it has to be, has a dynamic port, is the same each time, and is read back from its text.
func TestGroupProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := channels.Draw(t, "channel")
		g := mustGroup(t, c)
		scope := c.Scope
		if scope == 0 {
			scope = Global
			if c.IPv4 && !c.SourceSpecific {
				scope = Organization
			}
		}
		checkPlace(t, kind{c.IPv4, c.SourceSpecific}, scope, g.Addr())
		if g.Port() < 49152 {
			t.Errorf("port %d is not dynamic", g.Port())
		}
		if back, err := netip.ParseAddrPort(g.String()); err != nil || back != g {
			t.Errorf("%v is read back as %v, %v", g, back, err)
		}
		if g.Addr().Zone() != c.Interface {
			t.Errorf("zone %q, want %q", g.Addr().Zone(), c.Interface)
		}
		same := c
		same.Key = bytes.Clone(c.Key)
		if again := mustGroup(t, same); again != g {
			t.Errorf("%v, then %v", g, again)
		}
		explicit := c
		explicit.Scope = scope
		if again := mustGroup(t, explicit); again != g {
			t.Errorf("%v by default, %v for scope %v", g, again, scope)
		}
	})
}

// Whatever is changed, another group comes out, and nothing of it can be seen in the first: all 14 bytes are other ones. Here over IPv6, for any
// source, where a hundred bits tell groups apart; the digest behind it is that of the other kinds too.
func TestGroupDiffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := channels.Draw(t, "channel")
		c.IPv4, c.SourceSpecific = false, false
		other := c
		changes := []string{"name", "key"}
		if c.Period != 0 {
			changes = append(changes, "period", "epoch", "no period")
		}
		if c.Key != nil {
			changes = append(changes, "no key", "scope")
		}
		what := rapid.SampledFrom(changes).Draw(t, "what")
		switch what {
		case "name":
			other.Name = names().Filter(func(s string) bool { return s != c.Name }).Draw(t, "other name")
		case "key":
			if other.Key = bytes.Clone(c.Key); c.Key == nil {
				other.Key = make([]byte, MinKey)
			} else {
				bit := rapid.IntRange(0, 8*len(c.Key)-1).Draw(t, "bit")
				other.Key[bit/8] ^= 1 << (bit % 8)
			}
		case "no key":
			other.Key = nil
		case "scope":
			other.Scope = rapid.SampledFrom(scopes[:6]).Filter(func(s struct {
				Scope
				name string
			}) bool {
				return s.Scope != c.Scope
			}).Draw(t, "other scope").Scope
		case "period":
			other.Period += time.Second
		case "epoch":
			other.At = c.At.Add(c.Period * time.Duration(rapid.SampledFrom([]int64{-2, -1, 1, 2}).Draw(t, "periods")))
		case "no period":
			other.Period, other.At = 0, time.Time{}
		}
		a, b := mustGroup(t, c).Addr().As16(), mustGroup(t, other).Addr().As16()
		if bytes.Equal(a[2:], b[2:]) {
			t.Errorf("%s changed, and the group is %x for both", what, a)
		}
	})
}

// A key's groups of two kinds, or of two scopes, have nothing to do with each other; without a key they are one digest.
func TestDigestByKind(t *testing.T) {
	seen := map[[64]byte]bool{}
	for _, key := range [][]byte{nil, make([]byte, MinKey)} {
		for _, s := range scopes {
			for _, k := range []kind{{false, false}, {false, true}, {true, false}, {true, true}} {
				c := Channel{Name: "a", Key: key, IPv4: k.ipv4, SourceSpecific: k.specific}
				seen[c.digest(s.Scope)] = true
			}
		}
	}
	if want := 1 + 4*len(scopes); len(seen) != want {
		t.Errorf("%d digests, want %d", len(seen), want)
	}
}

// The group stays for all of its epoch and changes at the instant that Changes says.
func TestEpochs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := channels.Filter(func(c Channel) bool { return c.Period > 0 }).Draw(t, "channel")
		end := c.Changes()
		at := func(instant time.Time) [64]byte {
			c := c
			c.At = instant
			return c.digest(Global)
		}
		if left := end.Sub(c.At); left <= 0 || left > c.Period {
			t.Fatalf("the group of %v changes %v later, with a period of %v", c.At, left, c.Period)
		}
		if end.Unix()%int64(c.Period/time.Second) != 0 || end.Nanosecond() != 0 {
			t.Errorf("%v is not a multiple of %v", end, c.Period)
		}
		if at(c.At) != at(end.Add(-1)) || at(c.At) != at(end.Add(-c.Period)) {
			t.Errorf("the group changes within its epoch")
		}
		if at(c.At) == at(end) || at(c.At) == at(end.Add(-c.Period-1)) {
			t.Errorf("the group is that of the next or last epoch")
		}
	})
	if c := (Channel{Name: "a"}); !c.Changes().IsZero() {
		t.Errorf("a group that stays changes at %v", c.Changes())
	}
}

// All numbers fall into the ranges, the ends of which are reached, and each address of a range is one number's.
func TestRanges(t *testing.T) {
	addr := func(k kind, s Scope, n uint64) netip.Addr {
		var d [64]byte
		for i := range 8 {
			d[16+i] = byte(n >> (56 - 8*i))
		}
		return Channel{IPv4: k.ipv4, SourceSpecific: k.specific}.address(s, d)
	}
	type end struct {
		n    uint64
		want string
	}
	for _, c := range []struct {
		kind
		scope Scope
		ends  []end
	}{
		{kind{true, false}, Organization, []end{{0, "239.192.0.0"}, {261887, "239.195.254.255"}, {261888, "239.192.0.0"}}},
		{kind{true, false}, Site, []end{{0, "239.255.0.0"}, {65279, "239.255.254.255"}, {65280, "239.255.0.0"}}},
		{kind{true, true}, Global, []end{
			{0, "232.0.1.0"}, {1<<23 - 257, "232.127.255.255"}, {1<<23 - 256, "232.128.1.0"},
			{1<<24 - 513, "232.255.255.255"}, {1<<24 - 512, "232.0.1.0"},
		}},
		{kind{false, true}, Link, []end{{0, "ff32::8000:0"}, {0x7effffff, "ff32::feff:ffff"}, {0x7f000000, "ff32::8000:0"}}},
	} {
		for _, e := range c.ends {
			if got := addr(c.kind, c.scope, e.n); got != netip.MustParseAddr(e.want) {
				t.Errorf("%+v: number %d is %v, want %v", c.kind, e.n, got, e.want)
			}
		}
		rapid.Check(t, func(t *rapid.T) {
			checkPlace(t, c.kind, c.scope, addr(c.kind, c.scope, rapid.Uint64().Draw(t, "n")))
		})
	}
	seen := map[netip.Addr]bool{}
	for n := range uint64(specificSize) {
		if n%97 == 0 || n < 1000 || n > specificSize-1000 {
			a := ipv4Specific(n)
			if seen[a] {
				t.Fatalf("%v is two numbers'", a)
			}
			seen[a] = true
		}
	}
}

// Ports and, in the narrow ranges, groups are spread evenly: of 64 equal parts each gets its share of 64,000 names, within five standard deviations.
func TestSpread(t *testing.T) {
	const parts, each = 64, 1000
	const tolerance = 5 * 31.4 // the deviation is sqrt(1000 * 63/64)
	var byPort, byGroup [parts]int
	for i := range parts * each {
		c := Channel{Name: "feed " + string(rune('0'+i%10)) + strings.Repeat("x", i/10%100) + "." + string(rune(0x4e00+i/1000)), IPv4: true}
		g := mustGroup(t, c)
		byPort[(int(g.Port())-firstPort)*parts/ports]++
		a := g.Addr().As4()
		byGroup[((int(a[1])-192)<<16|int(a[2])<<8|int(a[3]))*parts/organizationSize]++
	}
	for _, counts := range [][parts]int{byPort, byGroup} {
		if low, high := slices.Min(counts[:]), slices.Max(counts[:]); float64(low) < each-tolerance || float64(high) > each+tolerance {
			t.Errorf("of %d, %d to %d", each, low, high)
		}
	}
}

func TestRefused(t *testing.T) {
	at := time.Unix(1e9, 0)
	for _, c := range []struct {
		channel Channel
		want    string
	}{
		{Channel{}, "empty name"},
		{Channel{Name: "a", Scope: 6}, "no scope 6"},
		{Channel{Name: "a", Scope: 15}, "no scope 15"},
		{Channel{Name: "a", Scope: 0x1e}, "no scope 30"},
		{Channel{Name: "a", Key: []byte{}}, "Key of 0 bytes"},
		{Channel{Name: "a", Key: make([]byte, MinKey-1)}, "Key of 15 bytes"},
		{Channel{Name: "a", Key: make([]byte, MaxKey+1)}, "Key of 65 bytes"},
		{Channel{Name: "a", Period: -time.Second, At: at}, "Period of -1s"},
		{Channel{Name: "a", Period: 1500 * time.Millisecond, At: at}, "Period of 1.5s"},
		{Channel{Name: "a", At: at}, "At without Period"},
		{Channel{Name: "a", Period: time.Hour}, "Period without At"},
		{Channel{Name: "a", IPv4: true, Interface: "eth0"}, "no zone"},
		{Channel{Name: "a", Interface: "eth0]"}, `Interface "eth0]"`},
		{Channel{Name: "a", Interface: "%eth0"}, "Interface"},
		{Channel{Name: "a", Interface: "eth0\n"}, "Interface"},
		{Channel{Name: "a", IPv4: true, Scope: Interface}, "239.255/16 is the narrowest"},
		{Channel{Name: "a", IPv4: true, Scope: Link}, "239.255/16 is the narrowest"},
		{Channel{Name: "a", IPv4: true, Scope: Global}, "ends at the organisation"},
		{Channel{Name: "a", IPv4: true, SourceSpecific: true, Scope: Site}, "232/8 has no scopes"},
	} {
		g, err := c.channel.Group()
		if err == nil || !strings.HasPrefix(err.Error(), "channel: ") || !strings.Contains(err.Error(), c.want) || g.IsValid() {
			t.Errorf("%+v: %v, %v, want an error with %q", c.channel, g, err, c.want)
		}
	}
	for _, s := range scopes { // what has no range is refused, and nothing else
		for _, k := range []kind{{false, false}, {false, true}, {true, false}, {true, true}} {
			in, _ := allowed(k, s.Scope)
			if _, err := (Channel{Name: "a", Scope: s.Scope, IPv4: k.ipv4, SourceSpecific: k.specific}).Group(); (err == nil) != in.IsValid() {
				t.Errorf("%+v, scope %v: %v", k, s.Scope, err)
			}
		}
	}
}

func TestScopeText(t *testing.T) {
	for s := range 256 {
		s := Scope(s)
		text, err := s.MarshalText()
		known := s == 0 || slices.ContainsFunc(scopes, func(k struct {
			Scope
			name string
		}) bool {
			return k.Scope == s
		})
		if (err == nil) != known {
			t.Errorf("%d: %q, %v", s, text, err)
		}
		back := Scope(99)
		if err := back.UnmarshalText(text); known && (err != nil || back != s) {
			t.Errorf("%d is %q and read back as %d, %v", s, text, back, err)
		}
	}
	s := Site
	if err := s.UnmarshalText([]byte("Global")); err == nil || s != Site {
		t.Errorf("scope %v from a word that is none, %v", s, err)
	}
}

// FuzzGroup: any name and key has a group that is in its place, or is refused; never both, never a panic.
func FuzzGroup(f *testing.F) {
	f.Add("example.com", []byte(nil), uint8(0xe), false, false, int64(0), int64(0))
	f.Add("größe", make([]byte, 32), uint8(5), true, false, int64(3600), int64(1e9))
	f.Add("a\u0301", make([]byte, 16), uint8(0xe), true, true, int64(1), int64(-1))
	f.Fuzz(func(t *testing.T, name string, key []byte, scope uint8, ipv4, specific bool, period, at int64) {
		c := Channel{Name: name, Scope: Scope(scope), Key: key, IPv4: ipv4, SourceSpecific: specific}
		if period != 0 {
			c.Period, c.At = time.Second*time.Duration(period%1e9), time.Unix(at, 0)
		}
		g, err := c.Group()
		if (err == nil) != g.IsValid() {
			t.Fatalf("%v, %v", g, err)
		}
		if err != nil {
			return
		}
		if scope == 0 {
			if scope = uint8(Global); ipv4 && !specific {
				scope = uint8(Organization)
			}
		}
		checkPlace(t, kind{ipv4, specific}, Scope(scope), g.Addr())
		if strings.ContainsAny(name, "\x00\n") || len(name) > MaxName || len(name) == 0 {
			t.Fatalf("name %q was taken", name)
		}
	})
}
