package window

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/seq"
)

// rxModel is a receive window as one would write it without care for speed. Numbers it does not have are Unknown from end on
// and Done before next.
type rxModel struct {
	w         *Receive
	state     map[seq.Num]State
	packets   map[seq.Num]Packet // those in Have
	next, end seq.Num
	maxSlots  int
	released  bool
	buffers   int // that fit into the memory if all are of one class; 0: several classes
	top       seq.Num
	keep      int                // of Keep
	kept      map[seq.Num]Packet // released and kept
}

func (m *rxModel) of(n seq.Num) State {
	if s, ok := m.state[n]; ok {
		return s
	}
	if n.Less(m.next) {
		return Done
	}
	return Unknown
}

// count returns how many numbers in [next, to) are in state s.
func (m *rxModel) count(s State, to seq.Num) int {
	count := 0
	for n := m.next; n.Less(to); n++ {
		if m.of(n) == s {
			count++
		}
	}
	return count
}

// inBuffers counts the packets that take memory.
func inBuffers(packets map[seq.Num]Packet) int {
	count := 0
	for _, p := range packets {
		if len(p.Payload) > 0 {
			count++
		}
	}
	return count
}

// memoryFor says whether a payload that takes memory must (or must not) find some as number n.
func (m *rxModel) memoryFor(n seq.Num) bool {
	if m.of(n) == Missing && (n.Less(m.top) || m.count(Missing, n) == 0) && inBuffers(m.packets) < m.buffers {
		return true
	}
	return inBuffers(m.packets)+m.count(Missing, n)+max(n.Sub(m.end), 0)+1 <= m.buffers
}

// insert makes the model agree with a packet that was taken, and returns what the window should say of it.
func (m *rxModel) insert(n seq.Num, p Packet, full bool) (Result, seq.Range) {
	gap := seq.Range{}
	result := InOrder
	switch m.of(n) {
	case Have:
		return Duplicate, gap
	case Lost:
		return Late, gap
	case Done:
		if n.Less(m.next) {
			return Late, gap
		}
		return Duplicate, gap
	case Missing:
		result = Filled
	case Unknown:
		if n.Sub(m.next) >= m.maxSlots {
			return Full, gap
		}
	}
	if full {
		return Full, gap
	}
	if result != Filled {
		gap = seq.Range{From: m.end, To: n}
		if n != m.end {
			result = Ahead
		}
		m.extend(n, Missing)
		m.end = n + 1
	}
	m.state[n], m.packets[n] = Have, p
	if len(p.Payload) > 0 {
		m.top = seq.Max(m.top, n+1)
	}
	return result, gap
}

func (m *rxModel) extend(end seq.Num, s State) seq.Range {
	gap := seq.Range{From: m.end, To: m.end}
	for m.end.Less(end) && m.end.Sub(m.next) < m.maxSlots {
		m.state[m.end] = s
		m.end++
	}
	gap.To = m.end
	return gap
}

func (m *rxModel) release(n seq.Num) {
	m.released = true
	m.keepOrFree(n)
	m.state[n] = Done
	delete(m.packets, n)
	for m.next != m.end && m.state[m.next] == Done {
		delete(m.state, m.next)
		m.next++
	}
}

// keepOrFree makes n, which is about to be released, a kept packet, or frees its group if no number of that can be missing any more.
func (m *rxModel) keepOrFree(n seq.Num) {
	if m.keep == 0 {
		return
	}
	first := n - seq.Num(uint32(n)%uint32(m.keep))
	for i := range m.keep {
		if s := m.of(first.Add(i)); s == Missing || s == Unknown {
			if p, ok := m.packets[n]; ok {
				m.kept[n] = p
			}
			return
		}
	}
	for i := range m.keep {
		delete(m.kept, first.Add(i))
	}
}

// setKeep is Keep.
func (m *rxModel) setKeep(k int) {
	m.w.Keep(k)
	if k != m.keep {
		m.keep = k
		clear(m.kept)
	}
}

