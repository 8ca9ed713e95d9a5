package nack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// addr returns the address of receiver i.
func addr(i int) netip.Addr {
	b := [16]byte{0: 0xfd}
	binary.BigEndian.PutUint64(b[8:], uint64(i))
	return netip.AddrFrom16(b)
}

// nextNumber is Next where nobody asked for parity.
func nextNumber(r *Repairs, now mono.Time) (seq.Num, bool) {
	repair, ok := r.Next(now)
	if ok && (repair.Parity || repair.Count != 1) {
		panic(fmt.Sprintf("next is %+v", repair))
	}
	return repair.N, ok
}

// asked is one number of the model.
type asked struct {
	queued, over, pending bool
	ncfAt, sentAt         mono.Time // -1: never
	bytes                 int
}

// repairsModel is a Repairs that remembers every number for ever and searches them all each time.
type repairsModel struct {
	cfg    RepairsConfig
	num    map[seq.Num]*asked
	order  []seq.Num // of num
	tokens map[netip.Addr]float64
	filled map[netip.Addr]mono.Time
	r      *Repairs  // asked which number gave way in a full queue
	ncfs   []seq.Num // pending, the longest waiting first
	sent   []seq.Num // not queued, in the order of their repairs
}

func (m *repairsModel) take(now mono.Time, from netip.Addr, bytes int) bool {
	share := float64(m.cfg.ReceiverShare)
	if share <= 0 {
		return true
	}
	have, known := m.tokens[from]
	if !known {
		have, m.filled[from] = share/10, now
	}
	have = min(have+share*now.Sub(m.filled[from]).Seconds(), share/10)
	m.tokens[from], m.filled[from] = have, now
	if have <= 0 {
		return false
	}
	m.tokens[from] -= float64(bytes)
	return true
}

func (m *repairsModel) queued(over bool) (list []seq.Num) {
	for _, n := range m.order {
		if q := m.num[n]; q.queued && q.over == over {
			list = append(list, n)
		}
	}
	return list
}

// gaveWay returns the number that Repairs, called first, dropped for another.
func (m *repairsModel) gaveWay() seq.Num {
	for _, n := range m.queued(true) {
		if _, ok := m.r.tree.Get(&request{n: n}); !ok {
			return n
		}
	}
	panic("nothing gave way in a full queue")
}

func (m *repairsModel) pendingCount() int { return len(m.queued(false)) + len(m.queued(true)) }

func (m *repairsModel) nak(now mono.Time, from netip.Addr, n seq.Num, bytes int) (v Verdict) {
	q := m.num[n]
	switch {
	case q != nil && q.queued:
		v = Merged
		if q.over && m.take(now, from, q.bytes) {
			q.over = false
		}
	case q != nil && q.sentAt >= 0 && now < q.sentAt.Add(m.cfg.HoldOff):
		v = HeldOff
	default:
		if m.pendingCount() == m.cfg.MaxQueued {
			if m.cfg.ReceiverShare <= 0 || len(m.queued(true)) == 0 || !m.take(now, from, 0) {
				return Refused
			}
			m.forget(m.gaveWay())
		}
		if q == nil {
			q = &asked{ncfAt: -1, sentAt: -1}
			m.num[n] = q
			i, _ := slices.BinarySearchFunc(m.order, n, func(a, b seq.Num) int { return a.Sub(b) })
			m.order = slices.Insert(m.order, i, n)
		}
		m.sent = slices.DeleteFunc(m.sent, func(x seq.Num) bool { return x == n })
		q.queued, q.bytes, q.over = true, bytes, !m.take(now, from, bytes)
	}
	if !q.pending && (q.ncfAt < 0 || now >= q.ncfAt.Add(m.cfg.NCFSpacing)) {
		q.pending = true
		m.ncfs = append(m.ncfs, n)
	}
	return v
}

func (m *repairsModel) unconfirm(n seq.Num) {
	m.num[n].pending = false
	m.ncfs = slices.DeleteFunc(m.ncfs, func(x seq.Num) bool { return x == n })
}

// TestRepairsModel runs Repairs beside the model. HoldOff is not less than NCFSpacing here, and the backoff short, so that what
// Repairs forgets is what has no effect any more.
func TestRepairsModel(t *testing.T) { rapid.Check(t, repairsBesideModel) }

