package window

import (
	"bytes"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const ms = time.Millisecond

// wantBug fails the test unless f panics as a broken call does.
func wantBug(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if s, _ := recover().(string); len(s) < 4 || s[:4] != "BUG:" {
			t.Errorf("%s: did not panic with BUG, but %q", what, s)
		}
	}()
	f()
}

// txWindow returns a window of which sent packets, numbered from 0, went out 1 ms apart from instant 0 on.
func txWindow(slots, sent int) *Transmit {
	w := NewTransmit(slots, 100, 0)
	for i := range sent {
		w.Put(copy(w.Slot(), fmt.Sprint("packet ", i)), 0, Fragment{})
		w.Sent(at(i), 1)
	}
	return w
}

// at returns the instant i milliseconds after the epoch.
func at(i int) mono.Time { return mono.Time(time.Duration(i) * ms) }

func TestTransmitEdges(t *testing.T) {
	w := NewTransmit(4, 100, 0xfffffffe)
	want := func(trail, next, end seq.Num, unsentBytes, free int) {
		t.Helper()
		if w.Trail() != trail || w.Next() != next || w.End() != end || w.Lead() != next-1 {
			t.Errorf("trail, next, end = %d, %d, %d, lead %d, want %d, %d, %d", w.Trail(), w.Next(), w.End(), w.Lead(), trail, next, end)
		}
		if w.UnsentBytes() != unsentBytes || w.Free() != free || w.Unsent() != end.Sub(next) {
			t.Errorf("%d packets of %d bytes unsent, %d free, want %d, %d, %d", w.Unsent(), w.UnsentBytes(), w.Free(), end.Sub(next), unsentBytes, free)
		}
	}
	want(0xfffffffe, 0xfffffffe, 0xfffffffe, 0, 4)
	for i := range 4 {
		if got := w.Put(copy(w.Slot(), "abcd"[:i]), uint16(i), Fragment{First: 7, Offset: 8, Length: 9}); got != seq.Num(0xfffffffe).Add(i) {
			t.Errorf("packet %d is number %d", i, got)
		}
	}
	want(0xfffffffe, 0xfffffffe, 2, 6, 0)
	if w.Slot() != nil {
		t.Error("a full window has a slot")
	}
	p, ok := w.Get(1)
	if !ok || string(p.Payload) != "abc" || cap(p.Payload) != 3 || p.Sum != 3 || p.Fragment != (Fragment{First: 7, Offset: 8, Length: 9}) {
		t.Errorf("packet 1 is %v %v", p, ok)
	}
	for _, n := range []seq.Num{0xfffffffd, 2, 0x80000000} {
		if _, ok := w.Get(n); ok {
			t.Errorf("packet %d is there", n)
		}
	}
	w.Sent(at(1), 3)
	want(0xfffffffe, 1, 2, 3, 0)
	if got := w.Reclaim(at(2), ms, 0, 0, false, 2); got != 2 {
		t.Errorf("%d reclaimed, want 2", got)
	}
	want(0, 1, 2, 3, 2)
	if got := w.Reclaim(at(2), ms, 0, 0, false, 100); got != 1 {
		t.Errorf("%d reclaimed, want 1: an unsent packet stays", got)
	}
	want(1, 1, 2, 3, 3)
}

// A slot may be filled over several calls, also while the window moves.
func TestTransmitSlotIsStable(t *testing.T) {
	w := txWindow(4, 3)
	copy(w.Slot(), "one ")
	w.Reclaim(at(100), ms, 0, 0, false, 3)
	copy(w.Slot()[4:], "two")
	p, _ := w.Get(w.Put(7, 0, Fragment{}))
	if string(p.Payload) != "one two" {
		t.Errorf("got %q", p.Payload)
	}
}

func TestTransmitPayloadSizes(t *testing.T) {
	for _, size := range []int{0, 1, 2, 63, 64, 65, 1408, 1428, 8900, 65534, 65535} {
		w := NewTransmit(8, max(size, 1), 0)
		for range 20 {
			slot := w.Slot()
			if len(slot) != max(size, 1) || cap(slot) != len(slot) {
				t.Fatalf("slot of %d bytes has %d, room for %d", size, len(slot), cap(slot))
			}
			want := pattern(int(w.End()), size)
			p, ok := w.Get(w.Put(copy(slot, want), 0, Fragment{}))
			if !ok || !bytes.Equal(p.Payload, want) {
				t.Fatalf("%d bytes did not come back", size)
			}
			w.Sent(at(0), 1)
			w.Reclaim(at(0), 0, 0, 0, false, 1)
		}
	}
}

