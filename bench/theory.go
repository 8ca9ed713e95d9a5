package main

import "math"

// What one packet of each scheme weighs over IPv6 at an MTU of 1500.
const (
	rmcastPayload = 1408                          // a full stream packet (DESIGN decision 2)
	rmcastPacket  = 40 + 8 + 24 + rmcastPayload   // IPv6, UDP, PGM's data header, payload
	tcpPacket     = 1500                          // a full segment
	tcpPayload    = tcpPacket - 40 - 20 - tcpOpts // IPv6, TCP, timestamps
	tcpOpts       = 12
)

// replayMinimum is how often a packet goes out on average until each of receivers, losing independently with the
// probability loss, has it, when every repair repeats the packet: E[max of geometric] = Σ_{k≥0} (1 − (1 − loss^k)^receivers).
func replayMinimum(receivers int, loss float64) float64 {
	sum, power := 0.0, 1.0
	for {
		term := 1 - math.Pow(1-power, float64(receivers))
		if term < 1e-12 {
			return sum
		}
		sum += term
		power *= loss
	}
}

// multicastMinimum is the least number of IP bytes a replaying multicast sender needs for one byte of use to every receiver.
func multicastMinimum(receivers int, loss float64) float64 {
	return replayMinimum(receivers, loss) * rmcastPacket / rmcastPayload
}

// fanOutMinimum is the same for one TCP connection to each receiver: every one repeats only its own losses.
func fanOutMinimum(receivers int, loss float64) float64 {
	return float64(receivers) / (1 - loss) * tcpPacket / tcpPayload
}
