package window

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

var benchSizes = []int{64, 1408, 8900}

// lossyLink feeds a window with packets of which some come later than those after them, and reads what can be read.
type lossyLink struct {
	w       *Receive
	payload []byte
	lost    [4096]bool   // pattern of loss
	repairs [256]seq.Num // lost numbers on their way again, oldest first
	first   uint32
	last    uint32
	n       seq.Num
}

const repairLag = 200 // packets

func newLossyLink(percent, size, keep int) *lossyLink {
	l := &lossyLink{w: NewReceive(65536, 64<<20), payload: make([]byte, size)}
	l.w.Start(0)
	l.w.Keep(keep)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range l.lost {
		l.lost[i] = rng.IntN(100) < percent
	}
	return l
}

// step is one packet sent, its loss or its arrival, the repairs that are due, and the reading.
func (l *lossyLink) step() {
	w, n := l.w, l.n
	l.n++
	if l.lost[uint32(n)%4096] {
		l.repairs[l.last%256] = n
		l.last++
	} else {
		w.Insert(n, l.payload, Fragment{})
	}
	if l.first != l.last && n.Sub(l.repairs[l.first%256]) >= repairLag {
		w.Insert(l.repairs[l.first%256], l.payload, Fragment{})
		l.first++
	}
	for w.Next() != w.Run() {
		w.Release(w.Next())
	}
}

// One packet inserted, and on the average one repaired or read.
func BenchmarkReceive(b *testing.B) {
	for _, keep := range []int{0, 64} {
		for _, size := range benchSizes {
			for _, loss := range []int{0, 1, 10} {
				b.Run(fmt.Sprintf("keep=%d/bytes=%d/loss=%d", keep, size, loss), func(b *testing.B) {
					l := newLossyLink(loss, size, keep)
					for range 10000 {
						l.step()
					}
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						l.step()
					}
				})
			}
		}
	}
}

// Insert in order and Release, without bytes to copy or with.
func BenchmarkReceiveInOrder(b *testing.B) {
	for _, keep := range []int{0, 64} {
		for _, size := range []int{0, 1, 1408} {
			b.Run(fmt.Sprintf("keep=%d/bytes=%d", keep, size), func(b *testing.B) {
				w := NewReceive(65536, 64<<20)
				w.Start(0)
				w.Keep(keep)
				payload := make([]byte, size)
				n := seq.Num(0)
				b.ReportAllocs()
				for b.Loop() {
					w.Insert(n, payload, Fragment{})
					w.Release(n)
					n++
				}
			})
		}
	}
}

// The same with a reader that is a whole batch behind and looks at each packet.
func BenchmarkReceiveBatch(b *testing.B) {
	for _, keep := range []int{0, 64} {
		b.Run(fmt.Sprintf("keep=%d", keep), func(b *testing.B) { benchmarkReceiveBatch(b, keep) })
	}
}

func benchmarkReceiveBatch(b *testing.B, keep int) {
	w := NewReceive(65536, 64<<20)
	w.Start(0)
	w.Keep(keep)
	payload := make([]byte, 1)
	n := seq.Num(0)
	sum := 0
	b.ReportAllocs()
	for b.Loop() {
		w.Insert(n, payload, Fragment{})
		n++
		if n%64 != 0 {
			continue
		}
		for w.Next() != w.Run() {
			p, _ := w.Packet(w.Next())
			sum += len(p.Payload)
			w.Release(w.Next())
		}
	}
}

// One packet written, sent, and reclaimed a window later. With loss, that part is sent again.
func BenchmarkTransmit(b *testing.B) {
	for _, size := range benchSizes {
		for _, loss := range []int{0, 1, 10} {
			b.Run(fmt.Sprintf("bytes=%d/loss=%d", size, loss), func(b *testing.B) {
				w := NewTransmit(4096, size, 0)
				payload := make([]byte, size)
				now := mono.Time(0)
				step := func() {
					if w.Free() == 0 {
						w.Reclaim(now, 20*time.Microsecond, time.Microsecond, 0, false, 64)
					}
					n := w.Put(copy(w.Slot(), payload), 0, Fragment{})
					w.Sent(now, 1)
					if uint32(n)*uint32(loss)%100 < uint32(loss) {
						w.Get(n - 50)
						w.Resent(now, seq.Max(n-50, w.Trail()))
					}
					now += mono.Time(time.Microsecond)
				}
				for range 10000 {
					step()
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
		}
	}
}
