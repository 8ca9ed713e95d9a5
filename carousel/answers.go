package carousel

import "slices"

// answers are the symbols of an object that were asked for and are not sent yet. What several receivers ask for of a block is not added up: the most serves all.
type answers struct {
	list []need // by block
	left int    // symbols of all
	last int    // the block that had the last one
}

// maxAnswers bounds the blocks of an object that are being answered.
const maxAnswers = 1024

// ask enters a need, as far as most more symbols go, and returns how many were added.
func (a *answers) ask(n need, most int) (added int) {
	i, found := a.find(n.block)
	if found {
		added = max(0, min(n.symbols-a.list[i].symbols, most))
		a.list[i].symbols += added
	} else if added = min(n.symbols, most); added > 0 && len(a.list) < maxAnswers {
		a.list = slices.Insert(a.list, i, need{n.block, added})
	} else {
		return 0
	}
	a.left += added
	return added
}

// take returns the block to send a symbol of, each in its turn. There must be one.
func (a *answers) take() (block int) {
	i, found := a.find(a.last)
	if found {
		i++
	}
	if i == len(a.list) {
		i = 0
	}
	a.last = a.list[i].block
	a.left--
	if a.list[i].symbols--; a.list[i].symbols == 0 {
		a.list = slices.Delete(a.list, i, i+1)
	}
	return a.last
}

// find returns where a block is in the list, or would be.
func (a *answers) find(block int) (int, bool) {
	return slices.BinarySearchFunc(a.list, block, func(n need, block int) int { return n.block - block })
}
