package fec_test

import (
	"fmt"

	"github.com/rmcast/rmcast/fec"
)

// A source makes two parity packets for a group of four; a receiver that got only two of the four restores the others.
func Example() {
	code := fec.NewCode(4)
	data := []string{"the quick ", "brown fox ", "jumps over", " the dog. "}

	parity := []fec.Parity{{Index: 0, Cover: 4}, {Index: 1, Cover: 4}}
	packets := make([][]byte, len(parity))
	for i, p := range parity {
		packets[i] = make([]byte, 10)
		for j, d := range data {
			fec.MulAdd(code.Coefficient(int(p.Index), j), packets[i], []byte(d))
		}
	}

	missing := []uint8{1, 2}
	data[1], data[2] = "", ""

	var decoder fec.Decoder
	if !decoder.Solve(code, missing, parity) {
		fmt.Println("too little parity")
		return
	}
	restored := [][]byte{make([]byte, 10), make([]byte, 10)}
	for i, p := range parity {
		if !decoder.Used(i) {
			continue
		}
		syndrome := packets[i] // a packet that is missing adds nothing
		for j, d := range data[:p.Cover] {
			fec.MulAdd(code.Coefficient(int(p.Index), j), syndrome, []byte(d))
		}
		for x := range missing {
			fec.MulAdd(decoder.Weight(x, i), restored[x], syndrome)
		}
	}
	fmt.Printf("%s%s\n", restored[0], restored[1])
	// Output: brown fox jumps over
}
