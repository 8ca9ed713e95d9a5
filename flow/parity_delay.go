package flow

import "time"

// delayModel estimates the delay from the instant at which a lost packet would have arrived to that at which it is delivered: the one
// that 99 % of the lost packets of a receiver do not exceed. That jumps by a whole round of repair where the share of those who need
// one more passes 1 %, which nobody knows so well; so it is the mean of those of 98.5, 99 and 99.5 %. Times are in nanoseconds.
//
// Packets are lost independently with probability p, NAKs as well; a group of k fills evenly in F; G is the group's greatest round
// trip, and F/k the time of a packet. What is not in it: bursts, queues, waiting for the limiter, delivery in order.
//
// The backoff. Receivers draw from RFC 5401's law, P(t <= x) = (e^(λx/T)-1)/(e^λ-1), λ = ln r + 1, and the first one to speak asks for all
// that miss the same. Among n of them it has spoken with probability 99 % when the law has reached 4.6/n, so the wait is taken as
// uniform from 0 to
//
//	W(n) = T/λ ln(1 + min(1, 4.6/n) (e r - 1)).
//
// Replay at once: F/k until the next packet shows the gap, the lesser of 2 F/k and 1 ms for packets out of order, W(p r), G, and one
// more round for each NAK or repair that is lost: with probability 1 - (1-p)(1-p/n), n = max(1, p r). The first
// takes 2 G + 2 ms + 0.6 W, for NAK, NCF, waiting for data in vain, and asking again; in each that follows the wait in vain, G + 2 ms, is twice
// as long, up to 100 ms or 4 G (not where parity is asked for: what came of it shows at once that some of it was lost). W is now that of those who ask again, who draw as in
// a group of r/100.
//
// Replay at once with h parity packets all the same: the lesser of the delay of replay and of the time to the group's end, unless then more than
// what arrives of h is still missing. It cuts the tail off where many rounds fit into a group.
//
// Parity: the lost packet is anywhere in the group, so that its end is a time uniform from 0 to F away (and ParityIdle more where the
// source pauses before the group is full). After that h packets come unasked. They do not suffice with the probability
//
//	s(h) = P(Bin(k+h-1, p) >= h):
//
// this packet is lost, and h or more of the others. If they suffice the delay ends with them. s is taken as 3/2 of that, so that h
// is taken as enough only if the estimate says 99.7 %.
//
// Else W(r times the share of receivers that miss something, at most 1), G, and the time of the M packets that the worst of r receivers
// lacks. Of what was sent by then too little has arrived with probability s(h+M); in that are those who lacked more than M, with
// probability u = P(Bin(k+h-1, p) >= h+M), but as M is the most that anybody lacks, they too have all with probability (1-p)^(M+1). So
// another round is needed with probability
//
//	(s(h+M) - u (1-p)^(M+1)) / s(h),
//
// or if no NAK of those who ask arrives. M counts to h in that round. One receiver has M as what it lacks itself, on average
// m = max(1, 1 + (k+h-1) p - h), and p m in the next round; it needs another round with probability 1 - (1-p)^m.
type delayModel struct {
	k, interleave       int
	p, r                float64
	fill, packet        float64
	grtt, backoff, late float64
}

const (
	repaired    = 100                           // of so many receivers one takes part in another round, as receivers see it
	usual       = 0.6                           // of W is waited
	roundSpare  = 2 * float64(time.Millisecond) // by which timers for NCF and data exceed the round trip at first
	longRetry   = 100 * float64(time.Millisecond)
	reorderMost = float64(time.Millisecond)
	maxModel    = 0.9 // loss for which it is computed

	enoughAnswers = 0.9 // probability that so many arrive as were asked for
	failMargin    = 1.5
	rounds        = 8    // the last one stands for all that follow
	tick          = 1e3  // ns; shorter waits than that are that long
	seldom        = 0.01 // of lost packets
	halvings      = 24
)

