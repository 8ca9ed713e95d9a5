package window

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/seq"
)

// rxWindow returns a window started at 0 that holds the given numbers.
func rxWindow(maxSlots int, numbers ...seq.Num) *Receive {
	w := NewReceive(maxSlots, 1<<20)
	w.Start(0)
	for _, n := range numbers {
		w.Insert(n, pattern(int(n), 100), Fragment{})
	}
	return w
}

func TestReceiveResults(t *testing.T) {
	w := rxWindow(8)
	for _, c := range []struct {
		n    seq.Num
		want Result
		gap  seq.Range
	}{
		{0, InOrder, seq.Range{From: 0, To: 0}},
		{1, InOrder, seq.Range{From: 1, To: 1}},
		{4, Ahead, seq.Range{From: 2, To: 4}},
		{4, Duplicate, seq.Range{}},
		{3, Filled, seq.Range{}},
		{3, Duplicate, seq.Range{}},
		{7, Ahead, seq.Range{From: 5, To: 7}},
		{8, Full, seq.Range{}},
		{0x7fffffff, Full, seq.Range{}},
		{0xffffffff, Late, seq.Range{}},
		{2, Filled, seq.Range{}},
	} {
		if got, gap := w.Insert(c.n, nil, Fragment{}); got != c.want || gap != c.gap {
			t.Errorf("insert %d: %v %v, want %v %v", c.n, got, gap, c.want, c.gap)
		}
	}
	if got := w.Lose(seq.Range{From: 0, To: 6}); got != 1 {
		t.Errorf("%d lost, want 1", got)
	}
	w.Release(0)
	w.Release(2)
	for n, want := range []Result{Late, Duplicate, Duplicate, Duplicate, Duplicate, Late, Filled, Duplicate, InOrder, Full} {
		if got, _ := w.Insert(seq.Num(n), nil, Fragment{}); got != want {
			t.Errorf("insert %d: %v, want %v", n, got, want)
		}
	}
	for n, want := range []State{Done, Have, Done, Have, Have, Lost, Have, Have, Have, Unknown} {
		if got := w.State(seq.Num(n)); got != want {
			t.Errorf("%d is %v, want %v", n, got, want)
		}
	}
}

func TestReceiveNames(t *testing.T) {
	if Done.String() != "Done" || Unknown.String() != "Unknown" || Full.String() != "Full" || InOrder.String() != "InOrder" {
		t.Error("a name is wrong")
	}
	if State(5).String() != "State?" || Result(6).String() != "Result?" {
		t.Error("what has no name is given one")
	}
}

// A jump of nearly half the number space is refused, whatever is known: it does not pass for an old number.
func TestReceiveFarNumbers(t *testing.T) {
	for _, known := range []int{0, 1, 7, 8} {
		w := rxWindow(8)
		w.Extend(seq.Num(known))
		for _, far := range []seq.Num{0x40000000, 0x7ffffff7, 0x7fffffff} {
			if got, _ := w.Insert(w.End()+far, nil, Fragment{}); got != Full {
				t.Errorf("with %d known, %d beyond End: %v, want Full", known, far, got)
			}
		}
	}
}

func TestReceivePayloadSizes(t *testing.T) {
	w := rxWindow(100)
	var sizes []int
	for _, edge := range []int{0, 256, 1408, 1472, 8900, 9216, 65535} {
		for size := max(edge-2, 0); size <= min(edge+2, MaxPayload); size++ {
			sizes = append(sizes, size)
		}
	}
	for n, size := range sizes {
		if got, _ := w.Insert(seq.Num(n), pattern(n, size), Fragment{Offset: uint32(n)}); got != InOrder {
			t.Fatalf("%d bytes: %v", size, got)
		}
	}
	w.check()
	for n, size := range sizes {
		p, ok := w.Packet(seq.Num(n))
		if !ok || !bytes.Equal(p.Payload, pattern(n, size)) || cap(p.Payload) != size || p.Fragment != (Fragment{Offset: uint32(n)}) {
			t.Errorf("%d bytes did not come back", size)
		}
		w.Release(seq.Num(n))
	}
	w.check()
}

// What was read first is given out first again: a reader that keeps up uses one buffer.
func TestReceiveReusesHotBuffer(t *testing.T) {
	w := rxWindow(100)
	var first *byte
	for n := range seq.Num(1000) {
		w.Insert(n, pattern(0, 1408), Fragment{})
		p, _ := w.Packet(n)
		if first == nil {
			first = &p.Payload[0]
		}
		if &p.Payload[0] != first {
			t.Fatalf("packet %d has another buffer", n)
		}
		w.Release(n)
	}
	if w.Memory() != chunkBytes {
		t.Errorf("memory of %d bytes, want %d", w.Memory(), chunkBytes)
	}
}