// pattern returns size bytes that differ for each n.
func pattern(n, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n*7 + i + i>>8)
	}
	return b
}

func TestTransmitReclaim(t *testing.T) {
	const age, grace = 20 * ms, 10 * ms
	type resent struct {
		at int // ms
		n  seq.Num
	}
	for _, c := range []struct {
		what    string
		resent  []resent
		now     int   // ms
		pending int64 // number, -1: none
		most    int
		want    int
		next    mono.Time // when the next is due
	}{
		{"too young", nil, 19, -1, 10, 0, at(20)},
		{"first is old enough", nil, 20, -1, 10, 1, at(21)},
		{"three are", nil, 22, -1, 10, 3, at(23)},
		{"three are, two allowed", nil, 22, -1, 2, 2, at(22)},
		{"none allowed", nil, 22, -1, 0, 0, at(20)},
		{"all", nil, 100, -1, 10, 5, mono.Never},
		{"resent stays", []resent{{15, 1}}, 24, -1, 10, 1, at(31)},
		{"resent stays until age + grace", []resent{{15, 1}}, 30, -1, 10, 1, at(31)},
		{"resent leaves at age + grace", []resent{{15, 1}}, 31, -1, 10, 5, mono.Never},
		{"resent soon after leaves a little later", []resent{{5, 1}}, 24, -1, 10, 1, at(25)},
		{"and then", []resent{{5, 1}}, 25, -1, 10, 5, mono.Never},
		{"resent again and again leaves", []resent{{15, 0}, {25, 0}, {29, 0}}, 30, -1, 10, 5, mono.Never},
		{"pending stays, and what follows", nil, 25, 2, 10, 2, at(32)},
		{"pending is the first", nil, 29, 0, 10, 0, at(30)},
		{"pending leaves at age + grace", nil, 31, 0, 10, 2, at(32)},
		{"pending beyond the window", nil, 25, 100, 10, 5, mono.Never},
		{"pending before the window", nil, 25, 0xfffffff0, 10, 0, at(30)},
	} {
		w := txWindow(8, 5)
		for _, r := range c.resent {
			w.Resent(at(r.at), r.n)
		}
		pending, has := seq.Num(c.pending), c.pending >= 0
		if got := w.Reclaim(at(c.now), age, grace, pending, has, c.most); got != c.want {
			t.Errorf("%s: %d reclaimed, want %d", c.what, got, c.want)
		}
		if got := w.ReclaimAt(age, grace, pending, has); got != c.next {
			t.Errorf("%s: next at %v, want %v", c.what, got, c.next)
		}
		w.check()
	}
}

// An instant that lies before an earlier one does not make a packet older than the one before it.
func TestTransmitTimeDoesNotGoBack(t *testing.T) {
	w := txWindow(8, 3)
	w.Put(0, 0, Fragment{})
	w.Sent(at(0), 1)
	w.check()
	if got := w.Reclaim(at(9), 8*ms, 0, 0, false, 8); got != 2 {
		t.Errorf("%d reclaimed, want 2", got)
	}
	if got := w.Reclaim(at(10), 8*ms, 0, 0, false, 8); got != 2 {
		t.Errorf("%d reclaimed then, want 2: the last counts as sent with the one before it", got)
	}
}

func TestTransmitBugs(t *testing.T) {
	for what, f := range map[string]func(){
		"no slots":          func() { NewTransmit(0, 1, 0) },
		"too many slots":    func() { NewTransmit(1<<30+1, 1, 0) },
		"empty slots":       func() { NewTransmit(1, 0, 0) },
		"too large slots":   func() { NewTransmit(1, 65536, 0) },
		"full":              func() { txWindow(4, 4).Put(0, 0, Fragment{}) },
		"negative":          func() { txWindow(4, 0).Put(-1, 0, Fragment{}) },
		"beyond the slot":   func() { txWindow(4, 0).Put(101, 0, Fragment{}) },
		"sent unwritten":    func() { txWindow(4, 1).Sent(at(9), 1) },
		"sent less than 0":  func() { txWindow(4, 1).Sent(at(9), -1) },
		"resent unsent":     func() { txWindow(4, 1).Resent(at(9), 1) },
		"resent reclaimed":  func() { w := txWindow(4, 2); w.Reclaim(at(9), 0, 0, 0, false, 1); w.Resent(at(9), 0) },
		"broken bytes":      func() { w := txWindow(4, 2); w.unsentBytes++; w.check() },
		"broken edges":      func() { w := txWindow(4, 2); w.next += 2; w.check() },
		"broken first sent": func() { w := txWindow(4, 2); s, _ := w.at(0); s.first += 9999999; w.check() },
	} {
		wantBug(t, what, f)
	}
}

