package main

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// Cell is one condition to measure all schemes under: a network and an amount of data.
type Cell struct {
	Link      flow.Rate `json:"link"` // what the sender's link is shaped to, frames counted; 0: not shaped
	Rate      flow.Rate `json:"rate"` // what the source is fixed at, IP packets counted; 0: it finds its rate
	Receivers int       `json:"receivers"`
	Loss      float64   `json:"loss"`    // probability that a packet does not reach a receiver, independent for each
	Offload   bool      `json:"offload"` // runs of packets cross the network whole (UDP GSO, TCP TSO)
	// Netem is what the kernel's netem does to what each receiver is sent and sends, in tc's words; Loss comes on top of it on the
	// way to the receivers, or is the mean of what it loses there itself. "": the packet filter makes Loss.
	Netem string `json:"netem,omitempty"`
	// RTT is the round trip that links of a netem.Relay make; 0: none but the machine's own.
	RTT      time.Duration `json:"rtt_ns,omitempty"`
	Bytes    int64         `json:"bytes"`              // at most; ends of long cells are cut
	Messages *Stream       `json:"messages,omitempty"` // sent in place of Bytes

	Schemes []Scheme                 `json:"-"`
	Cut     map[Scheme]time.Duration `json:"-"` // when to stop and count what has arrived
}

// Shaped reports whether the sender's link has a rate.
func (c *Cell) Shaped() bool { return c.Link != 0 }

// Setting names the network for people.
func (c *Cell) Setting() string {
	switch {
	case c.Netem != "":
		return c.Link.String() + " netem " + c.Netem
	case c.Shaped() && c.Offload:
		return c.Link.String() + " gso"
	case c.Shaped():
		return c.Link.String()
	case c.Offload:
		return "unshaped"
	default:
		return "unshaped wire"
	}
}

func (c *Cell) String() string {
	plural := "s"
	if c.Receivers == 1 {
		plural = ""
	}
	return fmt.Sprintf("%s, %d receiver%s, %s loss", c.Setting(), c.Receivers, plural, percent(c.Loss))
}

// Minimum is the least number of IP bytes a byte of use can cost under the scheme.
func (c *Cell) Minimum(s Scheme) float64 {
	if !s.multicast() {
		return fanOutMinimum(c.Receivers, c.Loss)
	}
	return multicastMinimum(s, c.Receivers, c.Loss)
}

// planOptions is what the flags say about the cells.
type planOptions struct {
	link      flow.Rate
	rate      flow.Rate     // what sources are fixed at; 0: they find it, but with fec
	size      int64         // 0: by setting
	receivers []int         // nil: by mode
	loss      []float64     // nil: by mode
	cut       time.Duration // of every run
	lossyCut  time.Duration // of TCP under loss
	full      bool
	quick     bool
	shaped    bool
	unshaped  bool
	netem     string // not "": neither of these, but links with this
	schemes   []Scheme
	fec       bool // they are ways to repair: cells that tell them apart
}

const (
	linkShare     = 0.97 // of the link goes to the source: Ethernet headers are 1 %, the rest is air
	shapedBytes   = 16 << 20
	unshapedBytes = 512 << 20
	wireBytes     = 64 << 20 // unshaped, but packets cross one by one
	quickBytes    = 4 << 20
)

// plan lists the cells in the order of the table: settings, in them losses, in them groups.
func plan(o planOptions) []Cell {
	if o.netem != "" {
		return o.netemCells()
	}
	var cells []Cell
	if o.shaped {
		cells = o.shapedCells()
	}
	if o.unshaped {
		for _, r := range o.groups() {
			cells = append(cells, o.unshapedCells(r)...)
		}
	}
	return cells
}

// shapedCells are those on a link with a rate: first as a sender would use it, without loss and with offloads; then with
// each packet on its own, which loss needs, and there without loss too, so that rows compare.
func (o *planOptions) shapedCells() []Cell {
	rate := o.fixed(o.linkRate())
	var whole, single []Cell
	for _, loss := range o.losses() {
		for _, r := range o.groups() {
			c := o.finish(Cell{Link: o.link, Rate: rate, Receivers: r, Loss: loss, Bytes: o.bytes(shapedBytes)})
			if o.wants(r, loss) {
				single = append(single, c)
			}
			if loss == 0 && !o.fec {
				c.Offload = true
				whole = append(whole, c)
			}
		}
	}
	return append(whole, single...)
}

