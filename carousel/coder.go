package carousel

import (
	"errors"
	"runtime"
	"sync"

	"github.com/rmcast/rmcast/fec"
)

// mostParallel bounds the goroutines that work on a block: with more the code's stripes get narrow, and reading and hashing it take longer than coding.
const mostParallel = 4

func goroutines() int { return min(runtime.GOMAXPROCS(0), mostParallel) }

// decodePart is how many bytes of a block each goroutine has to decode at least: each finds out anew what is missing.
const decodePart = 4 << 20

// decoders is how many goroutines decode a block.
func decoders(k, symbolBytes int) int { return max(1, min(goroutines(), k*symbolBytes/decodePart)) }

// coder is the code for blocks, in as many parts as goroutines work on a block at once. All take the memory of one.
type coder struct {
	parts []*fec.Bulk
	size  int // of the symbols
}

// prepare makes it the code for blocks of k symbols, for up to n goroutines.
func (c *coder) prepare(k, symbolBytes, n int) (err error) {
	if len(c.parts) > 0 && c.parts[0].Symbols() == k && c.size == symbolBytes {
		return nil
	}
	c.size = symbolBytes
	c.parts, err = fec.NewBulks(k, symbolBytes, n)
	return err
}

// each has each part do its share, at once.
func (c *coder) each(do func(*fec.Bulk) error) error {
	return parallel(len(c.parts), func(from, to int) (err error) {
		for ; from < to && err == nil; from++ {
			err = do(c.parts[from])
		}
		return err
	})
}

// parallel cuts 0 to n-1 into ranges, and calls do for each at once.
func parallel(n int, do func(from, to int) error) error {
	parts := min(n, goroutines())
	errs := make([]error, parts)
	var all sync.WaitGroup
	for i := range parts {
		all.Go(func() { errs[i] = do(i*n/parts, (i+1)*n/parts) })
	}
	all.Wait()
	return errors.Join(errs...)
}