// Where invariants are checked, a broken window is found by its own calls, and what a view shows after its time is poison.
func TestTransmitInvariants(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("needs -tags invariants or -race")
	}
	w := txWindow(4, 2)
	p, _ := w.Get(0)
	w.Reclaim(at(9), 0, 0, 0, false, 1)
	if p.Payload[0] != poison {
		t.Errorf("a reclaimed payload still reads %q", p.Payload)
	}
	w.unsentBytes++
	wantBug(t, "walk", func() {
		for range 2 {
			w.Put(0, 0, Fragment{})
		}
	})
}

func TestTransmitRoundsDown(t *testing.T) {
	for slots, want := range map[int]int{1: 1, 2: 2, 3: 2, 47662: 32768, 65535: 32768, 65536: 65536} {
		if got := NewTransmit(slots, 1428, 0).Slots(); got != want {
			t.Errorf("%d slots became %d, want %d", slots, got, want)
		}
	}
}

func TestTransmitIdleSize(t *testing.T) {
	if size := unsafe.Sizeof(Transmit{}); size > 128 {
		t.Errorf("an idle window takes %d bytes", size)
	}
	var w *Transmit
	if got := testing.AllocsPerRun(10, func() { w = NewTransmit(32768, 1428, 0) }); got > 1 {
		t.Errorf("an idle window makes %v allocations", got)
	}
	if w.chunks != nil {
		t.Error("an idle window has chunks")
	}
	w.Slot()
	held := 0
	for _, c := range w.chunks {
		held += len(c.memory)
	}
	if held == 0 || held > transmitChunkBytes {
		t.Errorf("one packet makes %d bytes of memory", held)
	}
}

func TestTransmitAllocs(t *testing.T) {
	w := NewTransmit(256, 1428, 0xffffff00)
	now := mono.Time(0)
	cycle := func() {
		n := w.Put(len(w.Slot()), 1, Fragment{})
		w.Get(n)
		w.Sent(now, 1)
		w.Resent(now, n)
		now = now.Add(ms)
		w.Reclaim(now, 100*ms, ms, 0, false, 1)
	}
	for range 1000 {
		cycle()
	}
	if got := testing.AllocsPerRun(1000, cycle); got != 0 {
		t.Errorf("%v allocations per packet", got)
	}
}

// txModel is a transmit window as one would write it without care for speed.
type txModel struct {
	packets          map[seq.Num]txModelPacket
	trail, next, end seq.Num
}

type txModelPacket struct {
	payload     []byte
	sum         uint16
	fragment    Fragment
	first, last mono.Time
}

// mayLeave says by the words of Reclaim's comment whether the trail may move over its packet.
func (m *txModel) mayLeave(now mono.Time, age, grace time.Duration, pending seq.Num, has bool) bool {
	p := m.packets[m.trail]
	switch {
	case m.trail == m.next || now.Sub(p.first) < age:
		return false
	case now.Sub(p.first) >= age+grace:
		return true
	}
	return now.Sub(p.last) >= age && (!has || m.trail.Less(pending))
}

func TestTransmitModel(t *testing.T) { rapid.Check(t, transmitBesideModel) }

