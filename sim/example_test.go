package sim_test

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/sim"
)

// A thousand receivers, each of which loses one packet in a hundred: all get everything.
func Example() {
	n := sim.New(sim.Config{Seed: 1, Hash: true})
	src := n.Source(sim.SourceConfig{})
	g := n.Receivers(1000, sim.GroupConfig{
		Down: netem.Impairment{Loss: 0.01, Delay: 10 * time.Millisecond}, Up: netem.Impairment{Delay: 10 * time.Millisecond},
		Hollow: true, // lengths are enough
	})
	src.Stream(1 << 20)
	src.Finish()
	done, err := n.RunUntil(time.Minute, func() bool { return g.Complete() == g.Len() })
	fmt.Println(done, err)
	fmt.Printf("%d bytes read, %d lost\n", g.Stats().Bytes, g.Stats().Lost)
	// Output:
	// true <nil>
	// 1048576000 bytes read, 0 lost
}

// A receiver begins anew in the middle, with an engine that knows nothing; the source still has all that it sent.
func ExampleNetwork_At() {
	n := sim.New(sim.Config{Kinds: sim.Of(sim.Ended), Trace: func(e *sim.Event) { fmt.Println(e) }})
	src := n.Source(sim.SourceConfig{})
	g := n.Receivers(2, sim.GroupConfig{Down: netem.Impairment{Delay: time.Millisecond}})
	src.Stream(500_000) // 42 ms at 100 Mbit/s
	src.Finish()
	n.At(20*time.Millisecond, func() { g.Restart(1) })
	if err := n.Run(10 * time.Second); err != nil {
		panic(err)
	}
	for i := range g.Len() {
		st, _ := g.Receiver(i)
		fmt.Println(g.Host(i), st.Bytes)
	}
	// Output:
	// 0.034708 2 reads EOF
	// 1.030204 3 reads EOF
	// 2 500000
	// 3 500000
}

// One packet is lost twice on the way to one receiver of two.
func ExampleParseScenario() {
	s, err := sim.ParseScenario(`
source s
receiver a
receiver b down "delay 1ms" up "delay 1ms"
drop s data 3 to b times=2  # the packet, and its first repair
at 0ms  s write 10000
at 50ms s finish
end 5s`)
	if err != nil {
		panic(err)
	}
	report, err := s.Run(false)
	if err != nil {
		panic(err)
	}
	fmt.Print(report)
	// Output:
	// a reads of s: 10000 bytes 86d5edae2bf7c70b, EOF
	// b reads of s: 10000 bytes 86d5edae2bf7c70b, EOF
}