// One chunk of memory, cut for one size, serves another when it is free.
func TestReceiveMemoryChangesClass(t *testing.T) {
	w := NewReceive(1000, chunkBytes)
	w.Start(0)
	n := seq.Num(0)
	for range 3 {
		for _, c := range []struct{ size, fit int }{{64, 256}, {1408, 44}, {8900, 7}, {65535, 1}, {1000, 44}} {
			for i := range c.fit {
				if got, _ := w.Insert(n.Add(i), pattern(0, c.size), Fragment{}); got != InOrder {
					t.Fatalf("packet %d of %d bytes: %v", i, c.size, got)
				}
			}
			if got, _ := w.Insert(n.Add(c.fit), pattern(0, c.size), Fragment{}); got != Full {
				t.Fatalf("one too many of %d bytes: %v", c.size, got)
			}
			if got, _ := w.Insert(n.Add(c.fit), nil, Fragment{}); got != InOrder {
				t.Fatalf("no bytes: %v", got)
			}
			w.check()
			for range c.fit + 1 {
				w.Release(n)
				n++
			}
			if w.Held() != 0 || w.Bytes() != 0 || w.Memory() != chunkBytes {
				t.Fatalf("%d held, %d bytes, memory of %d", w.Held(), w.Bytes(), w.Memory())
			}
		}
	}
}

// wantInsert inserts the numbers in [from, to) and fails unless the result is always want.
func wantInsert(t *testing.T, w *Receive, from, to seq.Num, size int, want Result) {
	t.Helper()
	for n := from; n != to; n++ {
		if got, _ := w.Insert(n, pattern(int(n), size), Fragment{}); got != want {
			t.Fatalf("insert %d of %d bytes: %v, want %v", n, size, got, want)
		}
		w.check()
	}
}

// When memory ends, the reader's next number still finds some: else nothing would ever be read and freed.
func TestReceiveMemoryForMissing(t *testing.T) {
	w := NewReceive(1000, chunkBytes) // 44 buffers
	w.Start(0)
	wantInsert(t, w, 3, 4, 1408, Ahead)
	wantInsert(t, w, 4, 44, 1408, InOrder)
	wantInsert(t, w, 44, 100, 1408, Full)
	wantInsert(t, w, 0, 3, 1408, Filled)
	if w.Run() != 44 {
		t.Errorf("run to %d, want 44", w.Run())
	}
}

// What is missing beyond all that is held has no claim to memory, only that below.
func TestReceiveMemoryForMissingBelow(t *testing.T) {
	w := NewReceive(1000, chunkBytes)
	w.Start(0)
	wantInsert(t, w, 3, 4, 1408, Ahead)
	wantInsert(t, w, 4, 43, 1408, InOrder) // leaves 4 buffers for 0, 1, 2
	w.Extend(60)
	wantInsert(t, w, 50, 51, 1408, Full)
	wantInsert(t, w, 43, 44, 1408, Filled)
	wantInsert(t, w, 44, 45, 1408, Full)
	wantInsert(t, w, 0, 3, 1408, Filled)
}

// When packets grow, what is missing may not find memory at once, but what is read next does.
func TestReceiveMemoryForGrownPackets(t *testing.T) {
	w := NewReceive(1000, 2*chunkBytes)
	w.Start(0)
	wantInsert(t, w, 10, 11, 1408, Ahead)
	wantInsert(t, w, 11, 54, 1408, InOrder) // fills one chunk; the other takes 7 large packets
	wantInsert(t, w, 5, 6, 8900, Full)
	wantInsert(t, w, 0, 7, 8900, Filled)
	wantInsert(t, w, 7, 8, 8900, Full)
	w.Release(0)
	wantInsert(t, w, 7, 8, 8900, Filled)
}

// A large packet that was refused is still one for which memory must be kept from then on.
func TestReceiveMemoryForRefusedSize(t *testing.T) {
	w := NewReceive(1000, 2*chunkBytes)
	w.Start(0)
	wantInsert(t, w, 0, 1, 1408, InOrder)
	w.Release(0)
	wantInsert(t, w, 101, 102, 8900, Full)
	wantInsert(t, w, 1, 2, 1408, InOrder)
	w.Release(1)
	wantInsert(t, w, 22, 23, 1408, Full)
	wantInsert(t, w, 9, 10, 1408, Ahead)
	wantInsert(t, w, 2, 9, 8900, Filled)
}

