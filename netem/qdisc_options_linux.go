package netem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/vishvananda/netlink/nl"
)

// Attributes of linux/pkt_sched.h that netlink does not name.
const (
	tcaNetemLatency64 = 10
	tcaNetemJitter64  = 11

	netemLossGI = 1 // in TCA_NETEM_LOSS: four states
	netemLossGE = 2 //                    Gilbert-Elliott
)

const (
	manyPackets    = 100_000 // are held for want of a Limit: the kernel's own default is soon full at long delays
	fullPacketBits = 8 * defaultMTU
	kernelScale    = 13 // of a distribution's table: 8192 is one jitter
)

// qdiscOptions returns what the kernel is told about i, or what it cannot do of it.
func qdiscOptions(i Impairment) (*nl.RtAttr, error) {
	if err := i.Validate(); err != nil {
		return nil, err
	}
	if err := kernelLacks(&i); err != nil {
		return nil, err
	}
	limit, err := kernelLimit(&i)
	if err != nil {
		return nil, err
	}
	gap := i.Gap
	if i.Reorder > 0 {
		gap = max(gap, 1)
	}
	// struct tc_netem_qopt, whose times of 64 ns are given in nanoseconds further down.
	options := nl.NewRtAttr(nl.TCA_OPTIONS, kernelWords(0, limit, kernelShare(i.Loss), uint32(gap), kernelShare(i.Duplicate), 0))
	options.AddRtAttr(nl.TCA_NETEM_CORR, shares(i.DelayCorrelation, i.LossCorrelation, i.DuplicateCorrelation))
	options.AddRtAttr(tcaNetemLatency64, nl.Uint64Attr(uint64(i.Delay)))
	options.AddRtAttr(tcaNetemJitter64, nl.Uint64Attr(uint64(i.Jitter)))
	if table := spreads[i.Distribution](); table != nil {
		options.AddRtAttr(nl.TCA_NETEM_DELAY_DIST, kernelTable(table))
	}
	if i.Reorder > 0 {
		options.AddRtAttr(nl.TCA_NETEM_REORDER, shares(i.Reorder, i.ReorderCorrelation))
	}
	if i.Corrupt > 0 {
		options.AddRtAttr(nl.TCA_NETEM_CORRUPT, shares(i.Corrupt, i.CorruptCorrelation))
	}
	switch {
	case i.GE != nil: // p, r, h, 1-k
		options.AddRtAttr(nl.TCA_NETEM_LOSS, nil).AddRtAttr(netemLossGE, shares(i.GE.P, i.GE.R, 1-i.GE.H1, i.GE.K1))
	case i.Markov != nil:
		m := i.Markov
		options.AddRtAttr(nl.TCA_NETEM_LOSS, nil).AddRtAttr(netemLossGI, shares(m.P13, m.P31, m.P32, m.P14, m.P23))
	}
	if i.Rate > 0 {
		bytes := uint64(i.Rate) / 8
		overhead := -frameHeader // Rate is that of IP packets
		options.AddRtAttr(nl.TCA_NETEM_RATE, kernelWords(uint32(min(bytes, math.MaxUint32)), uint32(overhead), 0, 0))
		options.AddRtAttr(nl.TCA_NETEM_RATE64, nl.Uint64Attr(bytes))
	}
	return options, nil
}

// kernelLacks returns an error that names the first setting that sch_netem does not have.
func kernelLacks(i *Impairment) error {
	lacks := func(what string) error {
		return fmt.Errorf("netem: the kernel's netem has no %s", what)
	}
	switch {
	case i.Every > 0:
		return lacks("periodic loss (Every)")
	case i.LimitBytes > 0:
		return lacks("queue limit in bytes (LimitBytes)")
	case i.MTU > 0:
		return lacks("MTU: that is the device's")
	case len(i.Down) > 0:
		return lacks("schedule of outages (Down)")
	case i.Loss > 0 && (i.GE != nil || i.Markov != nil):
		return lacks("two models of loss at once: Loss and GE or Markov")
	case i.Rate > 0 && i.Rate < 8:
		return fmt.Errorf("netem: the kernel's netem has no Rate below 8 bit/s")
	}
	return nil
}

// kernelLimit is how many packets the kernel is told to hold at most.
func kernelLimit(i *Impairment) (uint32, error) {
	limit, travelling := uint64(i.Limit), uint64(0)
	switch {
	case i.Rate > 0:
		if limit == 0 {
			limit = defaultLimit
		}
		travelling = uint64(math.Ceil(i.Delay.Seconds() * float64(i.Rate) / fullPacketBits))
	case limit == 0:
		limit = manyPackets
	}
	if limit+travelling > math.MaxInt32 {
		return 0, errors.New("netem: the kernel's netem cannot hold that many packets (Limit, or Delay times Rate)")
	}
	return uint32(limit + travelling), nil
}

// kernelShare is a probability as the kernel has it. What is not zero does not become so.
func kernelShare(p float64) uint32 {
	if p == 0 {
		return 0
	}
	return max(1, uint32(math.Round(p*math.MaxUint32)))
}

// kernelWords are 32-bit numbers in a row.
func kernelWords(n ...uint32) (b []byte) {
	for _, n := range n {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

// shares are probabilities in a row.
func shares(p ...float64) (b []byte) {
	for _, p := range p {
		b = binary.NativeEndian.AppendUint32(b, kernelShare(p))
	}
	return b
}

// kernelTable makes a table that the kernel draws from of a quantile function: the value in the middle of each step.
func kernelTable(s *spread) (b []byte) {
	const shift = spreadScale - kernelScale
	for i := range spreadSteps {
		v := (int64(s[i]) + int64(s[i+1]) + 1<<shift) >> (shift + 1)
		b = binary.NativeEndian.AppendUint16(b, uint16(int16(min(max(v, math.MinInt16), math.MaxInt16))))
	}
	return b
}