func repairsBesideModel(t *rapid.T) {
	cfg := RepairsConfig{HoldOff: 20, NCFSpacing: 10, MaxQueued: rapid.IntRange(1, 40).Draw(t, "max"), GRTT: 10}
	if rapid.Bool().Draw(t, "shared") {
		cfg.ReceiverShare = 5e9 // 5 bytes a nanosecond
	}
	r := NewRepairs(cfg)
	m := &repairsModel{r: r, cfg: cfg, num: map[seq.Num]*asked{}, tokens: map[netip.Addr]float64{}, filled: map[netip.Addr]mono.Time{}}
	trail := rapid.SampledFrom([]seq.Num{0, 1<<31 - 20, 1<<32 - 20}).Draw(t, "trail")
	now := mono.Time(0)
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			within, over := m.queued(false), m.queued(true)
			next := append(slices.Clone(within), over...)
			if n, ok := nextNumber(r, now); ok != (len(next) > 0) || ok && n != next[0] {
				t.Fatalf("next %d %v, want the first of %v", n, ok, next)
			}
			slices.SortFunc(next, func(a, b seq.Num) int { return a.Sub(b) })
			if n, ok := r.Oldest(); ok != (len(next) > 0) || ok && n != next[0] {
				t.Fatalf("oldest %d %v, want the first of %v", n, ok, next)
			}
			if r.Pending() != len(next) || r.NCFPending() != (len(m.ncfs) > 0) {
				t.Fatalf("%d pending, NCFs %v, want %v, %v", r.Pending(), r.NCFPending(), next, m.ncfs)
			}
			if r.tree.Len() != r.Pending()+r.remembered || r.remembered > cfg.MaxQueued {
				t.Fatalf("holds %d, %d queued and %d remembered", r.tree.Len(), r.Pending(), r.remembered)
			}
		},
		"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "d"))) },
		"nak": func(t *rapid.T) {
			from := addr(rapid.IntRange(0, 3).Draw(t, "from"))
			n := trail.Add(rapid.IntRange(0, 30).Draw(t, "n"))
			for range rapid.IntRange(1, 6).Draw(t, "list") {
				bytes := rapid.IntRange(40, 1452).Draw(t, "bytes")
				got := r.NAK(now, from, n, bytes)
				if want := m.nak(now, from, n, bytes); got != want {
					t.Fatalf("NAK(%d): %v, want %v", n, got, want)
				}
				n += 2
			}
		},
		"ncfs": func(t *rapid.T) {
			room := rapid.IntRange(0, 8).Draw(t, "room")
			want := slices.Clone(m.ncfs[:min(room, len(m.ncfs))])
			for _, n := range want {
				m.unconfirm(n)
				m.num[n].ncfAt = now
			}
			slices.SortFunc(want, func(a, b seq.Num) int { return a.Sub(b) })
			if got := r.NCFs(now, make([]seq.Num, 2, 2+room))[2:]; !slices.Equal(got, want) {
				t.Fatalf("NCFs %v, want %v", got, want)
			}
		},
		"sent": func(t *rapid.T) {
			n, ok := nextNumber(r, now)
			if !ok || rapid.IntRange(0, 3).Draw(t, "other") == 0 {
				n = trail.Add(rapid.IntRange(0, 40).Draw(t, "n"))
			}
			r.Sent(now, n)
			if q := m.num[n]; q != nil && q.queued {
				m.unconfirm(n)
				q.queued, q.over, q.sentAt = false, false, now
				if len(m.sent) == cfg.MaxQueued {
					m.forget(m.sent[0])
				}
				m.sent = append(m.sent, n)
			}
		},
		"trim": func(t *rapid.T) {
			trail = trail.Add(rapid.IntRange(0, 10).Draw(t, "by"))
			r.Trim(trail)
			for len(m.order) > 0 && m.order[0].Less(trail) {
				m.forget(m.order[0])
			}
		},
	})
}

// forget removes n.
func (m *repairsModel) forget(n seq.Num) {
	m.unconfirm(n)
	delete(m.num, n)
	m.order = slices.DeleteFunc(m.order, func(x seq.Num) bool { return x == n })
	m.sent = slices.DeleteFunc(m.sent, func(x seq.Num) bool { return x == n })
}

