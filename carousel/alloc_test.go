package carousel

import "testing"

// Neither a packet that is sent nor one that is received allocates, once the first of each block was.
func TestAllocs(t *testing.T) {
	o := object(t, "file", random(1, 4<<20), ObjectConfig{BlockSymbols: 500})
	f := newFeed(t, SendConfig{Seed: 1}, o)
	in := newInbox(t, t.TempDir(), InboxConfig{})
	for range 500 {
		in.Handle(f.next())
	}
	before := in.Stats().Stored
	if n := testing.AllocsPerRun(1000, func() { in.Handle(f.next()) }); n > 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if in.Stats().Stored < before+900 {
		t.Error("hardly a symbol was stored")
	}
}

// What a packet costs, to make and to take.
func BenchmarkPacket(b *testing.B) {
	o := object(b, "file", random(1, 32<<20), ObjectConfig{})
	f := newFeed(b, SendConfig{Seed: 1}, o)
	b.Run("send", func(b *testing.B) {
		b.SetBytes(defaultSymbolBytes)
		b.ReportAllocs()
		for b.Loop() {
			f.next()
		}
	})
	b.Run("receive", func(b *testing.B) { // a turn of data takes from the start again
		b.SetBytes(defaultSymbolBytes)
		b.ReportAllocs()
		in := newInbox(b, b.TempDir(), InboxConfig{})
		packets := make([][]byte, 0, o.Symbols())
		for len(packets) < cap(packets) {
			packets = append(packets, append([]byte(nil), f.next()...))
		}
		for i := 0; b.Loop(); i++ {
			if i%len(packets) == 0 {
				b.StopTimer()
				in = newInbox(b, b.TempDir(), InboxConfig{})
				b.StartTimer()
			}
			in.Handle(packets[i%len(packets)])
		}
	})
}
