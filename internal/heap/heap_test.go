package heap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type item struct{ key, index int }

// Whatever is pushed, moved and removed, the least comes first and every item knows its place.
func TestHeapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Heap[*item]{
			Less:  func(a, b *item) bool { return a.key < b.key },
			Place: func(x *item, i int) { x.index = i },
		}
		var model []*item
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 20).Draw(t, "key")
			if len(model) == 0 || rapid.Bool().Draw(t, "push") {
				x := &item{key: key}
				model = append(model, x)
				h.Push(x)
			} else {
				k := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				if x := model[k]; rapid.Bool().Draw(t, "remove") {
					h.Remove(x.index)
					model = slices.Delete(model, k, k+1)
				} else {
					x.key = key
					h.Fix(x.index)
				}
			}
			if len(h.Items) != len(model) {
				t.Fatalf("%d items, want %d", len(h.Items), len(model))
			}
			for i, x := range h.Items {
				if x.index != i || x.key < h.Items[0].key || !slices.Contains(model, x) {
					t.Fatalf("item %+v at %d, the first is %+v", x, i, h.Items[0])
				}
			}
		}
	})
}