func TestRepairsMerge(t *testing.T) {
	r := NewRepairs(RepairsConfig{HoldOff: 2 * ms, NCFSpacing: ms, MaxQueued: 3})
	want := func(at time.Duration, n seq.Num, v Verdict) {
		t.Helper()
		if got := r.NAK(mono.Time(at), addr(1), n, 1432); got != v {
			t.Errorf("NAK for %d at %v: %v, want %v", n, at, got, v)
		}
	}
	wantNCFs := func(at time.Duration, list ...seq.Num) {
		t.Helper()
		if got := r.NCFs(mono.Time(at), nil); !slices.Equal(got, list) {
			t.Errorf("NCFs at %v: %v, want %v", at, got, list)
		}
	}
	want(0, 7, Queued)
	want(0, 5, Queued)
	want(0, 7, Merged)
	wantNCFs(0, 5, 7)
	want(ms/2, 7, Merged)
	wantNCFs(ms / 2) // spacing
	want(ms, 7, Merged)
	wantNCFs(ms, 7)
	want(ms, 6, Queued)
	want(ms, 8, Refused)
	wantNCFs(ms, 6) // and none for 8
	if n, ok := nextNumber(r, 0); !ok || n != 5 {
		t.Errorf("next is %d, want 5", n)
	}
	r.Sent(mono.Time(ms), 5)
	want(2*ms, 5, HeldOff)
	wantNCFs(2*ms, 5)
	want(3*ms-1, 5, HeldOff)
	want(3*ms, 5, Queued)
	r.Trim(7)
	if n, ok := r.Oldest(); !ok || n != 7 || r.Pending() != 1 {
		t.Errorf("after the trim oldest is %d, %d pending", n, r.Pending())
	}
	if s := r.Stats(); s != (RepairsStats{Queued: 4, Merged: 3, HeldOff: 2, Refused: 1, NCFs: 5, Sent: 1}) {
		t.Errorf("stats %+v", s)
	}
}

// A source sends 1000 repairs a second. One receiver asks for 2000, ten others for 50 each; all packets count 1000 bytes.
func TestRepairsCrybaby(t *testing.T) {
	r := NewRepairs(RepairsConfig{ReceiverShare: 250_000})
	crybaby, honest, waited := 0, 0, 0
	next := seq.Num(0)
	owner := map[seq.Num]int{}
	for now := mono.Time(0); now < mono.Time(10*time.Second); now = now.Add(ms) {
		for i := range 2 {
			owner[next] = 0
			r.NAK(now, addr(0), next, 1000)
			next++
			if now/mono.Time(ms)%2 == 0 && i == 0 {
				owner[next] = 1 + int(next)%10
				r.NAK(now, addr(owner[next]), next, 1000)
				next++
			}
		}
		n, ok := nextNumber(r, now)
		if !ok {
			t.Fatal("nothing to repair")
		}
		r.Sent(now, n)
		if owner[n] == 0 {
			crybaby++
		} else {
			honest++
			waited = max(waited, next.Sub(n))
		}
	}
	if honest < 4990 || waited > 100 {
		t.Errorf("%d of 5000 repairs for the others, the slowest %d numbers late", honest, waited)
	}
	if crybaby != 10000-honest {
		t.Errorf("%d repairs for the crybaby: what the others leave is its own", crybaby)
	}
	// Now the others want more than there is: it gets its share and its burst.
	crybaby = 0
	for now := mono.Time(10 * time.Second); now < mono.Time(20*time.Second); now = now.Add(ms) {
		for i := range 12 {
			owner[next] = max(i-1, 0)
			r.NAK(now, addr(owner[next]), next, 1000)
			next++
		}
		n, _ := nextNumber(r, now)
		r.Sent(now, n)
		if owner[n] == 0 {
			crybaby++
		}
	}
	if crybaby > 10*250+25 {
		t.Errorf("%d of 10000 repairs for the crybaby while all others wait; its share is 2500", crybaby)
	}
}

