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

// item is a number, or the parity of the group that begins there.
type item struct {
	n      seq.Num
	parity bool
}

func (a item) compare(b item) int {
	switch {
	case a.n != b.n:
		return a.n.Sub(b.n)
	case a.parity == b.parity:
		return 0
	case b.parity:
		return -1
	}
	return 1
}

// outgoing is parity that went out.
type outgoing struct {
	at      mono.Time
	packets int
}

// asked is one item of the model. A number has a need of 1 while it is queued.
type asked struct {
	need, fair       int
	pending          bool
	named, confirmed int       // parity only: by NAKs since the last NCF, by that NCF
	ncfAt, sentAt    mono.Time // -1: never
	bytes            int
	out              []outgoing
	by               map[netip.Addr]bool // who asked since it is queued
}

// repairsModel is a Repairs that remembers every item for ever and searches them all each time.
type repairsModel struct {
	cfg    RepairsConfig
	items  map[item]*asked
	order  []item               // of items
	tokens map[netip.Addr]int64 // in 1e-9 bytes
	filled map[netip.Addr]mono.Time
	own    map[netip.Addr]int64 // shares of their own
	r      *Repairs             // asked which item gave way in a full queue
	ncfs   []item               // pending, the longest waiting first
	sent   []item               // not queued, in the order of their repairs
}

// meet has from known, with a full bucket of the common share.
func (m *repairsModel) meet(now mono.Time, from netip.Addr) {
	if _, known := m.filled[from]; !known {
		m.tokens[from], m.filled[from] = max(1, m.cfg.ReceiverShare/10)*1e9, now
	}
}

func (m *repairsModel) take(now mono.Time, from netip.Addr, bytes int) bool {
	m.meet(now, from)
	share := m.cfg.ReceiverShare
	if m.own[from] > 0 {
		share = m.own[from]
	}
	if share <= 0 {
		return true
	}
	have := min(m.tokens[from]+share*int64(now.Sub(m.filled[from])), max(1, share/10)*1e9)
	m.tokens[from], m.filled[from] = have, now
	if have <= 0 {
		return false
	}
	m.tokens[from] -= int64(bytes) * 1e9
	return true
}

// share gives from one of its own.
func (m *repairsModel) share(now mono.Time, from netip.Addr, own int64) {
	if own == m.own[from] {
		return
	}
	m.take(now, from, 0)
	if m.own[from] == 0 {
		m.tokens[from] = max(m.tokens[from], 0)
		for _, i := range append(m.queued(false), m.queued(true)...) {
			if q := m.items[i]; len(q.by) == 1 && q.by[from] {
				m.forget(i)
			}
		}
	}
	m.own[from], m.filled[from] = own, now
	m.take(now, from, 0)
}

func (m *repairsModel) queued(over bool) (list []item) {
	for _, i := range m.order {
		if q := m.items[i]; q.need > 0 && (q.fair == 0) == over {
			list = append(list, i)
		}
	}
	return list
}

// gaveWay returns what Repairs, called first, dropped for another.
func (m *repairsModel) gaveWay() item {
	for _, i := range m.queued(true) {
		if _, ok := m.r.find(i.n, i.parity); !ok {
			return i
		}
	}
	panic("nothing gave way in a full queue")
}

func (m *repairsModel) pendingCount() int { return len(m.queued(false)) + len(m.queued(true)) }

// admit makes room for an item more, if it can.
func (m *repairsModel) admit(now mono.Time, from netip.Addr) bool {
	if m.pendingCount() < m.cfg.MaxQueued {
		return true
	}
	if m.own[from] > 0 || len(m.queued(true)) == 0 || !m.take(now, from, 0) {
		return false
	}
	m.forget(m.gaveWay())
	return true
}