// fixed is what sources are fixed at; 0: they find their rates. Ways to repair are compared at one rate, set by hand.
func (o *planOptions) fixed(byHand flow.Rate) flow.Rate {
	if o.rate == 0 && o.fec {
		return byHand
	}
	return o.rate
}

// linkRate is the rate by hand on a link with a rate.
func (o *planOptions) linkRate() flow.Rate { return flow.Rate(linkShare * float64(o.link)) }

// groups lists the numbers of receivers.
func (o *planOptions) groups() []int {
	switch {
	case o.receivers != nil:
		return o.receivers
	case o.quick:
		return []int{1, 2}
	case o.fec:
		return []int{1, 8, 16}
	default:
		return []int{1, 2, 4, 8}
	}
}

// losses lists the probabilities of loss.
func (o *planOptions) losses() []float64 {
	switch {
	case o.loss != nil:
		return o.loss
	case o.quick:
		return []float64{0, 0.1}
	case o.fec:
		return []float64{0, 0.01, 0.1, 0.2}
	default:
		return []float64{0, 0.01, 0.05, 0.1, 0.2}
	}
}

// wants reports whether a shaped cell without offloads is in the plan: every one that was named or with -full, -quick or -fec,
// else every group at 10 % loss, the largest at all losses, and the smallest at none.
func (o *planOptions) wants(receivers int, loss float64) bool {
	if o.full || o.quick || o.fec || o.receivers != nil || o.loss != nil {
		return true
	}
	return loss == 0.1 || receivers == 8 || loss == 0 && receivers == 1
}

func (o *planOptions) bytes(byMode int64) int64 {
	switch {
	case o.size != 0:
		return o.size
	case o.quick:
		return quickBytes
	default:
		return byMode
	}
}

// unshapedCells are those bound by the processor: with offloads at the rate that the source finds and at one that comes through, and
// with -full without offloads at each loss.
func (o *planOptions) unshapedCells(receivers int) []Cell {
	var cells []Cell
	add := func(rate flow.Rate, loss float64, offload bool, schemes []Scheme) {
		bytes := int64(wireBytes)
		if offload {
			bytes = unshapedBytes
		}
		cells = append(cells, o.finish(Cell{Rate: rate, Receivers: receivers, Loss: loss, Offload: offload,
			Bytes: o.bytes(bytes / int64(min(receivers, 4))), Schemes: schemes}))
	}
	if receivers == 1 || receivers == 8 || o.full || o.receivers != nil {
		rate := o.fixed(handRate(receivers))
		add(rate, 0, true, o.schemes)
		if m := multicastOf(o.schemes); rate == 0 && len(m) > 0 && !o.quick {
			add(handRate(receivers), 0, true, m) // TCP has no rate: it is in the row above
		}
	}
	if o.full {
		for _, loss := range o.losses() {
			add(o.fixed(handWireRate(receivers)), loss, false, o.schemes)
		}
	}
	return cells
}

// finish adds what follows from the rest of the cell.
func (o *planOptions) finish(c Cell) Cell {
	if c.Schemes == nil {
		c.Schemes = o.schemes
	}
	c.Cut = map[Scheme]time.Duration{}
	for _, s := range c.Schemes {
		c.Cut[s] = o.cut
		if c.Loss > 0 && !s.multicast() {
			c.Cut[s] = min(o.cut, o.lossyCut)
		}
	}
	return c
}

// handRate is a rate, found by trying, that two cores send and receive without a drop when runs cross the network whole.
func handRate(receivers int) flow.Rate {
	switch {
	case receivers == 1:
		return 2500 * flow.Mbps
	case receivers == 2:
		return 1500 * flow.Mbps
	case receivers <= 4:
		return 1000 * flow.Mbps
	default:
		return 800 * flow.Mbps
	}
}

// handWireRate is the same when every packet crosses on its own.
func handWireRate(receivers int) flow.Rate {
	return 400 * flow.Mbps / flow.Rate(min(max(receivers, 1), 4))
}
