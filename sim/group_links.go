package sim

import (
	"slices"

	"github.com/rmcast/rmcast/netem"
)

// SetLinks replaces the links of all receivers, with their queues; what is under way arrives. It panics on an impairment that is not
// valid.
func (g *Group) SetLinks(down, up netem.Impairment) {
	n := g.n
	model, err := netem.Compile(down)
	if err == nil {
		g.upModel, err = netem.Compile(up)
	}
	if err != nil {
		panic(err)
	}
	n.links++
	g.changed, g.up = n.links, nil
	if !up.Perfect() {
		g.up = map[int32]*netem.Link{}
	}
	g.delay, g.mtu, g.down = down.Delay, down.MTU, nil
	g.loss, g.lossy = newSampler(down.Loss, n.linkKey(n.links, g.first, useLoss)), down.Loss > 0
	down.Loss, down.Delay, down.MTU = 0, 0, 0
	if g.plain = down.Perfect(); g.plain {
		return
	}
	g.down = make([]netem.Link, g.count)
	for i := range g.down {
		g.down[i] = model.Link(n.linkKey(n.links, g.first+i, useLinkDown), 0)
	}
}

// upLink returns receiver i's link to its switch, nil if it is perfect.
func (g *Group) upLink(i int32) *netem.Link {
	if g.up == nil {
		return nil
	}
	l := g.up[i]
	if l == nil {
		l = new(g.upModel.Link(g.n.linkKey(g.changed, g.first+int(i), useLinkUp), 0))
		g.up[i] = l
	}
	return l
}

// send puts multicast packets on the links to all receivers.
func (g *Group) send(pkts []*packet) {
	n := g.n
	if !g.plain {
		for i := range g.count {
			if host := g.first + i; host != pkts[0].from {
				g.sendOne(i, pkts)
			}
		}
		return
	}
	e := n.newEvent(n.now.Add(g.delay))
	e.group, e.member = g, -1
	if cap(e.lost) < len(pkts) {
		e.lost = append(e.lost[:cap(e.lost)], make([][]int32, len(pkts)-cap(e.lost))...)
	}
	e.lost = e.lost[:cap(e.lost)]
	for _, k := range pkts {
		lost := g.losers(k, e.lost[len(e.pkts)][:0])
		e.lost[len(e.pkts)] = lost
		if len(lost) < g.count {
			e.pkts = append(e.pkts, k)
		}
	}
	if len(e.pkts) == 0 {
		n.recycle(e)
		return
	}
	n.events.Push(e)
}

// losers appends to lost which receivers do not get a multicast packet, ascending: those whose link loses it, or Drop, and who sent it.
func (g *Group) losers(k *packet, lost []int32) []int32 {
	n, self := g.n, int32(k.from-g.first)
	switch {
	case g.tooBig(k):
		lost = everyone.losers(g.count, lost)
	case g.lossy:
		lost = g.loss.losers(g.count, lost)
	}
	if n.cfg.Drop != nil && !k.damaged {
		by := len(lost)
		for i := range int32(g.count) {
			if i == self || !g.here(i) || !n.cfg.Drop(k.from, g.first+int(i), &k.p) {
				continue
			}
			if _, found := slices.BinarySearch(lost[:by], i); !found {
				lost = append(lost, i)
			}
		}
		slices.Sort(lost)
	}
	for _, i := range lost {
		if i != self && g.here(i) {
			n.stats.Lost++
			n.tellLost(g.first+int(i), k)
		}
	}
	if self >= 0 && int(self) < g.count {
		if at, found := slices.BinarySearch(lost, self); !found {
			lost = slices.Insert(lost, at, self)
		}
	}
	return lost
}

// tooBig reports whether k is larger than the links take.
func (g *Group) tooBig(k *packet) bool { return g.mtu > 0 && len(k.raw)+g.n.header() > g.mtu }

// sendOne puts packets on the link to receiver i.
func (g *Group) sendOne(i int, pkts []*packet) {
	n := g.n
	if !g.here(int32(i)) {
		return
	}
	if n.cfg.Drop != nil {
		if pkts = n.sift(pkts, g.first+i); len(pkts) == 0 {
			return
		}
	}
	if !g.plain {
		n.travel(&g.down[i], pkts, g.first+i, func(e *event) { e.group, e.member = g, i })
		return
	}
	e := n.newEvent(n.now.Add(g.delay))
	e.group, e.member = g, i
	for _, k := range pkts {
		if g.tooBig(k) || g.lossy && g.loss.lost() {
			n.stats.Lost++
			n.tellLost(g.first+i, k)
			continue
		}
		e.pkts = append(e.pkts, k)
	}
	if len(e.pkts) == 0 {
		n.recycle(e)
		return
	}
	n.events.Push(e)
}
