package main

import "github.com/rmcast/rmcast/flow"

// What one packet of each scheme weighs over IPv6 at an MTU of 1500.
const (
	rmcastPayload = 1408                          // a full stream packet (DESIGN decision 2)
	rmcastPacket  = 40 + 8 + 24 + rmcastPayload   // IPv6, UDP, PGM's data header, payload
	tcpPacket     = 1500                          // a full segment
	tcpPayload    = tcpPacket - 40 - 20 - tcpOpts // IPv6, TCP, timestamps
	tcpOpts       = 12
)

// sendings is how many packets go out for each data packet on average until each of receivers, losing independently with the probability
// loss, has it, if a sender of the scheme knows what everybody lacks and wastes nothing.
//
//   - Repair by replay repeats the packet: the expected maximum of geometric distributions, flow.ReplayCost.
//   - Parity makes up for any loss of its group of 64. A receiver needs any 64 packets of it, data or parity, so N, those that have to go
//     out until all receivers hold as many, is the greatest of negative binomial variables: E[N]/64, flow.ParityCost. Lost repairs are in it.
//     That is also a bound for a source that repairs some losses by replay.
//   - If the first h parity packets go out before anybody asks, it is E[max(N, 64+h)]/64, flow.ProactiveCost.
func sendings(s Scheme, receivers int, loss float64) float64 {
	cfg, _ := s.fec()
	if cfg.Off {
		return flow.ReplayCost(loss, float64(receivers))
	}
	return flow.ProactiveCost(cfg.WithDefaults().GroupSize, cfg.Proactive, loss, float64(receivers))
}

// multicastMinimum is the least number of IP bytes a multicast sender of the scheme needs for one byte of use to every receiver.
func multicastMinimum(s Scheme, receivers int, loss float64) float64 {
	return sendings(s, receivers, loss) * rmcastPacket / rmcastPayload
}

// fanOutMinimum is the same for one TCP connection to each receiver: every one repeats only its own losses.
func fanOutMinimum(receivers int, loss float64) float64 {
	return float64(receivers) / (1 - loss) * tcpPacket / tcpPayload
}
