package netem_test

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/rmcast/rmcast/netem"
	"pgregory.net/rapid"
)

// wantShare fails if n of total is further than 4 standard deviations from p.
func wantShare(t *testing.T, what string, n uint64, total int, p float64) {
	t.Helper()
	mean, dev := p*float64(total), math.Sqrt(p*(1-p)*float64(total))
	if math.Abs(float64(n)-mean) > 4*dev+1e-9 {
		t.Errorf("%s: %d of %d, want %.0f ± %.0f", what, n, total, mean, 4*dev)
	}
}

func TestLinkProbabilities(t *testing.T) {
	n := 200_000
	if raced {
		n /= 20
	}
	for seed, p := range []float64{0, 0.001, 0.01, 0.1, 0.5, 0.9, 1} {
		for _, c := range []struct {
			name string
			imp  netem.Impairment
			got  func(netem.LinkStats) uint64
		}{
			{"loss", netem.Impairment{Loss: p}, func(s netem.LinkStats) uint64 { return s.Lost }},
			{"duplicate", netem.Impairment{Duplicate: p}, func(s netem.LinkStats) uint64 { return s.Duplicated }},
			{"duplicates arrive", netem.Impairment{Duplicate: p}, func(s netem.LinkStats) uint64 { return s.Arrived - uint64(n) }},
			{"reorder", netem.Impairment{Reorder: p, Delay: 1}, func(s netem.LinkStats) uint64 { return s.Reordered }},
			{"corrupt", netem.Impairment{Corrupt: p}, func(s netem.LinkStats) uint64 { return s.Corrupted }},
		} {
			l := netem.NewLink(c.imp, uint64(seed), 0)
			for i := range n {
				l.Send(time.Duration(i), 100)
			}
			wantShare(t, c.name, c.got(l.Stats()), n, p)
		}
	}
}

// TestLinkLossIsIndependent counts runs: after a loss the next packet is lost as often as any other.
func TestLinkLossIsIndependent(t *testing.T) {
	const n, p = 400_000, 0.2
	l := netem.NewLink(netem.Impairment{Loss: p}, 3, 4)
	m := netem.NewLink(netem.Impairment{Loss: p}, 3, 5) // another stream
	var before bool
	var losses, pairs, common uint64
	for range n {
		lost, other := l.Send(0, 100).N == 0, m.Send(0, 100).N == 0
		if lost {
			losses++
			if before {
				pairs++
			}
			if other {
				common++
			}
		}
		before = lost
	}
	wantShare(t, "losses after a loss", pairs, int(losses), p)
	wantShare(t, "losses that another stream has too", common, int(losses), p)
}

func TestLinkJitterIsUniform(t *testing.T) {
	const n, bins = 100_000, 10
	delay, jitter := 50*time.Millisecond, 10*time.Millisecond
	l := netem.NewLink(netem.Impairment{Delay: delay, Jitter: jitter}, 1, 0)
	var count [bins]uint64
	for range n {
		d := l.Send(0, 100).Copy[0].At
		if d < delay-jitter || d > delay+jitter {
			t.Fatalf("took %v, outside %v ± %v", d, delay, jitter)
		}
		count[min(bins-1, int((d-delay+jitter)*bins/(2*jitter)))]++
	}
	for i, c := range count {
		wantShare(t, "packets in a tenth of the spread "+string(rune('0'+i)), c, n, 1.0/bins)
	}
	l = netem.NewLink(netem.Impairment{Jitter: jitter}, 1, 0)
	for range 1000 {
		if l.Send(5, 100).Copy[0].At < 5 {
			t.Fatal("arrived before it was sent")
		}
	}
}

func TestLinkReorderSkipsTheDelay(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Delay: time.Second, Jitter: time.Millisecond, Reorder: 1, Rate: 8000}, 1, 0)
	if got := l.Send(0, 100).Copy[0].At; got != 100*time.Millisecond {
		t.Errorf("arrived at %v, want right after 100 ms on the transmitter", got)
	}
}

func TestLinkRate(t *testing.T) {
	// One minute at full load: bytes are rate x time within 0.1 %.
	for _, rate := range []int64{64_000, 10_000_000, 999_999_937, 100_000_000_000} {
		l := netem.NewLink(netem.Impairment{Rate: rate, Limit: 4}, 1, 0)
		sent, now := 0, time.Duration(0)
		for now < time.Minute && sent < 5e8 {
			if f := l.Send(now, 1500); f.N == 1 {
				sent += 1500
				continue
			}
			now += max(1, l.Backlog(now)/2)
		}
		last := now + l.Backlog(now)
		if want := float64(rate) / 8 * last.Seconds(); math.Abs(float64(sent)-want) > want/1000 {
			t.Errorf("%d bit/s: %d bytes in %v, want %.0f", rate, sent, last, want)
		}
	}
}