func newDelayModel(c ParityConfig, key planKey) delayModel {
	m := delayModel{
		k: c.GroupSize, interleave: c.Interleave, p: min(key.loss, maxModel), r: key.receivers,
		fill: key.fill, packet: key.fill / float64(c.GroupSize), grtt: key.grtt, backoff: key.backoff,
	}
	if key.group < c.GroupSize {
		m.late = float64(ParityIdle)
	}
	return m
}

// wait is W(n) for a backoff drawn as in a group of r >= 1.
func (m *delayModel) wait(n, r float64) float64 {
	const e = 2.718281828459045
	share := min(1, 4.6/max(n, 1))
	return min(m.backoff*ln(1+float64(share*(float64(e*r)-1)))/(ln(r)+1), m.backoff)
}

// short is the probability that h parity packets do not suffice for what is missing at the end of a group whose lost packets are repaired with
// delays d, one of them missing.
func (m *delayModel) short(d *mixture, h int) float64 {
	const steps = 8
	open := 0.0 // share of the lost packets that are not repaired by then
	for i := range steps {
		open += float64((1 - d.below(float64((float64(i)+0.5)*m.fill/steps))) / steps)
	}
	n := m.k + h - 1
	return atLeast(n, h, (float64(float64(m.k-1)*m.p*open)+float64(float64(h)*m.p))/float64(n))
}

// replay returns the delays where everything is asked for at once.
func (m *delayModel) replay() (d mixture) {
	n := max(1, m.p*m.r)
	w := m.wait(n, m.r)
	again := 1 - float64((1-m.p)*(1-m.p/n))
	at := m.packet + min(float64(2*m.packet), reorderMost) + m.grtt
	left := 1.0
	for i := range rounds {
		d.add(&left, i, again, at, m.packet, w)
		n = max(1, float64(n*m.p))
		at += m.round(i, n)
	}
	return d
}

// rescued returns the delay where everything is asked for at once, with delays d, and h parity packets come with each group all the same.
func (m *delayModel) rescued(d *mixture, h int) float64 {
	short := min(float64(m.short(d, h)*failMargin), 1)
	end := m.late + float64(float64(h*m.interleave)*m.packet)
	return tail(d.longest(), func(x float64) float64 {
		late := short + float64((1-short)*min(max(1-(x-end)/m.fill, 0), 1))
		return 1 - float64((1-d.below(x))*late)
	})
}

// round returns the time that round i+1 takes beyond round i, when n ask in it.
func (m *delayModel) round(i int, n float64) float64 {
	return m.grtt + m.retry(i) + float64(usual*m.wait(n, max(1, m.r/repaired)))
}

// retry returns for how long data, or an NCF, is waited for in vain in round i.
func (m *delayModel) retry(i int) float64 {
	return min(float64((m.grtt+roundSpare)*float64(int(1)<<i)), max(float64(4*m.grtt), longRetry))
}

// patient returns the delay where receivers wait for the end of the group and h parity packets.
func (m *delayModel) patient(h int) float64 {
	enough := 0 // of h, for most
	for enough < h && m.fails(enough) > seldom {
		enough++
	}
	end := m.late + float64(float64(enough*m.interleave)*m.packet)
	fails := m.fails(h)
	margin := min(float64(fails*failMargin), 1)
	d := mixture{}
	left := 1.0
	d.add(&left, 0, margin, end, m.fill, 0)

	asking := max(1, m.r*min(1, float64(m.k)*m.p))
	w := m.wait(asking, m.r)
	need := max(1, 1+float64(float64(m.k+h-1)*m.p)-float64(h))
	at := m.late + float64(float64(h*m.interleave+m.worst(h))*m.packet) + m.grtt
	for i := range rounds {
		all := 1.0
		for range int(need + 0.5) {
			all = float64(all * (1 - m.p))
		}
		again := 1 - all
		if m.r >= 2 && fails > 0 {
			most := m.worst(h)
			more := m.fails(h + most)
			neediest := atLeast(m.k+h-1, h+most, m.p)
			for range most + 1 {
				neediest = float64(neediest * (1 - m.p))
			}
			again = max(more-neediest, 0) / fails
			h, fails = h+most, more
		}
		again = 1 - float64((1-again)*(1-m.p/asking))
		d.add(&left, i, again, at, m.fill, w)
		need, asking = max(1, float64(need*m.p)), max(1, float64(asking*again))
		at += m.round(0, asking)
	}
	return d.tail()
}

