package netem_test

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// What stands after "netem" in a tc command can stand here, and some words more.
func ExampleParseImpairment() {
	i, err := netem.ParseImpairment("delay 50ms 10ms 25% loss gemodel 1% 10% 70% 0.1% rate 100mbit limit 1000")
	fmt.Println(i.Delay, i.Jitter, i.GE.H1, i.Rate, err)

	i.Down = []netem.Outage{{From: 10 * time.Second, For: 2 * time.Second}}
	fmt.Println(i)

	_, err = netem.ParseImpairment("delay 50ms loss 1O%")
	fmt.Println(err)
	// Output:
	// 50ms 10ms 0.7 100000000 <nil>
	// delay 50ms 10ms 25% loss gemodel 1% 10% 70% 0.1% rate 100mbit limit 1000 down 10s 2s
	// netem: impairment, word 4: loss: "1O%" is not a percentage such as 1% or 0.5%: it is not a number
}

// The loss that a model has in the mean, for comparison with what was seen.
func ExampleImpairment_MeanLoss() {
	for _, words := range []string{"loss 1%", "loss gemodel 1% 10%", "loss gemodel 1% 10% 70% 0.1%", "loss state 1% 30% 2% 40% 1%", "loss every 50"} {
		i, _ := netem.ParseImpairment(words)
		fmt.Printf("%-30s %.2f %%\n", words, 100*i.MeanLoss())
	}
	// Output:
	// loss 1%                        1.00 %
	// loss gemodel 1% 10%            9.09 %
	// loss gemodel 1% 10% 70% 0.1%   6.45 %
	// loss state 1% 30% 2% 40% 1%    4.15 %
	// loss every 50                  2.00 %
}

// Many links of one kind share what they have in common.
func ExampleCompile() {
	model, err := netem.Compile(netem.Impairment{Loss: 0.25, Delay: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	links := make([]netem.Link, 100_000)
	for i := range links {
		links[i] = model.Link(1, uint64(i)) // one seed, and a stream each
	}
	arrived := 0
	for i := range links {
		arrived += links[i].Send(0, 1500).N
	}
	fmt.Printf("about %.0f %% arrive\n", 100*float64(arrived)/float64(len(links)))
	// Output: about 75 % arrive
}