// A chunk that became empty is not used for small packets when large ones are missing.
func TestReceiveMemoryKeepsEmptyChunk(t *testing.T) {
	w := NewReceive(1000, 2*chunkBytes)
	w.Start(0)
	wantInsert(t, w, 0, 1, 64, InOrder)
	w.Release(0)
	wantInsert(t, w, 4, 5, 1408, Ahead)
	wantInsert(t, w, 5, 48, 1408, InOrder)
	wantInsert(t, w, 48, 49, 64, InOrder)
	wantInsert(t, w, 1, 4, 1408, Filled)
}

func TestReceiveExtendAndLose(t *testing.T) {
	w := rxWindow(10, 0, 1)
	wantRange := func(what string, got, want seq.Range) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	wantRange("extend to what is known", w.Extend(2), seq.Range{From: 2, To: 2})
	wantRange("extend", w.Extend(4), seq.Range{From: 2, To: 4})
	wantRange("extend beyond limit", w.Extend(1000), seq.Range{From: 4, To: 10})
	if got := w.Lose(seq.Range{From: 3, To: 3}); got != 0 {
		t.Errorf("nothing lost counts as %d", got)
	}
	if got := w.Lose(seq.Range{From: 0xfffffff0, To: 1000}); got != 8 || w.Run() != 10 || w.End() != 10 {
		t.Errorf("%d lost, run %d, end %d, want 8, 10, 10", got, w.Run(), w.End())
	}
	for n := range seq.Num(10) {
		w.Release(n)
	}
	if got := w.Lose(seq.Range{From: 11, To: 15}); got != 0 || w.End() != 10 {
		t.Errorf("%d lost beyond end %d", got, w.End())
	}
	if got := w.Lose(seq.Range{From: 10, To: 1000}); got != 10 || w.Run() != 20 || w.End() != 20 {
		t.Errorf("%d lost, run %d, end %d, want 10, 20, 20", got, w.Run(), w.End())
	}
}

func TestReceiveRewind(t *testing.T) {
	w := rxWindow(10, 0, 1)
	for _, c := range []struct {
		first   seq.Num
		missing seq.Range
		ok      bool
	}{
		{1, seq.Range{}, false},
		{0, seq.Range{From: 0, To: 0}, true},
		{0xfffffffd, seq.Range{From: 0xfffffffd, To: 0}, true},
		{0xfffffff7, seq.Range{}, false},
		{0xfffffff8, seq.Range{From: 0xfffffff8, To: 0xfffffffd}, true},
	} {
		if missing, ok := w.Rewind(c.first); missing != c.missing || ok != c.ok {
			t.Errorf("rewind to %d: %v %v, want %v %v", c.first, missing, ok, c.missing, c.ok)
		}
		w.check()
	}
	for n := seq.Num(0xfffffff8); n != 2; n++ {
		w.Insert(n, pattern(int(n), 100), Fragment{})
	}
	if w.Run() != 2 || w.Missing() != 0 {
		t.Errorf("run to %d, %d missing", w.Run(), w.Missing())
	}
	w.Release(1)
	if _, ok := w.Rewind(w.Next() - 1); ok {
		t.Error("rewound after a release")
	}
}

func TestReceiveStartsAnew(t *testing.T) {
	w := rxWindow(10, 0, 1)
	w.Release(1)
	w.Release(0)
	w.Start(1000000)
	if got, _ := w.Insert(1000001, nil, Fragment{}); got != Ahead || w.Next() != 1000000 {
		t.Errorf("%v, next %d", got, w.Next())
	}
	if _, ok := w.Rewind(999999); !ok {
		t.Error("no rewind after a new start")
	}
}

func TestReceiveShrunkKeepsWhatIsKnown(t *testing.T) {
	w := rxWindow(100, 0, 50, 52)
	w.Resize(10)
	for n, want := range map[seq.Num]Result{51: Filled, 20: Filled, 52: Duplicate, 53: Full} {
		if got, _ := w.Insert(n, nil, Fragment{}); got != want {
			t.Errorf("insert %d: %v, want %v", n, got, want)
		}
	}
	if got := w.Extend(1000); !got.Empty() {
		t.Errorf("extended by %v", got)
	}
	w.check()
}