// fails is s(h).
func (m *delayModel) fails(h int) float64 { return atLeast(m.k+h-1, h, m.p) }

// worst returns M: what the neediest of r receivers probably lacks after k data packets and h of parity; at least 1.
func (m *delayModel) worst(h int) int {
	n, need := m.k+h, 1
	// Walk the terms of the binomial distribution up; what lies above is what remains of 1.
	b, above := 1.0, 1.0
	for range n {
		b *= 1 - m.p
	}
	for i := 0; i < n; i++ {
		above -= b
		if i > h {
			need = i - h
		}
		if i >= h+1 && above*m.r < 0.7 {
			break
		}
		b = float64(b * (float64(n-i) * m.p / (float64(i+1) * (1 - m.p))))
	}
	return need
}

// atLeast returns P(Bin(n, p) >= h).
func atLeast(n, h int, p float64) float64 {
	b, below := 1.0, 0.0
	for range n {
		b *= 1 - p
	}
	for i := range h {
		below += b
		b = float64(b * (float64(n-i) * p / (float64(i+1) * (1 - p))))
	}
	return max(1-below, 0)
}

// mixture is a distribution of delays: each part is a constant and two waits uniform from 0.
type mixture struct {
	parts [rounds + 1]part
	n     int
}

type part struct{ weight, at, a, b float64 }

// add adds round i: of what is left the share again goes on to the next, unless there is none.
func (d *mixture) add(left *float64, i int, again, at, a, b float64) {
	weight := *left
	if i < rounds-1 {
		weight = float64(*left * (1 - again))
	}
	*left -= weight
	d.parts[d.n] = part{weight, at, max(a, tick), max(b, tick)}
	d.n++
}

// tail returns the mean of the delays that 98.5, 99 and 99.5 % do not exceed.
func (d *mixture) tail() float64 { return tail(d.longest(), d.below) }

func (d *mixture) longest() (most float64) {
	for _, q := range d.parts[:d.n] {
		most = max(most, q.at+q.a+q.b)
	}
	return most
}

// below returns the share of the delays that x is not exceeded by.
func (d *mixture) below(x float64) (sum float64) {
	for _, q := range d.parts[:d.n] {
		sum += float64(q.weight * q.below(x))
	}
	return sum
}

// tail returns the mean of the delays that 98.5, 99 and 99.5 % do not exceed. below is the distribution, longest where it ends.
func tail(longest float64, below func(float64) float64) float64 {
	return (quantile(longest, below, 0.985) + quantile(longest, below, 0.99) + quantile(longest, below, 0.995)) / 3
}

// quantile returns what a share of the delays does not exceed, to a 10^7th of the longest.
func quantile(longest float64, below func(float64) float64, share float64) float64 {
	low, high := 0.0, longest
	for range halvings {
		mid := float64((low + high) / 2)
		if below(mid) < share {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// below returns P(at + A + B <= x), A uniform in (0, a) and B in (0, b).
func (q *part) below(x float64) float64 {
	x -= q.at
	if x <= 0 {
		return 0
	}
	if x >= q.a+q.b {
		return 1
	}
	square := func(x float64) float64 {
		if x <= 0 {
			return 0
		}
		return float64(x * x)
	}
	return (square(x) - square(x-q.a) - square(x-q.b)) / (2 * q.a * q.b)
}

// ln returns the natural logarithm of x >= 1, to about 12 digits, by the same operations everywhere.
func ln(x float64) float64 {
	const ln2 = 0.6931471805599453
	n := 0.0
	for x > 1.5 {
		x /= 2
		n++
	}
	z := (x - 1) / (x + 1) // -1/7 to 1/5: x is above 3/4
	sum, power := 0.0, z
	for i := 1; i < 18; i += 2 {
		sum += power / float64(i)
		power *= float64(z * z)
	}
	return float64(2*sum) + float64(n*ln2)
}