func TestLinkQueue(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Rate: 8e6, Limit: 3, Delay: time.Second}, 1, 0) // 1000 bytes take 1 ms
	for i, want := range []time.Duration{1, 2, 3, 0, 0} {
		f := l.Send(0, 1000)
		if (f.N == 1) != (want > 0) || want > 0 && f.Copy[0].At != want*time.Millisecond+time.Second {
			t.Errorf("packet %d: %+v", i, f)
		}
	}
	if b, n := l.Backlog(0), l.BacklogBytes(500*time.Microsecond); b != 3*time.Millisecond || n != 2500 {
		t.Errorf("backlog %v, %d bytes", b, n)
	}
	if l.Send(999*time.Microsecond, 1000).N != 0 || l.Send(time.Millisecond, 1000).N != 1 {
		t.Error("the queue has room when the first packet has left, not earlier")
	}
	if s := l.Stats(); s.Overflow != 3 || s.Arrived != 4 || s.Packets != 7 || s.Bytes != 7000 {
		t.Errorf("counted %+v", s)
	}
	if netem.NewLink(netem.Impairment{MTU: 1500}, 1, 0).Send(0, 1501).N != 0 {
		t.Error("a packet larger than the MTU passed")
	}
}

// TestLinkSettingsDoNotReshuffleLosses: what is lost depends on the seed and Loss alone.
func TestLinkSettingsDoNotReshuffleLosses(t *testing.T) {
	a := netem.NewLink(netem.Impairment{Loss: 0.3}, 9, 1)
	b := netem.NewLink(netem.Impairment{Loss: 0.3, Delay: time.Second, Jitter: time.Second, Corrupt: 0.5, Reorder: 0.5, Rate: 1e9, Limit: 1e6}, 9, 1)
	for i := range 10_000 {
		if x, y := a.Send(0, 100), b.Send(0, 100); x.N != y.N {
			t.Fatalf("packet %d: %d and %d copies", i, x.N, y.N)
		}
	}
}

// TestLinkModel checks any link with any traffic: counters add up, order holds without jitter and reordering, nothing arrives early.
func TestLinkModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		imp := impairments().Draw(t, "impairment")
		m := must(netem.Compile(imp))
		l, again, other := m.Link(1, 2), netem.NewLink(imp, 1, 2), m.Link(1, 3)
		var now, last time.Duration
		var copies, corrupt uint64
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			now += time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "wait"))
			size := rapid.IntRange(1, 1500).Draw(t, "size")
			f := l.Send(now, size)
			other.Send(now, size) // links of one model do not disturb each other
			if f != again.Send(now, size) {
				t.Fatal("the same seed gave another fate")
			}
			for _, c := range f.Copy[:f.N] {
				if c.At < now || imp.Jitter == 0 && imp.Reorder == 0 && (c.At < now+imp.Delay || c.At < last) {
					t.Fatalf("sent at %v after one of %v, arrived at %v", now, last, c.At)
				}
				if c.Corrupt {
					corrupt++
				}
				last = c.At
			}
			if f.N < 2 && f.Copy[1] != (netem.Copy{}) || f.N < 1 && f.Copy[0] != (netem.Copy{}) {
				t.Fatalf("a copy that does not arrive: %+v", f)
			}
			copies += uint64(f.N)
		}
		s := l.Stats()
		if s.Arrived != copies || s.Arrived+s.Lost+s.Overflow+s.TooBig+s.Down != s.Packets+s.Duplicated || s.Corrupted != corrupt {
			t.Fatalf("counters do not add up: %+v, %d copies, %d corrupt", s, copies, corrupt)
		}
		if s != again.Stats() {
			t.Fatalf("the same seed counted %+v and %+v", s, again.Stats())
		}
	})
}

