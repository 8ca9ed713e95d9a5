package flow

// Bounds of what the costs of repair are computed for. What lies outside counts as the nearest bound, so no argument gives NaN or
// infinity, and none takes long.
const (
	maxCostLoss      = 0.99 // beyond, hardly anything arrives, whatever the repair
	maxCostGroup     = 128  // a transmission group of RFC 3208
	maxCostReceivers = 1 << 40
	costError        = 1e-9 // of a sum that is cut off, in packets
)

// ReplayCost returns the expected transmissions per data packet when each lost packet is sent again, by itself, until all of r
// receivers have it, each of which loses each packet with probability p, independently. It is at least 1.
//
// The packet has to be sent more than t times if at least one receiver lost all t, so the expectation is the sum over t = 0, 1, …
// of 1 - (1-p^t)^r.
//
// p counts as at most 0.99; r as 1 to 2^40. With a fractional r there is one receiver more with the probability that the fraction
// says: the cost is linear between whole numbers. NaN counts as the lower bound.
func ReplayCost(p, r float64) float64 {
	p, r = costLoss(p), costReceivers(r)
	sum, lost := 1.0, p
	for t := atLeastOne(lost, r); t > costError*(1-p); t = atLeastOne(lost, r) {
		sum += t
		lost = float64(lost * p)
	}
	return sum
}

// ParityCost returns the same for on-demand parity in groups of k data packets: a receiver needs any k packets of a group,
// data or parity, and parity is sent until each of r receivers holds so many. What is lost of the repairs is in it.
//
// The number of packets N1 that have to be sent until one receiver holds k has the negative binomial distribution: after n packets
// it holds fewer than k with the probability
//
//	T(n) = P(Bin(n, 1-p) < k) = (1-p) × (b(n) + b(n+1) + …),   b(n) = C(n, k-1) (1-p)^(k-1) p^(n-k+1),
//
// for k-1 packets arrived of the first n, and the next one too, where n is the last that is not enough. All of r independent
// receivers hold k after n packets with probability (1-T(n))^r, so of the greatest N of them
//
//	E[N] = sum over n = 0, 1, … of P(N > n) = k + sum over n = k, k+1, … of 1 - (1-T(n))^r,
//
// and the cost is E[N]/k. That is the least that any scheme can spend that works on groups of k: parity that is asked for in rounds
// reaches it if each round sends no more than the worst receiver lacks. For k = 1 it is ReplayCost.
//
// k counts as 1 to 128, p and r as in ReplayCost.
func ParityCost(k int, p, r float64) float64 { return parityCost(k, 0, p, r) }

// ProactiveCost returns the same where the first h parity packets of each group are sent unasked, needed or not, and more on demand:
// E[max(N, k+h)]/k. Negative h counts as 0.
func ProactiveCost(k, h int, p, r float64) float64 { return parityCost(k, max(h, 0), p, r) }

// parityCost is ParityCost where the first h >= 0 parity packets are sent unasked, needed or not: E[max(N, k+h)]/k.
func parityCost(k, h int, p, r float64) float64 {
	k, p, r = min(max(k, 1), maxCostGroup), costLoss(p), costReceivers(r)
	if p == 0 {
		return float64(k+h) / float64(k)
	}
	// b rises to its greatest and falls from there at least as fast as a geometric series of the ratio at hand. Go to where what is left of
	// the sum of sums is too small to count.
	n, b := k-1, 1.0
	for range k - 1 {
		b *= 1 - p
	}
	for {
		ratio := p * float64(n+1) / float64(n-k+2)
		if rest := 1 - ratio; rest > 0 && n >= k+h && r*b*(1-p) < costError*rest*rest {
			break
		}
		b *= ratio
		n++
	}
	// And back, so that sums of small numbers are what is added up, not differences of large ones.
	tail, sum := 0.0, 0.0
	for ; n >= k+h; n-- {
		tail += float64((1 - p) * b)
		sum += atLeastOne(tail, r)
		b *= float64(n-k+1) / (float64(n) * p)
	}
	return (float64(k+h) + sum) / float64(k)
}

// atLeastOne returns the probability that at least one of r independent things happens, each of probability p: 1 - (1-p)^r, exact for
// small p too. The receiver that a fractional r has beyond its whole part is there with the probability of the fraction.
func atLeastOne(p, r float64) float64 {
	whole := uint64(r)
	all := 0.0
	for one := p; whole != 0; whole >>= 1 {
		if whole&1 != 0 {
			all += float64(one * (1 - all))
		}
		one += float64(one * (1 - one))
	}
	p *= r - float64(uint64(r))
	return min(all+float64(p*(1-all)), 1)
}

func costLoss(p float64) float64 {
	if p > 0 { // false for NaN
		return min(p, maxCostLoss)
	}
	return 0
}

func costReceivers(r float64) float64 {
	if r > 1 {
		return min(r, maxCostReceivers)
	}
	return 1
}