// giveWay takes from the model what the window does not keep any more, and fails unless that is all of the lowest groups.
func (m *rxModel) giveWay(t *rapid.T) {
	end := m.next - MaxKeep // of the groups that have given way
	for n := range m.kept {
		if !m.w.isKept(n) {
			end = seq.Max(end, (n|seq.Num(m.keep-1))+1)
			delete(m.kept, n)
		}
	}
	for n := range m.kept {
		if n.Less(end) {
			t.Fatalf("%d is kept, and something before %d has given way", n, end)
		}
	}
}

func (m *rxModel) run() seq.Num {
	n := m.next
	for n != m.end && m.state[n] != Missing {
		n++
	}
	return n
}

// compare fails if the window and the model tell different things.
func (m *rxModel) compare(t *rapid.T) {
	w := m.w
	w.check()
	if w.Next() != m.next || w.End() != m.end || w.Run() != m.run() || w.Limit() != m.next.Add(m.maxSlots) {
		t.Fatalf("next, run, end, limit = %d, %d, %d, %d, want %d, %d, %d, %d",
			w.Next(), w.Run(), w.End(), w.Limit(), m.next, m.run(), m.end, m.next.Add(m.maxSlots))
	}
	held := int64(0)
	for n := m.next - 3; n != m.end+3; n++ {
		p, ok := w.Packet(n)
		want, has := m.packets[n]
		if w.State(n) != m.of(n) || ok != has || p.Sum != 0 || p.Fragment != want.Fragment || !bytes.Equal(p.Payload, want.Payload) {
			t.Fatalf("number %d is %v, %v, want %v, %v", n, w.State(n), p, m.of(n), want)
		}
		held += int64(len(want.Payload))
	}
	if w.Missing() != m.count(Missing, m.end) || w.Held() != len(m.packets) || w.Bytes() != held {
		t.Fatalf("%d missing, %d held, %d bytes, want %d, %d, %d", w.Missing(), w.Held(), w.Bytes(), m.count(Missing, m.end), len(m.packets), held)
	}
	if limit := int64(w.buffers.maxChunks) * chunkBytes; w.Memory() > limit || w.Memory() < held {
		t.Fatalf("memory of %d bytes for %d held, at most %d", w.Memory(), held, limit)
	}
	m.compareGaps(t)
	m.compareKept(t)
}

// compareKept fails if the window keeps anything else than the model, or has not as much spare memory as it would have if it did not.
func (m *rxModel) compareKept(t *rapid.T) {
	w := m.w
	for n := m.next - MaxKeep; n != m.end+3; n++ {
		want, has := m.kept[n]
		if !has {
			want, has = m.packets[n]
		}
		p, ok := w.Kept(n)
		if ok != has || p.Fragment != want.Fragment || !bytes.Equal(p.Payload, want.Payload) {
			t.Fatalf("number %d, %v, is kept: %v, %v, want %v, %v", n, w.State(n), ok, p, has, want)
		}
	}
	if int(w.kept) != len(m.kept) {
		t.Fatalf("%d kept, want %d", w.kept, len(m.kept))
	}
	spare := w.Spare()
	if m.buffers > 0 {
		if want := max(m.buffers-inBuffers(m.packets)-w.Missing(), 0); spare != want {
			t.Fatalf("memory for %d packets, want for %d", spare, want)
		}
	} else if w.kept > 0 {
		free := w.Clone()
		free.Keep(0)
		free.buffers.cool()
		if want := free.Spare(); spare > want || spare < want && spare < ample {
			t.Fatalf("memory for %d packets, %d if nothing is kept", spare, want)
		}
	}
}

// compareGaps visits the window's missing runs, which must be those of the model and not touch each other.
func (m *rxModel) compareGaps(t *rapid.T) {
	found := 0
	from := m.next - 1
	for {
		gap, ok := m.w.NextMissing(from)
		if !ok {
			break
		}
		if gap.Empty() || found > 0 && gap.From == from || m.of(gap.To) == Missing {
			t.Fatalf("missing %v after %d", gap, from)
		}
		for n := gap.From; n != gap.To; n++ {
			if m.of(n) != Missing {
				t.Fatalf("%d in %v is %v", n, gap, m.of(n))
			}
			found++
		}
		from = gap.To
	}
	if want := m.count(Missing, m.end); found != want {
		t.Fatalf("%d missing numbers found, want %d", found, want)
	}
}

