package nack

// link is one item's place in one chain.
type link[T any] struct{ prev, next T }

// linked is a pointer that carries its own links, one for each chain it can be in.
type linked[T any] interface {
	comparable
	link(chain int) *link[T]
}

// chain is a doubly linked list through its items: order without allocation, removal from the middle in O(1).
type chain[T linked[T]] struct {
	head, tail T
	id         int // which of an item's links is ours
}

func (c *chain[T]) pushBack(x T) { c.insertAfter(c.tail, x) }

// insertAfter puts x behind at, or in front of all when at is nil.
func (c *chain[T]) insertAfter(at, x T) {
	var none T
	l := x.link(c.id)
	l.prev = at
	if at == none {
		l.next, c.head = c.head, x
	} else {
		b := at.link(c.id)
		l.next, b.next = b.next, x
	}
	if l.next == none {
		c.tail = x
	} else {
		l.next.link(c.id).prev = x
	}
}

func (c *chain[T]) remove(x T) {
	var none T
	l := x.link(c.id)
	if l.prev == none {
		c.head = l.next
	} else {
		l.prev.link(c.id).next = l.next
	}
	if l.next == none {
		c.tail = l.prev
	} else {
		l.next.link(c.id).prev = l.prev
	}
	*l = link[T]{}
}
