package flow

import (
	"github.com/rmcast/rmcast/mono"
)

type groupLink struct{ prev, next *groupMember }

// groupOrder is a list through its members, the longest silent first.
type groupOrder struct {
	head, tail *groupMember
	chain      int
}

func (o *groupOrder) pushBack(m *groupMember) {
	m.links[o.chain] = groupLink{prev: o.tail}
	if o.tail == nil {
		o.head = m
	} else {
		o.tail.links[o.chain].next = m
	}
	o.tail = m
}

func (o *groupOrder) remove(m *groupMember) {
	l := &m.links[o.chain]
	if l.prev == nil {
		o.head = l.next
	} else {
		l.prev.links[o.chain].next = l.next
	}
	if l.next == nil {
		o.tail = l.prev
	} else {
		l.next.links[o.chain].prev = l.prev
	}
	*l = groupLink{}
}

// member returns the receiver that r is of, heard now; nil: there is no room for it.
func (g *Group) member(now mono.Time, r Report) (m *groupMember, known bool) {
	k := groupKey{r.ID, r.From}
	if m, known = g.members[k]; known {
		m.heard = now
		g.order.remove(m)
		g.order.pushBack(m)
		return m, true
	}
	h := g.hosts[r.From]
	if r.ID == 0 || h != nil && h.members == groupPerAddr || !g.makeRoom(now) {
		return nil, false
	}
	if h = g.hosts[r.From]; h == nil {
		h = new(groupHost)
		g.hosts[r.From] = h
	}
	h.members++
	m = &groupMember{key: k, heard: now, loss: -1, says: -1, bad: mono.Never, good: mono.Never, fresh: true}
	g.members[k] = m
	g.order.pushBack(m)
	g.news.pushBack(m)
	return m, false
}

// makeRoom makes sure that there is room for one more. Who reported once goes first: a flood of invented ids displaces itself.
func (g *Group) makeRoom(now mono.Time) bool {
	if len(g.members) < g.cfg.Max {
		return true
	}
	m := g.news.head
	if m == g.acker && m != nil {
		m = m.links[1].next
	}
	if m == nil || now.Sub(m.heard) < groupYield {
		m = g.oldest()
	}
	if m == nil || now.Sub(m.heard) < groupYield {
		return false
	}
	g.forget(m)
	return true
}

// prove notes that m reported more than once.
func (g *Group) prove(m *groupMember) {
	if m.fresh {
		m.fresh = false
		g.news.remove(m)
	}
}

// oldest returns who has been silent the longest, and may be forgotten: the acker is not but by Silent, nor is who holds the source up.
func (g *Group) oldest() *groupMember {
	m := g.order.head
	for m != nil && (m == g.acker || m == g.tight && g.blocked != mono.Never) {
		m = m.links[0].next
	}
	return m
}

// forget drops m; the acker leaves the group without one.
func (g *Group) forget(m *groupMember) {
	g.setLate(m, false)
	g.dirty = true
	if m == g.tight {
		g.tight, g.blocked = nil, mono.Never
	}
	if m == g.acker {
		g.acker = nil
		g.line.clear()
	}
	if m == g.trialOf {
		g.trialOf = nil
	}
	h := g.hosts[m.key.from]
	if h.members--; m.left {
		h.left--
	}
	if h.members == 0 {
		delete(g.hosts, m.key.from)
	}
	g.prove(m)
	g.order.remove(m)
	delete(g.members, m.key)
}

// evict takes m out for good, unless somebody else claims its id: who of them is meant could not be told. Then it is only left behind.
func (g *Group) evict(m *groupMember) bool {
	for other := g.order.head; other != nil; other = other.links[0].next {
		if other != m && other.key.id == m.key.id {
			return false
		}
	}
	id := m.key.id
	g.event(GroupEvicted, m)
	g.forget(m)
	g.evicted[id] = true
	if len(g.gone) < groupEvicted {
		g.gone = append(g.gone, id)
		return true
	}
	delete(g.evicted, g.gone[g.goneAt])
	g.gone[g.goneAt] = id
	g.goneAt = (g.goneAt + 1) % groupEvicted
	return true
}
