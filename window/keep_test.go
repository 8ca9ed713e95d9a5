package window

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/rmcast/rmcast/seq"
)

// keeping returns a window with memory for chunks that was started at first and keeps groups of k.
func keeping(k int, first seq.Num, chunks int64) *Receive {
	w := NewReceive(1000, chunks*chunkBytes)
	w.Start(first)
	w.Keep(k)
	return w
}

func release(w *Receive, numbers ...seq.Num) {
	for _, n := range numbers {
		w.Release(n)
	}
	w.check()
}

// wantKept fails unless those of the numbers in [from, to) that can be read by Kept are exactly want.
func wantKept(t *testing.T, w *Receive, from, to seq.Num, size int, want ...seq.Num) {
	t.Helper()
	for n := from; n != to; n++ {
		p, ok := w.Kept(n)
		if has := len(want) > 0 && want[0] == n; has {
			want = want[1:]
			if !ok || !bytes.Equal(p.Payload, pattern(int(n), size)) || cap(p.Payload) != size {
				t.Errorf("%d is kept: %v, with %d bytes", n, ok, len(p.Payload))
			}
		} else if ok {
			t.Errorf("%d is kept", n)
		}
	}
}

func TestKeepInOrder(t *testing.T) {
	first := seq.Num(0xfffffffa) // in the middle of a group
	w := keeping(4, first, 1)
	wantInsert(t, w, first, first+3, 1000, InOrder)
	wantKept(t, w, first-9, first+9, 1000, first, first+1, first+2)
	release(w, first, first+1)
	wantKept(t, w, first-9, first+9, 1000, first+2) // the group ended, and is complete
	release(w, first+2)
	wantKept(t, w, first-9, first+9, 1000, first+2)
	wantInsert(t, w, first+3, first+5, 1000, InOrder)
	release(w, first+3, first+4)
	wantKept(t, w, first-9, first+9, 1000, first+2, first+3, first+4)
	if got := w.State(first + 3); got != Done || w.Held() != 0 || w.Bytes() != 0 {
		t.Errorf("what is kept is %v, %d are held, %d bytes", got, w.Held(), w.Bytes())
	}
	wantInsert(t, w, first+5, first+6, 1000, InOrder)
	release(w, first+5)
	wantKept(t, w, first-9, first+9, 1000)
}

// Numbers that were released ahead of a gap are kept until it is closed, those of a complete group are not.
func TestKeepForGap(t *testing.T) {
	for _, end := range []string{"filled", "lost"} {
		w := keeping(4, 0, 1)
		w.Insert(0, pattern(0, 300), Fragment{First: 7})
		wantInsert(t, w, 2, 3, 300, Ahead)
		wantInsert(t, w, 3, 10, 300, InOrder)
		release(w, 0, 2, 3, 4, 6, 7, 8, 9)
		wantKept(t, w, 0, 20, 300, 0, 2, 3, 5, 8, 9)
		if p, _ := w.Kept(0); p.Fragment.First != 7 {
			t.Errorf("the fragment is %v", p.Fragment)
		}
		if end == "filled" {
			wantInsert(t, w, 1, 2, 300, Filled)
			wantKept(t, w, 0, 20, 300, 0, 1, 2, 3, 5, 8, 9)
		} else {
			w.Lose(seq.Range{From: 0, To: 5})
			wantKept(t, w, 0, 20, 300, 0, 2, 3, 5, 8, 9)
		}
		release(w, 1)
		wantKept(t, w, 0, 20, 300, 5, 8, 9)
		release(w, 5)
		wantKept(t, w, 0, 20, 300, 8, 9)
	}
}

// A group may be larger than the window: the ring has room for both.
func TestKeepAtLimit(t *testing.T) {
	w := NewReceive(8, 1<<20)
	w.Start(0)
	w.Keep(128)
	for n := range seq.Num(500) {
		wantInsert(t, w, n, n+1, 10, InOrder)
		if n%8 == 7 {
			release(w, n, n-7, n-6, n-5, n-4, n-3, n-2, n-1)
		}
		if first := n &^ 127; n != first|127 {
			if p, ok := w.Kept(first); !ok || !bytes.Equal(p.Payload, pattern(int(first), 10)) {
				t.Fatalf("%d does not keep the first of its group: %v", n, p)
			}
		}
	}
	if len(w.slots) != 128 {
		t.Errorf("%d slots for groups of 128", len(w.slots))
	}
}

