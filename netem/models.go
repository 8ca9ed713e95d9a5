package netem

import "math/rand/v2"

// GilbertElliott is a channel that is good or bad and loses packets accordingly: tc's "loss gemodel P R 1-H 1-K". A packet meets the
// present state; then the state may change. All fields are probabilities, 0 to 1, and mean what they say: unlike in tc's text, zero is
// zero.
//
//	        P
//	good ──────▶ bad      bad packets in a row: 1/R in the mean
//	     ◀──────
//	        R
type GilbertElliott struct {
	P  float64 // from good to bad
	R  float64 // from bad to good; tc's text has 1-P where it is not given
	H1 float64 // 1-h: loss in the bad state; tc's text has 1 where it is not given
	K1 float64 // 1-k: loss in the good state
}

// bad returns the share of packets that meet the bad state.
func (g GilbertElliott) bad() float64 {
	if g.P == 0 {
		return 0 // also if R is 0: it begins well
	}
	return g.P / (g.P + g.R)
}

// MeanLoss returns the share of packets that are lost in the mean: of P/(P+R) packets H1, of the others K1.
func (g GilbertElliott) MeanLoss() float64 {
	b := g.bad()
	return float64(b*g.H1) + float64((1-b)*g.K1)
}

func (g GilbertElliott) chain() *chain {
	c := &chain{}
	c.state[0] = chainState{loss: newChance(g.K1), first: newChance(g.P), second: newChance(g.P), to: [2]uint8{1, 1}}
	c.state[1] = chainState{loss: newChance(g.H1), first: newChance(g.R), second: newChance(g.R), to: [2]uint8{0, 0}}
	c.start = [3]chance{newChance(1 - g.bad()), always, always}
	return c
}

// Markov4 is the model of four states by Salsano, Ludovici and Ordine: tc's "loss state P13 P31 P32 P23 P14". All fields are
// probabilities, 0 to 1, and mean what they say: unlike in tc's text, zero is zero.
//
//	          P14          P13          P32
//	4 lost  ◀────── 1 good ────▶ 3 lost ────▶ 2 good
//	alone    1                   in a burst   in a burst
//	        ──────▶        ◀────        ◀────
//	                        P31          P23
type Markov4 struct {
	P13 float64 // a burst begins
	P31 float64 // a burst ends; tc's text has 1-P13 where it is not given
	P32 float64 // good packets within a burst begin
	P23 float64 // they end; tc's text has 1 where it is not given
	P14 float64 // a single packet is lost
}

// stationary returns how many of all packets meet each state, in the order of their numbers.
func (m Markov4) stationary() [4]float64 {
	var w [4]float64 // weights: flows between neighbours are equal in both directions
	switch {
	case m.P13 == 0:
		w = [4]float64{1, 0, 0, m.P14}
	case m.P32 == 0:
		w = [4]float64{m.P31, 0, m.P13, float64(m.P14 * m.P31)}
	default:
		w = [4]float64{float64(m.P31 * m.P23), float64(m.P13 * m.P32), float64(m.P13 * m.P23), float64(float64(m.P14*m.P31) * m.P23)}
	}
	sum := w[0] + w[1] + w[2] + w[3]
	for i := range w {
		w[i] /= sum
	}
	return w
}

// MeanLoss returns the share of packets that are lost in the mean: those that meet states 3 and 4.
func (m Markov4) MeanLoss() float64 {
	w := m.stationary()
	return w[2] + w[3]
}

func (m Markov4) chain() *chain {
	move := func(p float64, to uint8, q float64, or uint8) chainState {
		return chainState{first: newChance(p), second: newChance(p + q), to: [2]uint8{to, or}}
	}
	c := &chain{state: [4]chainState{move(m.P13, 2, m.P14, 3), move(m.P23, 2, 0, 2), move(m.P31, 0, m.P32, 1), move(1, 0, 0, 0)}}
	c.state[2].loss, c.state[3].loss = always, always
	w := m.stationary()
	c.start = [3]chance{newChance(w[0]), newChance(w[0] + w[1]), newChance(w[0] + w[1] + w[2])}
	return c
}

// chain is a loss model of up to four states: a packet meets the present one, and then it may change.
type chain struct {
	state [4]chainState
	start [3]chance // cumulative: state 0, 1, 2, or else 3
}

type chainState struct {
	loss          chance
	first, second chance // cumulative: go to to[0], to[1], or else stay
	to            [2]uint8
}

// begin draws a state from the stationary distribution.
func (c *chain) begin(pcg *rand.PCG) uint8 {
	u := pcg.Uint64()
	for i, p := range c.start {
		if p.hit(u) {
			return uint8(i)
		}
	}
	return 3
}

// next reports whether the packet that meets the state s is lost, and what the next one meets. It draws twice.
func (c *chain) next(s uint8, pcg *rand.PCG) (lost bool, next uint8) {
	now := &c.state[s&3]
	lost = now.loss.hit(pcg.Uint64())
	switch u := pcg.Uint64(); {
	case now.first.hit(u):
		s = now.to[0]
	case now.second.hit(u):
		s = now.to[1]
	}
	return lost, s
}
