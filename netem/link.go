package netem

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Link is one direction of a link: it says when packets arrive, and in what state, and holds no packet itself. It reads no
// clock and no global randomness: the same impairment, seed and calls give the same answers on every machine. It is not
// safe for concurrent use.
//
//	packet -> loss, duplication -> MTU -> queue (Limit) -> transmitter (Rate) -> Down -> Delay ± Jitter -> arrival
//
// Each impairment draws from a generator of its own, the same number of times for each packet whatever comes of it. So a change in one
// setting does not reshuffle what the others do.
//
// A Link that only loses packets and delays them by a constant takes 64 bytes, others about 200 more and a queue. A Link that is in use must
// not be copied.
type Link struct {
	*compiled
	noise   rand.PCG // for Loss; for the chain if there is no Loss
	packets uint64
	size    uint64 // bytes of the packets
	lost    uint64
	extra   *extra // nil where nothing needs it
	wait    uint32 // packets before the next that Every loses
	state   uint8  // of the chain
}

// extra is what a Link needs for more than losses and a constant delay.
type extra struct {
	chain, copies                      rand.PCG
	duplicate, reorder, corrupt, delay source
	lastLoss                           uint64 // the number that decided about the last packet, for LossCorrelation
	apart                              int    // packets since the last that skipped Delay
	queue                              *queue

	overflow, tooBig, down, duplicated, reordered, corrupted uint64
}

// Fate is what a Link does to one packet.
type Fate struct {
	N    int     // how many copies arrive: 0, 1 or 2
	Copy [2]Copy // the first N are valid, in the order in which they were sent
}

// Copy is one arrival.
type Copy struct {
	At      time.Duration // arrival, on the clock of the caller's now
	Corrupt bool          // an error is in it
}

// LinkStats counts a Link's packets and what became of them.
type LinkStats struct {
	Packets    uint64 // given to Send
	Bytes      uint64 // of these
	Arrived    uint64 // copies that arrive, corrupted ones included
	Lost       uint64 // copies lost at random, or by Every
	Overflow   uint64 // copies dropped by a full queue
	TooBig     uint64 // copies larger than the MTU
	Down       uint64 // copies lost because the link was down
	Duplicated uint64
	Reordered  uint64
	Corrupted  uint64
}

// Model is an Impairment made ready for Links. Links made from one Model share it. It never changes.
type Model struct{ compiled compiled }

// compiled is an Impairment in the units that Send works with.
type compiled struct {
	imp   Impairment
	chain *chain
	// plain: nothing but Loss and a constant delay. light: only losses of all kinds and a constant delay, so no extra is needed.
	plain, light bool

	loss, duplicate, reorder, corrupt                         chance
	lossRepeat, duplicateRepeat, reorderRepeat, corruptRepeat chance
	delayRepeat                                               chance

	every      uint32
	limit      int
	limitBytes int
	spread     *spread
}

// Compile makes an impairment ready for any number of Links. The error is that of [Impairment.Validate].
func Compile(i Impairment) (*Model, error) {
	if err := i.Validate(); err != nil {
		return nil, err
	}
	m := &Model{compiled{
		imp:  i.clone(),
		loss: newChance(i.Loss), duplicate: newChance(i.Duplicate), reorder: newChance(i.Reorder), corrupt: newChance(i.Corrupt),
		lossRepeat: newChance(i.LossCorrelation), duplicateRepeat: newChance(i.DuplicateCorrelation),
		reorderRepeat: newChance(i.ReorderCorrelation), corruptRepeat: newChance(i.CorruptCorrelation),
		delayRepeat: newChance(i.DelayCorrelation),
		every:       uint32(i.Every), limit: i.Limit, limitBytes: i.LimitBytes,
		spread: spreads[i.Distribution](),
	}}
	c := &m.compiled
	if c.limit == 0 && c.limitBytes == 0 {
		c.limit = defaultLimit
	}
	if c.limit == 0 {
		c.limit = math.MaxInt
	}
	if c.limitBytes == 0 {
		c.limitBytes = math.MaxInt
	}
	switch {
	case i.GE != nil:
		c.chain = i.GE.chain()
	case i.Markov != nil:
		c.chain = i.Markov.chain()
	}
	c.light = (i.Loss == 0 || i.LossCorrelation == 0 && c.chain == nil) && i.Duplicate == 0 && i.Reorder == 0 && i.Corrupt == 0 &&
		i.Jitter == 0 && i.Rate == 0 && i.MTU == 0 && len(i.Down) == 0
	c.plain = c.light && c.chain == nil && i.Every == 0
	return m, nil
}

