package flow

import (
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// bottleneck is a link of one rate with a drop-tail queue, in virtual time, and the flows that share it. Packets reach it as they are sent;
// what it passes arrives a one-way delay later, and what goes back takes as long.
type bottleneck struct {
	rng     *rand.Rand
	rate    Rate
	limit   int           // bytes that may wait
	delay   time.Duration // one way
	loss    float64       // at random, behind the queue
	ackLoss float64
	police  bool // drops what is beyond rate instead of queueing it, with a bucket of limit bytes

	now    mono.Time
	queue  []parcel
	head   int
	waits  int       // bytes
	done   mono.Time // when the first of the queue has passed
	bucket float64   // policer: bytes
	filled mono.Time
	flows  []traffic
	taken  [][]int64 // bytes passed, by flow and tenth of a second
	drops  int       // at the queue or the policer
	passed int       // packets
	most   int       // bytes that waited at most
}

// parcel is a packet on its way.
type parcel struct {
	flow   int
	num    int
	bytes  int
	repair bool
	at     mono.Time // arrival, once it passed
}

// traffic is a sender with its receiver.
type traffic interface {
	next() mono.Time                  // when it has to do something
	act(now mono.Time, b *bottleneck) // do what is due
	passed(p parcel, b *bottleneck)   // will arrive at p.at
}

func newBottleneck(rate Rate, rtt time.Duration, packets int, seed uint64) *bottleneck {
	return &bottleneck{rng: rand.New(rand.NewPCG(seed, 1)), rate: rate, delay: rtt / 2, limit: packets * packetBytes, done: mono.Never}
}

// packetBytes is the size of our packets in the model.
const packetBytes = 1480

// bdpPackets returns a bandwidth-delay product, at least 32 packets.
func bdpPackets(rate Rate, rtt time.Duration) int { return max(32, int(rate.Bytes(rtt)/packetBytes)) }

func (b *bottleneck) add(f traffic) int {
	b.flows = append(b.flows, f)
	b.taken = append(b.taken, nil)
	return len(b.flows) - 1
}

// send puts a packet at the end of the queue.
func (b *bottleneck) send(p parcel) {
	if b.police {
		b.bucket = min(b.bucket+float64(b.rate)/8*b.now.Sub(b.filled).Seconds(), float64(b.limit))
		b.filled = b.now
		if b.bucket < float64(p.bytes) {
			b.drops++
			return
		}
		b.bucket -= float64(p.bytes)
		b.pass(p)
		return
	}
	if b.waits+p.bytes > b.limit+packetBytes { // the one on the wire does not wait
		b.drops++
		return
	}
	b.waits += p.bytes
	b.most = max(b.most, b.waits)
	b.queue = append(b.queue, p)
	if b.done == mono.Never {
		b.done = b.now.Add(b.rate.Duration(int64(p.bytes)))
	}
}

func (b *bottleneck) pass(p parcel) {
	b.passed++
	tenth := int(b.now / mono.Time(100*ms))
	for len(b.taken[p.flow]) <= tenth {
		b.taken[p.flow] = append(b.taken[p.flow], 0)
	}
	b.taken[p.flow][tenth] += int64(p.bytes)
	if b.loss > 0 && b.rng.Float64() < b.loss {
		return
	}
	p.at = b.now.Add(b.delay)
	b.flows[p.flow].passed(p, b)
}

// run goes on until an instant.
func (b *bottleneck) run(until mono.Time) {
	for {
		at, who := b.done, -1
		for i, f := range b.flows {
			if n := f.next(); n < at {
				at, who = n, i
			}
		}
		if at > until {
			b.now = until
			return
		}
		b.now = max(b.now, at)
		if who >= 0 {
			b.flows[who].act(b.now, b)
			continue
		}
		p := b.queue[b.head]
		if b.head++; b.head > 4096 && b.head > len(b.queue)/2 {
			b.queue, b.head = append(b.queue[:0], b.queue[b.head:]...), 0
		}
		b.waits -= p.bytes
		b.done = mono.Never
		if b.head < len(b.queue) {
			b.done = b.now.Add(b.rate.Duration(int64(b.queue[b.head].bytes)))
		}
		b.pass(p)
	}
}

// mean returns what a flow took of the link between two instants, in bit/s.
func (b *bottleneck) mean(flow int, from, to time.Duration) float64 {
	sum := int64(0)
	for i := int(from / (100 * ms)); i < int(to/(100*ms)) && i < len(b.taken[flow]); i++ {
		sum += b.taken[flow][i]
	}
	return float64(sum) * 8 / (to - from).Seconds()
}

// lossShare returns what share of the packets the queue dropped.
func (b *bottleneck) lossShare() float64 { return float64(b.drops) / float64(max(b.passed+b.drops, 1)) }