// get returns what is known of i, which is known from now on.
func (m *repairsModel) get(i item) *asked {
	q := m.items[i]
	if q == nil {
		q = &asked{ncfAt: -1, sentAt: -1}
		m.items[i] = q
		at, _ := slices.BinarySearchFunc(m.order, i, item.compare)
		m.order = slices.Insert(m.order, at, i)
	}
	return q
}

func (m *repairsModel) nak(now mono.Time, from netip.Addr, n seq.Num, bytes int) (v Verdict) {
	m.meet(now, from)
	i := item{n: n}
	q := m.items[i]
	switch {
	case q != nil && q.need > 0:
		v = Merged
		q.by[from] = true
		if q.fair == 0 && m.own[from] == 0 && m.take(now, from, q.bytes) {
			q.fair = 1
		}
	case q != nil && q.sentAt >= 0 && now < q.sentAt.Add(m.cfg.HoldOff):
		v = HeldOff
	default:
		if !m.admit(now, from) || m.own[from] > 0 && !m.take(now, from, bytes) {
			return Refused
		}
		q = m.get(i)
		m.unsend(i)
		q.need, q.bytes, q.by = 1, bytes, map[netip.Addr]bool{from: true}
		if m.own[from] == 0 && m.take(now, from, bytes) {
			q.fair = 1
		}
	}
	m.confirm(now, i, 0)
	return v
}

func (m *repairsModel) parityNAK(now mono.Time, from netip.Addr, base seq.Num, count int, seen mono.Time, bytes int) (v Verdict) {
	m.meet(now, from)
	i := item{base, true}
	q := m.items[i]
	need := count
	if q != nil {
		for _, o := range q.out {
			if o.at > seen && now < o.at.Add(m.cfg.HoldOff) {
				need -= o.packets
			}
		}
	}
	if need > 0 && (q == nil || q.need == 0) && !m.admit(now, from) {
		return Refused
	}
	if m.own[from] > 0 { // what is queued costs it nothing, more must be paid
		paid := 0
		if q != nil {
			paid = q.need
		}
		for paid < need && m.take(now, from, bytes) {
			paid++
		}
		if paid == 0 && need > 0 {
			return Refused
		}
		if paid < need {
			need, count = paid, count-(need-paid)
		}
	}
	q = m.get(i)
	switch {
	case need <= 0:
		v = HeldOff
	case need <= q.need:
		v = Merged
	}
	if need > 0 {
		m.unsend(i)
		if q.need == 0 {
			q.by = map[netip.Addr]bool{}
		}
		q.by[from] = true
	}
	q.need = max(q.need, need)
	for q.fair < need && m.own[from] == 0 && m.take(now, from, bytes) {
		q.fair++
	}
	m.confirm(now, i, count)
	return v
}

func (m *repairsModel) confirm(now mono.Time, i item, count int) {
	q := m.items[i]
	if !q.pending && (q.ncfAt < 0 || now >= q.ncfAt.Add(m.cfg.NCFSpacing) || count > q.confirmed) {
		q.pending, q.named = true, 0
		m.ncfs = append(m.ncfs, i)
	}
	q.named = max(q.named, count)
}

// confirmed returns the numbers of the NCF that goes out now with room for so many.
func (m *repairsModel) confirmedNow(now mono.Time, parity bool, room int) (nums []seq.Num) {
	for _, i := range slices.Clone(m.ncfs) {
		if i.parity != parity || len(nums) == room {
			continue
		}
		q := m.items[i]
		m.unconfirm(i)
		q.ncfAt = now
		n := i.n
		if parity {
			q.confirmed = max(q.named, q.need)
			n = n.Add(q.confirmed - 1)
		}
		nums = append(nums, n)
	}
	slices.SortFunc(nums, func(a, b seq.Num) int { return a.Sub(b) })
	return nums
}

func (m *repairsModel) ncfPending(parity bool) bool {
	return slices.ContainsFunc(m.ncfs, func(i item) bool { return i.parity == parity })
}

func (m *repairsModel) unconfirm(i item) {
	m.items[i].pending = false
	m.ncfs = slices.DeleteFunc(m.ncfs, func(x item) bool { return x == i })
}