// A number that somebody within its share asks for too is no longer the crybaby's.
func TestRepairsSharedNumber(t *testing.T) {
	r := NewRepairs(RepairsConfig{ReceiverShare: 10_000}) // one packet at once
	r.NAK(0, addr(0), 10, 1000)
	r.NAK(0, addr(0), 11, 1000)
	r.NAK(0, addr(0), 12, 1000)
	r.NAK(0, addr(1), 12, 1000)
	for _, want := range []seq.Num{10, 12, 11} {
		n, ok := nextNumber(r, 0)
		if !ok || n != want {
			t.Fatalf("next is %d %v, want %d", n, ok, want)
		}
		r.Sent(0, n)
	}
}

func TestRepairsBounds(t *testing.T) {
	r := NewRepairs(RepairsConfig{HoldOff: time.Hour, MaxQueued: 100, MaxRequesters: 8, ReceiverShare: 1e6})
	for i := range 10000 {
		r.NAK(mono.Time(i), addr(i), seq.Num(i), 1000)
		if i%3 > 0 {
			n, _ := nextNumber(r, mono.Time(i))
			r.Sent(mono.Time(i), n)
		}
	}
	if r.tree.Len() > 200 || len(r.requesters.byAddr) != 8 || r.Pending() > 100 {
		t.Errorf("holds %d numbers, %d receivers", r.tree.Len(), len(r.requesters.byAddr))
	}
	if s := r.Stats(); s.Refused == 0 || s.Queued+s.Refused != 10000 {
		t.Errorf("stats %+v", s)
	}
	if len(r.over.Items) == 0 {
		t.Error("invented addresses have a share")
	}
	r.Trim(20000)
	if r.tree.Len() != 0 || r.NCFPending() {
		t.Error("numbers survive the trail")
	}
	r.Next(mono.Time(2 * time.Minute))
	if len(r.requesters.byAddr) != 0 {
		t.Error("silent receivers are never forgotten")
	}
}

// steadyRepairs feeds r with the NAKs of four receivers for one packet in ten, and sends what is next.
type steadyRepairs struct {
	r    *Repairs
	now  mono.Time
	n    seq.Num
	ncfs []seq.Num
}

func newSteadyRepairs() *steadyRepairs {
	return &steadyRepairs{r: NewRepairs(RepairsConfig{ReceiverShare: 1e6, GRTT: ms / 4}), ncfs: make([]seq.Num, 0, MaxList)}
}

func (s *steadyRepairs) step() {
	s.now = s.now.Add(100 * time.Microsecond)
	s.n += 10
	for i := range 4 {
		s.r.NAK(s.now, addrs[i], s.n-seq.Num(i*20), 1432)
	}
	s.ncfs = s.r.NCFs(s.now, s.ncfs[:0])
	for range 2 {
		if n, ok := nextNumber(s.r, s.now); ok {
			s.r.Sent(s.now, n)
		}
	}
	s.r.Trim(s.n - 100000)
}

var addrs = [4]netip.Addr{addr(0), addr(1), addr(2), addr(3)}

func TestRepairsAllocs(t *testing.T) {
	s := newSteadyRepairs()
	for range 10000 {
		s.step()
	}
	if n := testing.AllocsPerRun(10, func() {
		for range 1000 {
			s.step()
		}
	}); n != 0 {
		t.Errorf("%v allocations in 1000 steps", n)
	}
	if st := s.r.Stats(); st.Merged+st.HeldOff == 0 || st.Sent == 0 {
		t.Errorf("stats %+v", st)
	}
}

func BenchmarkRepairs(b *testing.B) {
	s := newSteadyRepairs()
	b.ReportAllocs()
	for b.Loop() {
		s.step()
	}
}

// One NAK for a new number, one repair, with many queued.
func BenchmarkRepairsQueued(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"100", 100}, {"1k", 1000}, {"10k", 10000}} {
		b.Run(c.name, func(b *testing.B) {
			r := NewRepairs(RepairsConfig{})
			ncfs := make([]seq.Num, 0, MaxList)
			now, next := mono.Time(0), seq.Num(0)
			step := func(send bool) {
				now = now.Add(10 * time.Microsecond)
				r.NAK(now, addrs[next%4], next, 1432)
				next++
				ncfs = r.NCFs(now, ncfs[:0])
				if n, ok := nextNumber(r, now); ok && send {
					r.Sent(now, n)
				}
			}
			for range c.n {
				step(false)
			}
			b.ReportAllocs()
			for b.Loop() {
				step(true)
			}
		})
	}
}
