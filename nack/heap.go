package nack

// heap is a binary heap whose items know where they stand, so that any of them can be removed or moved in O(log n).
// Items that compare equal come out in an order that depends on the calls alone, never on chance.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(x T, i int) // tells x its index from now on
}

func (h *heap[T]) push(x T) {
	h.items = append(h.items, x)
	h.up(len(h.items) - 1)
}

// remove takes out the item at index i.
func (h *heap[T]) remove(i int) {
	last := len(h.items) - 1
	x := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	if i < last {
		h.items[i] = x
		h.fix(i)
	}
}

// fix restores the order after the key of the item at index i has changed.
func (h *heap[T]) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *heap[T]) up(i int) {
	x := h.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(x, h.items[parent]) {
			break
		}
		h.set(i, h.items[parent])
		i = parent
	}
	h.set(i, x)
}

// down reports whether the item moved.
func (h *heap[T]) down(i int) bool {
	x, from := h.items[i], i
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.less(h.items[right], h.items[child]) {
			child = right
		}
		if !h.less(h.items[child], x) {
			break
		}
		h.set(i, h.items[child])
		i = child
	}
	h.set(i, x)
	return i != from
}

func (h *heap[T]) set(i int, x T) {
	h.items[i] = x
	h.place(x, i)
}
