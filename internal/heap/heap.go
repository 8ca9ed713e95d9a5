// Package heap is a binary heap of items that know where they stand, so that any of them can be removed or moved in O(log n).
package heap

// Heap holds items with the least first. Items that compare equal come out in an order that depends on the calls alone, never on
// chance. It is not safe for concurrent use.
type Heap[T any] struct {
	Items []T // Items[0] is the least; not to be changed but by the methods
	Less  func(a, b T) bool
	Place func(x T, i int) // tells x its index from now on
}

// Push adds x.
func (h *Heap[T]) Push(x T) {
	h.Items = append(h.Items, x)
	h.up(len(h.Items) - 1)
}

// Remove takes out the item at index i.
func (h *Heap[T]) Remove(i int) {
	last := len(h.Items) - 1
	x := h.Items[last]
	var none T
	h.Items[last] = none
	h.Items = h.Items[:last]
	if i < last {
		h.Items[i] = x
		h.Fix(i)
	}
}

// Fix restores the order after the key of the item at index i has changed.
func (h *Heap[T]) Fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *Heap[T]) up(i int) {
	x := h.Items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !h.Less(x, h.Items[parent]) {
			break
		}
		h.set(i, h.Items[parent])
		i = parent
	}
	h.set(i, x)
}

// down reports whether the item moved.
func (h *Heap[T]) down(i int) bool {
	x, from := h.Items[i], i
	for {
		child := 2*i + 1
		if child >= len(h.Items) {
			break
		}
		if right := child + 1; right < len(h.Items) && h.Less(h.Items[right], h.Items[child]) {
			child = right
		}
		if !h.Less(h.Items[child], x) {
			break
		}
		h.set(i, h.Items[child])
		i = child
	}
	h.set(i, x)
	return i != from
}

func (h *Heap[T]) set(i int, x T) {
	h.Items[i] = x
	h.Place(x, i)
}