// TestLinkQueueModel compares a queue with a naive one, whose times are fractions: when what leaves, and what does not fit.
func TestLinkQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		imp := netem.Impairment{
			Rate:  rapid.OneOf(rapid.Int64Range(1, 1e12), rapid.Int64Range(1, 1e5)).Draw(t, "rate"),
			Limit: rapid.IntRange(0, 10).Draw(t, "limit"), LimitBytes: rapid.IntRange(0, 10_000).Draw(t, "limitbytes"),
		}
		l := netem.NewLink(imp, 1, 2)
		type packet struct {
			at   time.Duration
			size int
		}
		var queue []packet
		var begin, now, free time.Duration
		var sum int64 // bytes since begin
		for range rapid.IntRange(1, 100).Draw(t, "packets") {
			now += time.Duration(rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Just(int64(max(0, free-now)))).Draw(t, "wait"))
			size := rapid.IntRange(1, 1500).Draw(t, "size")
			bytes := 0
			queue = slices.DeleteFunc(queue, func(p packet) bool { return p.at <= now })
			for _, p := range queue {
				bytes += p.size
			}
			limit := imp.Limit
			if limit == 0 && imp.LimitBytes == 0 {
				limit = 1000
			}
			fits := (limit == 0 || len(queue) < limit) && (imp.LimitBytes == 0 || bytes+size <= imp.LimitBytes)
			if fits {
				if free <= now {
					begin, sum = now, 0
				}
				sum += int64(size)
				// Half a nanosecond, and the rest of it that is no whole 1/Rate, is rounded down.
				work := new(big.Int).Mul(big.NewInt(sum), big.NewInt(8e9))
				work.Add(work, big.NewInt(imp.Rate/2)).Div(work, big.NewInt(imp.Rate))
				free = begin + time.Duration(work.Int64())
				queue = append(queue, packet{free, size})
			}
			f := l.Send(now, size)
			if (f.N == 1) != fits || fits && f.Copy[0].At != free {
				t.Fatalf("%v: at %v with %d packets of %d bytes in the queue: %+v, want it %v at %v", imp, now, len(queue), bytes, f, fits, free)
			}
			if got := l.Backlog(now); got != max(0, free-now) {
				t.Fatalf("backlog %v, want %v", got, free-now)
			}
		}
	})
}

// TestLinkRateIsExact: a busy link carries its rate to the nanosecond, however long.
func TestLinkRateIsExact(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Rate: 999_999_937, Limit: 1 << 20}, 1, 0)
	var at time.Duration
	const packets = 1_000_000
	for range packets {
		at = l.Send(0, 1500).Copy[0].At
	}
	if want := time.Duration((uint64(packets)*1500*8e9 + 999_999_937/2) / 999_999_937); at != want {
		t.Errorf("the last of %d packets left at %d, want %d", packets, at, want)
	}
	slow := netem.NewLink(netem.Impairment{Rate: 1}, 1, 0)
	sent := 0
	for range 2000 { // 1000 packets of 64 KB, 6 days each
		sent += slow.Send(0, 65535).N
	}
	if got, want := slow.Backlog(0), 1000*8*65535*time.Second; sent != 1000 || got != want {
		t.Errorf("at 1 bit/s %d packets wait for %v, want %v", sent, got, want)
	}
	huge := netem.NewLink(netem.Impairment{Rate: 1, Limit: 1 << 30}, 1, 0)
	for range 10_000 {
		if f := huge.Send(0, 1<<30); f.N == 1 && f.Copy[0].At <= 0 {
			t.Fatalf("a queue of centuries: %v", f.Copy[0].At)
		}
	}
}

func TestLinkDown(t *testing.T) {
	const ms = time.Millisecond
	imp := netem.Impairment{Delay: 50 * ms, Down: []netem.Outage{{From: 100 * ms, For: 10 * ms}, {From: 200 * ms, For: 5 * ms, Every: 20 * ms}}}
	l := netem.NewLink(imp, 1, 0)
	down := uint64(0)
	for now := -100 * ms; now < 1000*ms; now += ms {
		want := now >= 100*ms && now < 110*ms || now >= 200*ms && now%(20*ms) < 5*ms
		up, until := l.Up(now)
		if f := l.Send(now, 100); (f.N == 0) != want || up == want {
			t.Errorf("%v: %d copies, up is %v; want down %v", now, f.N, up, want)
		}
		if again, _ := l.Up(until - 1); again != up || until <= now {
			t.Errorf("%v: up is %v until %v, and %v right before that", now, up, until, again)
		}
		if again, _ := l.Up(until); again == up {
			t.Errorf("%v: up is %v until %v, and also then", now, up, until)
		}
		if want {
			down++
		}
	}
	if s := l.Stats(); s.Down != down || s.Lost != 0 {
		t.Errorf("counted %+v, want %d while down", s, down)
	}
	// What counts is the end of transmission: the second of three falls into the outage.
	imp = netem.Impairment{Rate: 8e6, Down: []netem.Outage{{From: 1500 * time.Microsecond, For: ms}}} // 1000 bytes take 1 ms
	l = netem.NewLink(imp, 1, 0)
	for i, want := range []int{1, 0, 1} {
		if got := l.Send(0, 1000).N; got != want {
			t.Errorf("packet %d of a run that takes 3 ms: %d copies, want %d", i, got, want)
		}
	}
	long := netem.Impairment{Down: []netem.Outage{{From: 10, For: 20}, {From: 10, For: 5}, {From: 40, For: 1, Every: 10}}}
	if up, until := long.Up(12); up || until != 30 {
		t.Errorf("within two outages it is up %v until %v", up, until)
	}
	if up, until := long.Up(30); !up || until != 40 {
		t.Errorf("between outages it is up %v until %v", up, until)
	}
	if up, until := (netem.Impairment{}).Up(5); !up || until != math.MaxInt64 {
		t.Errorf("a link without Down is up %v until %v", up, until)
	}
}