// Keep may begin and end in the middle of everything.
func TestKeepBeginsAndEnds(t *testing.T) {
	w := rxWindow(200)
	for n := range seq.Num(60) {
		w.Insert(n, pattern(int(n), 100), Fragment{})
	}
	release(w, 0, 1, 2, 3, 5)
	w.Keep(128)
	release(w, 6, 4)
	wantKept(t, w, 0, 7, 100, 4, 6)
	wantInsert(t, w, 60, 100, 100, InOrder) // the ring grows
	wantKept(t, w, 0, 7, 100, 4, 6)
	w.Keep(128)
	wantKept(t, w, 0, 7, 100, 4, 6)
	w.Keep(64)
	w.check()
	wantKept(t, w, 0, 8, 100, 7)
	wantInsert(t, w, 101, 102, 100, Ahead)
	release(w, 7, 99, 101)
	wantKept(t, w, 0, 9, 100, 8)
	wantKept(t, w, 99, 103, 100, 99, 101)
	w.Keep(0)
	w.check()
	wantKept(t, w, 98, 103, 100, 98)
	release(w, 98)
	wantKept(t, w, 98, 103, 100)
}

// A window that starts elsewhere has forgotten what it kept.
func TestKeepStartsAnew(t *testing.T) {
	w := keeping(64, 0, 1)
	wantInsert(t, w, 0, 10, 1400, InOrder)
	release(w, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	w.Start(5)
	w.check()
	wantKept(t, w, 0, 64, 1400)
	if _, ok := w.Rewind(2); !ok || w.Spare() != 44-3 {
		t.Errorf("rewound: %v, memory for %d", ok, w.Spare())
	}
	w.check()
	wantInsert(t, w, 2, 5, 1400, Filled)
	release(w, 2, 4)
	wantKept(t, w, 0, 64, 1400, 2, 3, 4)
}

// Memory that is kept is there for what arrives; whole groups give way, the lowest first.
func TestKeepGivesWay(t *testing.T) {
	w := keeping(8, 0, 1) // 44 buffers
	wantInsert(t, w, 0, 1, 1400, InOrder)
	wantInsert(t, w, 2, 3, 1400, Ahead)
	wantInsert(t, w, 3, 15, 1400, InOrder)
	wantInsert(t, w, 16, 17, 1400, Ahead)
	release(w, 0, 2, 3, 4, 5, 6, 7, 8, 16)
	if got, want := w.Spare(), 44-6-2; got != want {
		t.Errorf("memory for %d, want %d", got, want)
	}
	wantInsert(t, w, 17, 17+44-15-1, 1400, InOrder) // one buffer is left, and 1 and 15 are missing
	wantKept(t, w, 0, 9, 1400, 8)
	wantKept(t, w, 16, 17, 1400, 16)
	wantInsert(t, w, 100, 101, 1400, Full) // does not take what it cannot use
	wantKept(t, w, 8, 9, 1400, 8)
	wantInsert(t, w, 1, 2, 1400, Filled)
	wantInsert(t, w, 15, 16, 1400, Filled)
	wantKept(t, w, 0, 9, 1400, 1, 8)
	for n := w.End(); w.Held() < 44; n++ {
		wantInsert(t, w, n, n+1, 1400, InOrder)
	}
	wantInsert(t, w, w.End(), w.End()+1, 1400, Full)
	if w.kept != 0 {
		t.Errorf("%d kept in a full window", w.kept)
	}
}

// Small packets that are kept do not take chunks from large ones.
func TestKeepGivesWayToOtherClass(t *testing.T) {
	w := keeping(128, 0, 1)
	wantInsert(t, w, 0, 100, 64, InOrder)
	for n := range seq.Num(100) {
		release(w, n)
	}
	if w.Spare() != 44 {
		t.Errorf("memory for %d packets, want 44", w.Spare())
	}
	wantKept(t, w, 0, 2, 64, 0, 1)
	wantInsert(t, w, 100, 101, 8900, InOrder)
	wantKept(t, w, 0, 128, 8900, 100)
	wantInsert(t, w, 101, 107, 8900, InOrder)
	wantInsert(t, w, 107, 108, 8900, Full)
}

// A reader that keeps up uses the buffers of one group again and again.
func TestKeepReusesBuffers(t *testing.T) {
	for _, k := range []int{2, 64, 128} {
		w := keeping(k, 0, 10)
		buffers := map[*byte]bool{}
		for n := range seq.Num(1000) {
			w.Insert(n, pattern(0, 1408), Fragment{})
			p, _ := w.Packet(n)
			buffers[&p.Payload[0]] = true
			w.Release(n)
		}
		if len(buffers) > k+43 || w.Memory() > int64(k+43)/44*chunkBytes {
			t.Errorf("groups of %d: %d buffers, memory of %d bytes", k, len(buffers), w.Memory())
		}
	}
}

func TestKeepHollowAlike(t *testing.T) {
	window := func(k int, first, to seq.Num, f Fragment) *Receive {
		w := NewHollow(1000)
		w.Start(first)
		w.Keep(k)
		for n := first; n != to; n++ {
			w.Insert(n, pattern(0, 100), f)
			w.Release(n)
		}
		w.check()
		return w
	}
	w := window(8, 0, 12, Fragment{})
	if p, ok := w.Kept(8); !ok || len(p.Payload) != 100 {
		t.Errorf("kept: %v, %d bytes", ok, len(p.Payload))
	}
	for _, c := range []struct {
		what string
		x    *Receive
		want bool
	}{
		{"a clone", w.Clone(), true},
		{"one that began earlier", window(8, 0xfffffffe, 12, Fragment{}), true},
		{"one that began later", window(8, 9, 12, Fragment{}), false},
		{"other fragments", window(8, 0, 12, Fragment{Length: 1}), false},
		{"other groups that keep as many", window(4, 8, 12, Fragment{}), false},
		{"no groups", window(0, 0, 12, Fragment{}), false},
		{"another end", window(8, 0, 13, Fragment{}), false},
	} {
		if got := w.EmptyAlike(c.x); got != c.want || c.x.EmptyAlike(w) != got {
			t.Errorf("%s: alike is %v, want %v", c.what, got, c.want)
		}
	}
	if !window(8, 0, 16, Fragment{}).EmptyAlike(window(8, 0, 16, Fragment{Length: 1})) {
		t.Error("windows that keep nothing differ by what they kept once")
	}
}

func TestKeepBugs(t *testing.T) {
	for _, k := range []int{-64, -1, 1, 3, 96, 256} {
		wantBug(t, "Keep", func() { rxWindow(9).Keep(k) })
	}
	kept := func() *Receive {
		w := rxWindow(100, 0, 1, 2)
		w.Keep(8)
		w.Release(0)
		w.Release(2)
		w.check()
		return w
	}
	for what, f := range map[string]func(){
		"broken count":  func() { w := kept(); w.kept++; w.check() },
		"broken low":    func() { w := kept(); w.low++; w.check() },
		"broken groups": func() { w := kept(); w.group = 0; w.check() },
		"broken state":  func() { w := kept(); w.slot(1).kept = true; w.kept++; w.check() },
		"broken group":  func() { w := kept(); w.low, w.slot(7).kept = 7, true; w.check() },
		"lost buffer":   func() { w := kept(); w.slot(2).kept = false; w.kept--; w.check() },
		"group not freed": func() {
			w := kept()
			for n := range seq.Num(16) {
				w.Insert(n, nil, Fragment{})
			}
			w.Insert(20, nil, Fragment{})
			for n := range seq.Num(16) {
				if s := w.State(n); s == Have {
					w.Release(n)
				}
			}
			w.slot(9).kept = true
			w.low, w.kept = 9, 1
			w.check()
		},
	} {
		wantBug(t, what, f)
	}
}

func TestKeepSize(t *testing.T) {
	if size := unsafe.Sizeof(Receive{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 240 {
		t.Errorf("a window takes %d bytes", size)
	} else {
		t.Logf("%d bytes", size)
	}
}

// Next passes groups below the lowest one of which something is kept: one by one, and over one that was released altogether.
func TestKeepPassesGroups(t *testing.T) {
	w := keeping(4, 0, 4)
	wantInsert(t, w, 0, 1, 100, InOrder)
	release(w, 0)
	wantInsert(t, w, 1, 4, 100, InOrder)
	wantInsert(t, w, 8, 9, 100, Ahead)
	release(w, 8, 1, 2, 3)
	wantKept(t, w, 0, 20, 100, 8)

	w = keeping(4, 0, 4)
	wantInsert(t, w, 1, 2, 100, Ahead)
	release(w, 1)
	wantInsert(t, w, 2, 9, 100, InOrder)
	release(w, 8, 4, 5, 6, 7)
	wantInsert(t, w, 0, 1, 100, Filled)
	release(w, 2, 3, 0)
	wantKept(t, w, 0, 20, 100, 8)
	wantInsert(t, w, 9, 72, 100, InOrder) // all around the ring
	wantKept(t, w, 8, 10, 100, 8, 9)
}

// What is missing beyond all that is held, and what is read next though packets have grown, finds the memory that is kept.
func TestKeepGivesWayToMissing(t *testing.T) {
	w := keeping(64, 0, 1)
	wantInsert(t, w, 0, 44, 1400, InOrder)
	for n := range seq.Num(30) {
		release(w, n)
	}
	w.Extend(50)
	wantInsert(t, w, 46, 47, 1400, Filled)
	wantInsert(t, w, 44, 46, 1400, Filled)

	w = keeping(128, 0, 2)
	wantInsert(t, w, 0, 44, 1400, InOrder)
	for n := range seq.Num(44) {
		release(w, n)
	}
	wantInsert(t, w, 60, 61, 1400, Ahead)
	wantInsert(t, w, 50, 51, 8900, Full)
	wantKept(t, w, 43, 45, 1400, 43)
	wantInsert(t, w, 44, 45, 8900, Filled)
	wantKept(t, w, 43, 45, 8900, 44)
}