// remember notes that i, not queued, went out now.
func (m *repairsModel) remember(now mono.Time, i item) {
	m.unsend(i)
	m.items[i].sentAt = now
	if len(m.sent) == m.cfg.MaxQueued {
		m.forget(m.sent[0])
	}
	m.sent = append(m.sent, i)
}

func (m *repairsModel) unsend(i item) {
	m.sent = slices.DeleteFunc(m.sent, func(x item) bool { return x == i })
}

func (m *repairsModel) numberSent(now mono.Time, n seq.Num) {
	i := item{n: n}
	if q := m.items[i]; q != nil && q.need > 0 {
		m.unconfirm(i)
		q.need, q.fair = 0, 0
		m.remember(now, i)
	}
}

func (m *repairsModel) paritySent(now mono.Time, base seq.Num, n int) {
	i := item{base, true}
	q := m.get(i)
	queued := q.need > 0
	q.need, q.fair = max(q.need-n, 0), max(q.fair-n, 0)
	if q.need == 0 {
		if queued {
			m.unconfirm(i)
		}
		m.remember(now, i)
	}
	// Those that still count; one that is as near to the next as there is room for counts as that.
	q.out = slices.DeleteFunc(q.out, func(o outgoing) bool { return now >= o.at.Add(m.cfg.HoldOff) })
	if len(q.out) == maxSends && q.out[maxSends-1].at != now {
		q.out[1].packets += q.out[0].packets
		q.out = q.out[1:]
	}
	q.out = append(q.out, outgoing{now, n})
	if k := len(q.out); k > 1 && q.out[k-2].at == now {
		q.out[k-2].packets += n
		q.out = q.out[:k-1]
	}
}

// TestRepairsModel runs Repairs beside the model. HoldOff is not less than NCFSpacing here, and the backoff short, so that what
// Repairs forgets is what has no effect any more.
func TestRepairsModel(t *testing.T) { rapid.Check(t, repairsBesideModel) }