// TestLinkSettingsDoNotReshuffle: of one seed, what a setting does is the same whatever else is set.
func TestLinkSettingsDoNotReshuffle(t *testing.T) {
	const n = 5000
	all := must(netem.ParseImpairment("loss 10% 30% loss gemodel 5% 20% 80% 2% loss every 11 delay 3600s 1s 20% distribution normal " +
		"reorder 20% 30% gap 3 corrupt 20% 30%"))
	before := sent(all, 1, n)
	early := func(c netem.Copy) bool { return c.At < time.Hour-10*time.Second }
	for what, change := range map[string]func(*netem.Impairment){
		"loss": func(i *netem.Impairment) { i.Loss = 0.5 }, "correlated": func(i *netem.Impairment) { i.LossCorrelation = 0 },
		"gemodel": func(i *netem.Impairment) { i.GE = nil }, "every": func(i *netem.Impairment) { i.Every = 3 },
		"jitter":  func(i *netem.Impairment) { i.Jitter, i.Distribution = 0, netem.Uniform },
		"reorder": func(i *netem.Impairment) { i.Reorder, i.Gap = 0, 0 }, "corrupt": func(i *netem.Impairment) { i.Corrupt = 0 },
		"duplicate": func(i *netem.Impairment) { i.Duplicate, i.DuplicateCorrelation = 0.3, 0.3 },
		"none":      func(i *netem.Impairment) { i.Rate, i.LimitBytes, i.MTU = 1e15, 1e9, 9000 },
	} {
		imp := all
		change(&imp)
		changed := 0
		for i, f := range sent(imp, 1, n) {
			a := before[i]
			x, y := a.Copy[0], f.Copy[0]
			ok := true
			switch what {
			case "loss", "correlated", "gemodel", "every":
				ok = a.N == 0 || f.N == 0 || x == y
			case "jitter":
				ok = a.N == f.N && x.Corrupt == y.Corrupt && early(x) == early(y)
			case "reorder":
				ok = a.N == f.N && x.Corrupt == y.Corrupt && (early(x) || x.At == y.At)
			case "corrupt":
				ok = a.N == f.N && x.At == y.At
			case "duplicate":
				ok = a.N == 1 && x == y || a.N == 0 && f.N <= 1
			case "none":
				ok = a == f
			}
			if !ok {
				t.Fatalf("packet %d: %+v, with another %s %+v", i, a, what, f)
			}
			if a != f {
				changed++
			}
		}
		if (changed < n/100) != (what == "none") {
			t.Errorf("another %s changes %d of %d fates", what, changed, n)
		}
	}
}

// TestLinkIsSmall: a simulator has a million of them.
func TestLinkIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(netem.Link{}); got > 64 {
		t.Errorf("a Link takes %d bytes", got)
	}
	for words, want := range map[string]float64{"loss 1% delay 1ms": 0, "loss gemodel 1% 10% delay 1ms": 0, "loss 1% 5%": 1, "rate 1mbit": 2} {
		m := must(netem.Compile(must(netem.ParseImpairment(words))))
		var l netem.Link
		if got := testing.AllocsPerRun(100, func() { l = m.Link(1, 2) }); got != want {
			t.Errorf("%s: a Link takes %v allocations, want %v", words, got, want)
		}
		l.Send(0, 100)
	}
}

func TestLinkAllocs(t *testing.T) {
	for _, words := range []string{"loss 10% delay 10ms", "loss 10% delay 0s 1s rate 1mbit limit 100", rich} {
		l := netem.NewLink(must(netem.ParseImpairment(words)), 1, 0)
		now := time.Duration(0)
		send := func() { l.Send(now, 1000); now += time.Millisecond }
		for range 1000 { // grows the queue
			send()
		}
		if n := testing.AllocsPerRun(10_000, send); n != 0 {
			t.Errorf("%s: %v allocations a packet", words, n)
		}
	}
}
