package carousel

// ahead reads an object's symbols in the order they are sent in. As that takes one of each block by turns, it reads a few more of each, so that the
// reads are not that small.
type ahead struct {
	o    *Object
	rows int // symbols of a block that are read at once
	by   []aheadBlock
}

type aheadBlock struct {
	b       []byte
	from, n int // symbols that are in b
}

const (
	aheadBytes = 16 << 20 // most memory of an ahead
	aheadRows  = 46
)

func newAhead(o *Object) *ahead {
	a := &ahead{o: o, by: make([]aheadBlock, o.part.blocks)}
	if o.part.blocks > 0 {
		a.rows = max(1, min(aheadRows, aheadBytes/o.part.blocks/o.part.symbolBytes))
	}
	return a
}

// symbol returns a symbol, which is valid until the next call.
func (a *ahead) symbol(block, symbol int) ([]byte, error) {
	w, size := &a.by[block], a.o.part.symbolBytes
	if symbol < w.from || symbol >= w.from+w.n {
		if err := a.fill(w, block, symbol); err != nil {
			w.n = 0
			return nil, err
		}
	}
	at := (symbol - w.from) * size
	return w.b[at : at+size], nil
}

func (a *ahead) fill(w *aheadBlock, block, symbol int) error {
	k := a.o.part.k(block)
	if w.b == nil {
		w.b = make([]byte, min(a.rows, k)*a.o.part.symbolBytes)
	}
	w.from = symbol
	if symbol < k {
		w.n = min(a.rows, k-symbol)
		return a.o.readData(block, symbol, w.n, w.b[:w.n*a.o.part.symbolBytes])
	}
	w.n = min(a.rows, 2*k-symbol)
	return a.o.parity.read(block, symbol-k, w.n, w.b)
}