// draw returns a number in or near the window.
func (m *rxModel) draw(t *rapid.T, label string) seq.Num {
	if rapid.Bool().Draw(t, label+" early") {
		return m.run().Add(rapid.IntRange(-3, 6).Draw(t, label))
	}
	return m.next.Add(rapid.IntRange(-3, m.maxSlots+3).Draw(t, label))
}

// insertBoth inserts n into window and model, and fails unless they say the same of it.
func (m *rxModel) insertBoth(t *rapid.T, n seq.Num, sizes *rapid.Generator[int]) {
	p := Packet{Payload: pattern(int(n), sizes.Draw(t, "bytes")), Fragment: Fragment{First: n, Length: rapid.Uint32().Draw(t, "length")}}
	below := m.of(n) == Missing && n.Less(m.top)
	spare := m.w.Spare() + m.w.Missing()
	free := m.buffers - inBuffers(m.packets) - inBuffers(m.kept) - m.count(Missing, m.end) - max(n.Sub(m.end), 0)
	kept := m.w.kept
	got, gotGap := m.w.Insert(n, p.Payload, p.Fragment)
	full := got == Full
	if m.buffers > 0 && m.w.kept < kept && (free > 0 || full) {
		t.Fatalf("insert %d, %v: %d gave way with %d buffers free", n, got, kept-m.w.kept, free)
	}
	if m.keep > 0 {
		m.giveWay(t)
	}
	if m.buffers > 0 {
		full = len(p.Payload) > 0 && !m.memoryFor(n)
	} else if full && below {
		t.Fatalf("no memory for %d, missing below %d", n, m.top)
	} else if m.of(n) == Unknown && full && n.Less(m.w.Limit()) && spare > m.count(Missing, n)+n.Sub(m.end) {
		t.Fatalf("no memory for %d with %d buffers spare", n, spare)
	}
	want, wantGap := m.insert(n, p, full)
	if got != want || gotGap.Len() != wantGap.Len() || got == Ahead && gotGap != wantGap {
		t.Fatalf("insert %d: %v %v, want %v %v", n, got, gotGap, want, wantGap)
	}
}

func (m *rxModel) actions(sizes *rapid.Generator[int]) map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":       m.compare,
		"insert": func(t *rapid.T) { m.insertBoth(t, m.draw(t, "n"), sizes) },
		"in order": func(t *rapid.T) {
			for range rapid.IntRange(1, 40).Draw(t, "packets") {
				m.insertBoth(t, m.end, sizes)
			}
		},
		"repair": func(t *rapid.T) {
			for range rapid.IntRange(1, 10).Draw(t, "packets") {
				m.insertBoth(t, m.run(), sizes)
			}
		},
		"extend": func(t *rapid.T) {
			end := m.draw(t, "end")
			if got, want := m.w.Extend(end), m.extend(end, Missing); got != want {
				t.Fatalf("extend to %d: %v, want %v", end, got, want)
			}
		},
		"lose": func(t *rapid.T) {
			r := seq.Range{From: m.draw(t, "from"), To: m.draw(t, "to")}
			want := 0
			if !m.end.Less(r.From) {
				for n := r.From; n.Less(r.To) && n.Less(m.end); n++ {
					if m.of(n) == Missing {
						m.state[n] = Lost
						want++
					}
				}
				if !r.Empty() {
					want += m.extend(r.To, Lost).Len()
				}
			}
			if got := m.w.Lose(r); got != want {
				t.Fatalf("lose %v: %d, want %d", r, got, want)
			}
		},
		"read": func(t *rapid.T) {
			for range rapid.IntRange(1, 20).Draw(t, "packets") {
				if m.next != m.run() {
					n := m.next
					m.w.Release(n)
					m.release(n)
				}
			}
		},
		"release": func(t *rapid.T) {
			if n := m.draw(t, "n"); m.of(n) == Have || m.of(n) == Lost {
				m.w.Release(n)
				m.release(n)
			}
		},
		"keep": func(t *rapid.T) { m.setKeep(rapid.SampledFrom(groupSizes).Draw(t, "keep")) },
		"resize": func(t *rapid.T) {
			m.maxSlots = rapid.IntRange(1, 150).Draw(t, "maxSlots")
			m.w.Resize(m.maxSlots)
		},
	}
}