func repairsBesideModel(t *rapid.T) {
	cfg := RepairsConfig{HoldOff: 20, NCFSpacing: 10, MaxQueued: rapid.IntRange(1, 40).Draw(t, "max"), GRTT: 10}
	if rapid.Bool().Draw(t, "shared") {
		cfg.ReceiverShare = 10 * rapid.Int64Range(1, 20000).Draw(t, "share")
	}
	r := NewRepairs(cfg)
	m := &repairsModel{r: r, cfg: cfg, items: map[item]*asked{}, tokens: map[netip.Addr]int64{}, filled: map[netip.Addr]mono.Time{}, own: map[netip.Addr]int64{}}
	trail := rapid.SampledFrom([]seq.Num{0, 1<<31 - 20, 1<<32 - 20}).Draw(t, "trail")
	now := mono.Time(0)
	const k = 8
	base := func(t *rapid.T) seq.Num {
		return (trail.Add(k-1) &^ (k - 1)).Add(k * rapid.IntRange(0, 4).Draw(t, "group"))
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			within, over := m.queued(false), m.queued(true)
			next := append(slices.Clone(within), over...)
			want := Repair{}
			if len(next) > 0 {
				q := m.items[next[0]]
				want = Repair{next[0].n, next[0].parity, q.fair}
				if len(within) == 0 {
					want.Count = q.need
				}
			}
			if got, ok := r.Next(now); ok != (len(next) > 0) || got != want {
				t.Fatalf("next %+v %v, want %+v of %v", got, ok, want, next)
			}
			slices.SortFunc(next, item.compare)
			if n, ok := r.Oldest(); ok != (len(next) > 0) || ok && n != next[0].n {
				t.Fatalf("oldest %d %v, want the first of %v", n, ok, next)
			}
			if r.Pending() != len(next) || r.NCFPending() != m.ncfPending(false) || r.ParityNCFPending() != m.ncfPending(true) {
				t.Fatalf("%d pending, NCFs %v, want %v, %v", r.Pending(), r.NCFPending(), next, m.ncfs)
			}
			if r.tree.Len() != r.Pending()+r.remembered || r.remembered > cfg.MaxQueued {
				t.Fatalf("holds %d, %d queued and %d remembered", r.tree.Len(), r.Pending(), r.remembered)
			}
		},
		"wait":   func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "d"))) },
		"moment": func(t *rapid.T) { now++ },
		"rest":   func(t *rapid.T) { now = now.Add(time.Duration(rapid.Int64Range(1, 100e6).Draw(t, "rest"))) },
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
		"share": func(t *rapid.T) {
			from := addr(rapid.IntRange(0, 3).Draw(t, "from"))
			share := 10 * rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 20000), rapid.Int64Range(1e8, 2e8)).Draw(t, "share")
			m.meet(now, from)
			r.NAK(now, from, trail, 40) // so that both know it from now on
			m.nak(now, from, trail, 40)
			r.SetShareOf(now, from, share)
			m.share(now, from, share)
		},
		"parityNAK": func(t *rapid.T) {
			from, n := addr(rapid.IntRange(0, 3).Draw(t, "from")), base(t)
			count, bytes := rapid.IntRange(1, k).Draw(t, "count"), rapid.IntRange(40, 1452).Draw(t, "bytes")
			seen := now.Add(time.Duration(rapid.IntRange(-30, 3).Draw(t, "seen")))
			got := r.ParityNAK(now, from, n, count, seen, bytes)
			if want := m.parityNAK(now, from, n, count, seen, bytes); got != want {
				t.Fatalf("ParityNAK(%d, %d): %v, want %v", n, count, got, want)
			}
		},
		"ncfs": func(t *rapid.T) {
			room := rapid.IntRange(0, 8).Draw(t, "room")
			want := m.confirmedNow(now, false, room)
			if got := r.NCFs(now, make([]seq.Num, 2, 2+room))[2:]; !slices.Equal(got, want) {
				t.Fatalf("NCFs %v, want %v", got, want)
			}
		},
		"parityNCFs": func(t *rapid.T) {
			room := rapid.IntRange(0, 3).Draw(t, "room")
			want := m.confirmedNow(now, true, room)
			if got := r.ParityNCFs(now, make([]seq.Num, 2, 2+room))[2:]; !slices.Equal(got, want) {
				t.Fatalf("parity NCFs %v, want %v", got, want)
			}
		},
		"sent": func(t *rapid.T) {
			next, ok := r.Next(now)
			n := next.N
			if !ok || next.Parity || rapid.IntRange(0, 3).Draw(t, "other") == 0 {
				n = trail.Add(rapid.IntRange(0, 40).Draw(t, "n"))
			}
			r.Sent(now, n)
			m.numberSent(now, n)
		},
		"paritySent": func(t *rapid.T) {
			next, ok := r.Next(now)
			n, count := next.N, next.Count
			if !ok || !next.Parity || rapid.IntRange(0, 3).Draw(t, "other") == 0 {
				n, count = base(t), rapid.IntRange(1, k).Draw(t, "count")
			} else if rapid.Bool().Draw(t, "part") {
				count = rapid.IntRange(1, count).Draw(t, "count")
			}
			r.ParitySent(now, n, count)
			m.paritySent(now, n, count)
		},
		"trim": func(t *rapid.T) {
			trail = trail.Add(rapid.IntRange(0, 10).Draw(t, "by"))
			r.Trim(trail)
			for len(m.order) > 0 && m.order[0].n.Less(trail) {
				m.forget(m.order[0])
			}
		},
	})
}

// forget removes i.
func (m *repairsModel) forget(i item) {
	m.unconfirm(i)
	delete(m.items, i)
	m.order = slices.DeleteFunc(m.order, func(x item) bool { return x == i })
	m.unsend(i)
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