// Impairment returns what the model was made from.
func (m *Model) Impairment() Impairment { return m.compiled.imp.clone() }

// Link returns a Link in one direction. Links with different seeds, or of one seed with different streams, are independent.
func (m *Model) Link(seed, stream uint64) Link {
	c := &m.compiled
	l := Link{compiled: c}
	switch {
	case c.loss > 0:
		l.noise = seedFor(seed, stream, useLoss)
	case c.chain != nil:
		l.noise = seedFor(seed, stream, useChain)
		l.state = c.chain.begin(&l.noise)
	}
	if c.every > 0 {
		phase := seedFor(seed, stream, useEvery)
		first, _ := bits.Mul64(phase.Uint64(), uint64(c.every))
		l.wait = uint32(first)
	}
	if c.light {
		return l
	}
	x := &extra{
		copies:    seedFor(seed, stream, useCopy),
		duplicate: newSource(seed, stream, useDuplicate), reorder: newSource(seed, stream, useReorder),
		corrupt: newSource(seed, stream, useCorrupt), delay: newSource(seed, stream, useDelay),
	}
	if c.lossRepeat > 0 {
		x.lastLoss = l.noise.Uint64()
	}
	if c.chain != nil && c.loss > 0 {
		x.chain = seedFor(seed, stream, useChain)
		l.state = c.chain.begin(&x.chain)
	}
	if c.imp.Rate > 0 {
		x.queue = &queue{free: math.MinInt64}
	}
	l.extra = x
	return l
}

// NewLink returns a Link in one direction, as [Compile] and [Model.Link] do. It panics if the impairment is not valid: use
// [Impairment.Validate] on what comes from a user.
func NewLink(i Impairment, seed, stream uint64) *Link {
	m, err := Compile(i)
	if err != nil {
		panic(err)
	}
	return new(m.Link(seed, stream))
}

// Impairment returns what the link was made with.
func (l *Link) Impairment() Impairment { return l.imp.clone() }

// Stats returns the counters so far.
func (l *Link) Stats() LinkStats {
	s := LinkStats{Packets: l.packets, Bytes: l.size, Lost: l.lost}
	if x := l.extra; x != nil {
		s.Overflow, s.TooBig, s.Down = x.overflow, x.tooBig, x.down
		s.Duplicated, s.Reordered, s.Corrupted = x.duplicated, x.reordered, x.corrupted
	}
	s.Arrived = s.Packets + s.Duplicated - s.Lost - s.Overflow - s.TooBig - s.Down
	return s
}

// Up reports whether the link is up at an instant, and until when that stays so at least. See [Impairment.Up].
func (l *Link) Up(now time.Duration) (up bool, until time.Duration) { return l.imp.Up(now) }

// Send gives the link an IP packet of size bytes at the instant now, counted from any epoch the caller likes, within 36 years of it. Calls
// should come in order of now; an earlier now is treated by a Rate as if it came when the queue last moved. No copy arrives before now.
func (l *Link) Send(now time.Duration, size int) Fate {
	l.packets++
	l.size += uint64(size)
	if !l.plain {
		return l.send(now, size)
	}
	if l.loss > 0 && l.loss.hit(l.noise.Uint64()) {
		l.lost++
		return Fate{}
	}
	return Fate{N: 1, Copy: [2]Copy{{At: now + l.imp.Delay}}}
}

// way is what was drawn for one copy.
type way struct {
	lost, early, corrupt bool
	spread               uint64 // places it within Jitter
}

func (l *Link) send(now time.Duration, size int) (f Fate) {
	state := l.state
	lost, counted := l.lose()
	x := l.extra
	switch {
	case x != nil:
	case lost:
		l.lost++
		return f
	default:
		f.N, f.Copy[0].At = 1, now+l.imp.Delay
		return f
	}
	twice := l.duplicate > 0 && l.duplicate.hit(x.duplicate.next(l.duplicateRepeat))
	early, apart := l.skip()
	w := way{lost: lost, early: early}
	if l.corrupt > 0 {
		w.corrupt = l.corrupt.hit(x.corrupt.next(l.corruptRepeat))
	}
	if l.imp.Jitter > 0 {
		w.spread = x.delay.next(l.delayRepeat)
	}
	l.pass(now, size, w, &f)
	if twice {
		x.duplicated++
		w = l.second(state)
		w.lost = w.lost || counted
		w.early = w.early && apart
		l.pass(now, size, w, &f)
	}
	return f
}