var groupSizes = []int{0, 2, 8, 64, 128}

// startRx returns an empty window and its model, begun near the end of the number space.
func startRx(t *rapid.T, chunks int) *rxModel {
	first := seq.Num(0).Add(rapid.IntRange(-60, 5).Draw(t, "first"))
	maxSlots := rapid.IntRange(1, 150).Draw(t, "maxSlots")
	m := &rxModel{
		w:     NewReceive(maxSlots, int64(chunks)*chunkBytes+rapid.Int64Range(0, 100).Draw(t, "odd bytes")),
		state: map[seq.Num]State{}, packets: map[seq.Num]Packet{},
		next: first, end: first, top: first, maxSlots: maxSlots,
		kept: map[seq.Num]Packet{},
	}
	m.w.Start(first)
	m.setKeep(rapid.SampledFrom(groupSizes).Draw(t, "keep"))
	return m
}

// With packets of one class the model knows exactly which ones find memory.
func TestReceiveModel(t *testing.T) { rapid.Check(t, receiveBesideModel) }

func receiveBesideModel(t *rapid.T) {
	chunks := rapid.IntRange(1, 2).Draw(t, "chunks")
	m := startRx(t, chunks)
	m.buffers = 44 * chunks
	t.Repeat(m.actions(rapid.OneOf(rapid.IntRange(257, 1472), rapid.Just(0))))
}

// With all sizes, the window keeps its promise that what is held does not keep out what is missing below.
func TestReceiveModelSizes(t *testing.T) { rapid.Check(t, receiveSizesBesideModel) }

func receiveSizesBesideModel(t *rapid.T) {
	m := startRx(t, rapid.IntRange(1, 30).Draw(t, "chunks"))
	largest := rapid.SampledFrom([]int{1472, 9216, 65535}).Draw(t, "largest")
	m.w.buffers.largest = classOf(largest)
	m.w.buffers.count()
	small := rapid.IntRange(1, 300)
	t.Repeat(m.actions(rapid.OneOf(small, small, rapid.IntRange(1, largest), rapid.Just(largest))))
}

// Rewind is possible only before the first release, so that it has a model run of its own.
func TestReceiveModelRewind(t *testing.T) { rapid.Check(t, rewindBesideModel) }

func rewindBesideModel(t *rapid.T) {
	m := startRx(t, 1)
	m.buffers = 44
	actions := m.actions(rapid.IntRange(257, 1472))
	delete(actions, "read")
	if rapid.IntRange(0, 9).Draw(t, "release") > 0 {
		delete(actions, "release")
	}
	actions["rewind"] = func(t *rapid.T) {
		first := m.next.Add(rapid.IntRange(-30, 2).Draw(t, "earlier"))
		more := m.next.Sub(first)
		fits := !m.released && more >= 0 && m.end.Sub(first) <= m.maxSlots
		if more == 0 {
			fits = !m.released && m.end.Sub(first) <= m.maxSlots
		} else if len(m.packets) > 0 {
			fits = fits && len(m.packets)+more+m.count(Missing, m.top) <= m.buffers
		}
		missing, ok := m.w.Rewind(first)
		if ok != fits || ok && missing != (seq.Range{From: first, To: m.next}) {
			t.Fatalf("rewind to %d: %v %v, want %v", first, missing, ok, fits)
		}
		if ok {
			if len(m.packets) == 0 {
				m.top = first
			}
			for n := first; n != m.next; n++ {
				m.state[n] = Missing
			}
			m.next = first
		}
	}
	t.Repeat(actions)
}