func transmitBesideModel(t *rapid.T) {
	first := seq.Num(0).Add(rapid.IntRange(-20, 5).Draw(t, "first"))
	slots := rapid.IntRange(1, 20).Draw(t, "slots")
	slotBytes := rapid.IntRange(1, 3000).Draw(t, "slotBytes")
	w := NewTransmit(slots, slotBytes, first)
	m := &txModel{packets: map[seq.Num]txModelPacket{}, trail: first, next: first, end: first}
	now := mono.Time(0)
	drawNumber := func(t *rapid.T) seq.Num { return m.trail.Add(rapid.IntRange(-3, 25).Draw(t, "n")) }
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { m.compare(t, w) },
		"put": func(t *rapid.T) {
			slot := w.Slot()
			if (slot == nil) != (m.end.Sub(m.trail) == w.Slots()) {
				t.Fatalf("slot of %d bytes with %v written", len(slot), seq.Range{From: m.trail, To: m.end})
			}
			if slot == nil {
				return
			}
			p := txModelPacket{
				payload:  pattern(int(m.end), rapid.IntRange(0, slotBytes).Draw(t, "bytes")),
				sum:      rapid.Uint16().Draw(t, "sum"),
				fragment: Fragment{Length: rapid.Uint32().Draw(t, "length")},
			}
			if n := w.Put(copy(slot, p.payload), p.sum, p.fragment); n != m.end {
				t.Fatalf("put number %d, want %d", n, m.end)
			}
			m.packets[m.end] = p
			m.end++
		},
		"sent": func(t *rapid.T) {
			n := rapid.IntRange(0, m.end.Sub(m.next)).Draw(t, "n")
			w.Sent(now, n)
			for range n {
				p := m.packets[m.next]
				p.first, p.last = now, now
				m.packets[m.next] = p
				m.next++
			}
		},
		"resent": func(t *rapid.T) {
			if n := drawNumber(t); (seq.Range{From: m.trail, To: m.next}).Has(n) {
				p := m.packets[n]
				p.last = now
				m.packets[n] = p
				w.Resent(now, n)
			}
		},
		"reclaim": func(t *rapid.T) { m.reclaim(t, w, now, drawNumber(t)) },
		"wait":    func(t *rapid.T) { now += mono.Time(rapid.IntRange(0, 10).Draw(t, "wait")) },
	})
}

// reclaim reclaims in window and model, and fails unless they agree on how much may leave and when.
func (m *txModel) reclaim(t *rapid.T, w *Transmit, now mono.Time, pending seq.Num) {
	age := time.Duration(rapid.IntRange(0, 10).Draw(t, "age"))
	grace := time.Duration(rapid.IntRange(0, 10).Draw(t, "grace"))
	has := rapid.Bool().Draw(t, "hasPending")
	due := w.ReclaimAt(age, grace, pending, has)
	if may := m.mayLeave(now, age, grace, pending, has); may != !now.Before(due) {
		t.Fatalf("at %v: reclaim due at %v, may leave %v", now, due, may)
	}
	if due != mono.Never && due > now && (m.mayLeave(due-1, age, grace, pending, has) || !m.mayLeave(due, age, grace, pending, has)) {
		t.Fatalf("at %v: %v is not the first instant for reclaim", now, due)
	}
	most, want := rapid.IntRange(0, 5).Draw(t, "most"), 0
	for want < most && m.mayLeave(now, age, grace, pending, has) {
		delete(m.packets, m.trail)
		m.trail++
		want++
	}
	if got := w.Reclaim(now, age, grace, pending, has, most); got != want {
		t.Fatalf("%d reclaimed, want %d", got, want)
	}
}

func (m *txModel) compare(t *rapid.T, w *Transmit) {
	w.check()
	if w.Trail() != m.trail || w.Next() != m.next || w.End() != m.end {
		t.Fatalf("trail, next, end = %d, %d, %d, want %d, %d, %d", w.Trail(), w.Next(), w.End(), m.trail, m.next, m.end)
	}
	unsentBytes := 0
	for n := m.trail - 3; n != m.end+3; n++ {
		p, ok := w.Get(n)
		want, has := m.packets[n]
		if ok != has || !bytes.Equal(p.Payload, want.payload) || p.Sum != want.sum || p.Fragment != want.fragment {
			t.Fatalf("packet %d is %v %v, want %v %v", n, p, ok, want, has)
		}
		if !n.Less(m.next) {
			unsentBytes += len(want.payload)
		}
	}
	if w.UnsentBytes() != unsentBytes || w.Unsent() != m.end.Sub(m.next) || w.Free() != w.Slots()-len(m.packets) {
		t.Fatalf("%d bytes, %d packets unsent, %d free", w.UnsentBytes(), w.Unsent(), w.Free())
	}
}

func TestTransmitLastSent(t *testing.T) {
	w := NewTransmit(4, 64, 7)
	w.Slot()
	w.Put(10, 0, Fragment{})
	w.Sent(100, 1)
	if got := w.LastSent(7); got != 100 {
		t.Errorf("sent at 100, LastSent says %v", got)
	}
	w.Resent(250, 7)
	if got := w.LastSent(7); got != 250 {
		t.Errorf("sent again at 250, LastSent says %v", got)
	}
}
