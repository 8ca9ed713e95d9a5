package history

// What sources write is one sequence of bytes that looks random, from a place of each source's own on. So what is read tells by
// itself where it comes from, and comparing it costs next to nothing.

const (
	period   = 1<<20 - 3      // a prime
	apart    = 349_525        // between the beginnings of two sources
	patterns = period + 1<<16 // so that a whole message stands in one piece wherever it begins
)

var sequence = newSequence()

func newSequence() []byte {
	b := make([]byte, patterns)
	x := uint64(1)
	for i := range period {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		b[i] = byte(z * 0x94d049bb133111eb >> 56)
	}
	copy(b[period:], b)
	return b
}

// pattern returns the bytes that a source writes from offset on, at most 65,536. They must not be changed.
func pattern(source int, offset int64, bytes int) []byte {
	at := (offset + int64(source)*apart) % period
	return sequence[at : at+int64(bytes) : at+int64(bytes)]
}