func TestReceiveBugs(t *testing.T) {
	for what, f := range map[string]func(){
		"no slots":          func() { NewReceive(0, 1) },
		"too many slots":    func() { NewReceive(1<<30+1, 1) },
		"not started":       func() { NewReceive(1, 1).Insert(0, nil, Fragment{}) },
		"extend unstarted":  func() { NewReceive(1, 1).Extend(9) },
		"started twice":     func() { rxWindow(9, 0).Start(5) },
		"too large payload": func() { rxWindow(9).Insert(0, make([]byte, 65536), Fragment{}) },
		"release before":    func() { w := rxWindow(9, 0); w.Release(0); w.Release(0) },
		"release unknown":   func() { rxWindow(9, 0).Release(1) },
		"release missing":   func() { rxWindow(9, 1).Release(0) },
		"release done":      func() { w := rxWindow(9, 1); w.Release(1); w.Release(1) },
		"broken count":      func() { w := rxWindow(9, 1); w.missing++; w.check() },
		"broken run":        func() { w := rxWindow(9, 1); w.run++; w.check() },
		"broken edges":      func() { w := rxWindow(9, 1); w.end = w.next - 1; w.check() },
		"broken next":       func() { w := rxWindow(9, 0); w.slot(0).state = Done; w.check() },
		"broken top":        func() { w := rxWindow(9, 1); w.top--; w.check() },
		"broken free count": func() { w := rxWindow(9, 1); w.buffers.free[0]--; w.check() },
		"lost buffer":       func() { w := rxWindow(9, 1); w.buffers.take(0); w.check() },
	} {
		wantBug(t, what, f)
	}
}

// Where invariants are checked, a broken window is found by its own calls, and what a view shows after its time is poison.
func TestReceiveInvariants(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("needs -tags invariants or -race")
	}
	w := rxWindow(100, 0, 1)
	p, _ := w.Packet(0)
	w.Release(0)
	if p.Payload[50] != poison {
		t.Errorf("a released payload still reads %q", p.Payload)
	}
	w.bytes++
	wantBug(t, "walk", func() {
		for n := range seq.Num(100) {
			w.Insert(2+n, nil, Fragment{})
		}
	})
}

func TestReceiveIdleSize(t *testing.T) {
	if size := unsafe.Sizeof(Receive{}); size > 300 {
		t.Errorf("an idle window takes %d bytes", size)
	}
	if size := unsafe.Sizeof(receiveSlot{}); size > 20 {
		t.Errorf("a slot takes %d bytes", size)
	}
	var w *Receive
	idle := func() {
		w = NewReceive(65536, 64<<20)
		w.Resize(32768)
		w.Start(7)
	}
	if got := testing.AllocsPerRun(10, idle); got > 1 {
		t.Errorf("an idle window makes %v allocations", got)
	}
	if w.slots != nil || w.buffers.chunks != nil {
		t.Error("an idle window has slots or chunks")
	}
	w.Insert(7, pattern(0, 1408), Fragment{})
	if len(w.slots) != firstSlots || w.Memory() != chunkBytes {
		t.Errorf("one packet makes %d slots and memory of %d bytes", len(w.slots), w.Memory())
	}
}

func TestReceiveGrows(t *testing.T) {
	w := NewReceive(1000, 1<<20)
	w.Start(0xffffff00)
	sizes := map[int]bool{}
	for i := range 1000 {
		if got, _ := w.Insert(w.End()+seq.Num(i%2), pattern(i, 1), Fragment{}); (got == Full) != (w.End() == w.Limit()) && i < 600 {
			t.Fatalf("packet %d: %v", i, got)
		}
		sizes[len(w.slots)] = true
	}
	w.check()
	for _, size := range []int{64, 128, 256, 512, 1024} {
		if !sizes[size] {
			t.Errorf("never had %d slots", size)
		}
		delete(sizes, size)
	}
	if len(sizes) > 0 {
		t.Errorf("had %v slots", sizes)
	}
}

func TestReceiveAllocs(t *testing.T) {
	for _, c := range []struct{ loss, keep int }{{0, 0}, {1, 0}, {10, 0}, {0, 64}, {10, 64}, {10, 128}} {
		l := newLossyLink(c.loss, 1408, c.keep)
		for range 10000 {
			l.step()
		}
		if got := testing.AllocsPerRun(2000, l.step); got != 0 {
			t.Errorf("loss %d %%, groups of %d: %v allocations per packet", c.loss, c.keep, got)
		}
		if l.w.Held() > 300 || int(l.w.kept) >= max(c.keep, 1) {
			t.Errorf("loss %d %%, groups of %d: %d held, %d kept", c.loss, c.keep, l.w.Held(), l.w.kept)
		}
	}
}