// lose reports whether the packet is lost, and whether it is by Every.
func (l *Link) lose() (lost, counted bool) {
	if l.loss > 0 {
		u := uint64(0)
		if l.lossRepeat == 0 {
			u = l.noise.Uint64()
		} else {
			u = repeated(&l.noise, l.lossRepeat, l.extra.lastLoss)
			l.extra.lastLoss = u
		}
		lost = l.loss.hit(u)
	}
	if l.chain != nil {
		pcg := &l.noise
		if l.loss > 0 {
			pcg = &l.extra.chain
		}
		burst := false
		burst, l.state = l.chain.next(l.state, pcg)
		lost = lost || burst
	}
	if l.every > 0 {
		if counted = l.wait == 0; counted {
			l.wait = l.every
		}
		l.wait--
	}
	return lost || counted, counted
}

// skip reports whether the packet skips Delay, and whether Gap would let it.
func (l *Link) skip() (early, apart bool) {
	if l.reorder == 0 {
		return false, false
	}
	x := l.extra
	apart = x.apart >= l.imp.Gap-1
	early = l.reorder.hit(x.reorder.next(l.reorderRepeat)) && apart
	x.apart++
	if early {
		x.apart = 0
	}
	return early, apart
}

// second draws for the second copy of a packet that met a state of the chain. Its draws are the same number for each.
func (l *Link) second(state uint8) way {
	pcg := &l.extra.copies
	loss, burst, early, corrupt := pcg.Uint64(), pcg.Uint64(), pcg.Uint64(), pcg.Uint64()
	return way{
		lost:  l.loss.hit(loss) || l.chain != nil && l.chain.state[state].loss.hit(burst),
		early: l.reorder.hit(early), corrupt: l.corrupt.hit(corrupt), spread: pcg.Uint64(),
	}
}

// pass sends one copy on its way and adds it to f if it arrives.
func (l *Link) pass(now time.Duration, size int, w way, f *Fate) {
	x := l.extra
	if w.lost {
		l.lost++
		return
	}
	if l.imp.MTU > 0 && size > l.imp.MTU {
		x.tooBig++
		return
	}
	at := now
	if x.queue != nil {
		left, ok := x.queue.transmit(now, size, l.compiled)
		if !ok {
			x.overflow++
			return
		}
		at = left
	}
	if len(l.imp.Down) > 0 {
		if up, _ := l.imp.Up(at); !up {
			x.down++
			return
		}
	}
	if w.early {
		x.reordered++
	} else {
		at += l.travel(w.spread)
	}
	if w.corrupt {
		x.corrupted++
	}
	f.Copy[f.N] = Copy{At: at, Corrupt: w.corrupt}
	f.N++
}

// travel is Delay with Jitter, placed by u, which is uniform over 64 bits.
func (l *Link) travel(u uint64) time.Duration {
	d, j := l.imp.Delay, l.imp.Jitter
	switch {
	case j == 0:
	case l.spread == nil:
		at, _ := bits.Mul64(u, 2*uint64(j)+1)
		d += time.Duration(at) - j
	default:
		d += l.spread.of(u, j)
	}
	return max(0, d)
}

// Backlog returns for how long the transmitter will be busy with what is queued.
func (l *Link) Backlog(now time.Duration) time.Duration {
	if l.extra == nil || l.extra.queue == nil {
		return 0
	}
	if free := l.extra.queue.free; free > now {
		return free - now
	}
	return 0
}

// BacklogBytes returns how many bytes are queued, as the time they will take at Rate. It is 0 on a link without Rate.
func (l *Link) BacklogBytes(now time.Duration) int {
	if l.imp.Rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(l.Backlog(now)), uint64(l.imp.Rate))
	q, _ := bits.Div64(hi, lo, bitTime) // cannot overflow: it is at most what Send was given
	return int(q)
}
