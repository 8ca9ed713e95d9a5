package netem_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

func TestParseTopology(t *testing.T) {
	lossy := netem.Impairment{Loss: 0.1, Delay: 20 * time.Millisecond}
	for _, c := range []struct {
		text, short string // short is "" where it is text
		want        netem.Topology
	}{
		{"", "", netem.Topology{}},
		{"receiver both: delay 20ms loss 10%\n", "", netem.Star(lossy, lossy)},
		{
			"# a tree\nbranch\n  branch at 1 up: loss 10% delay 20ms # the second\n\nsender at 2\n" +
				"receiver at 1\tdown: loss 10% delay 20ms up:\nreceiver",
			"branch\nbranch at 1 up: delay 20ms loss 10%\nsender at 2\nreceiver at 1 down: delay 20ms loss 10%\nreceiver\n",
			netem.Topology{
				Branches:  []netem.Branch{{}, {Parent: 1, Up: lossy}},
				Sender:    netem.Port{Switch: 2},
				Receivers: []netem.Port{{Switch: 1, Down: lossy}, {}},
			},
		},
		{"sender\n", "", netem.Topology{}},
	} {
		got, err := netem.ParseTopology(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q is %+v, %v", c.text, got, err)
		}
		short := c.short
		if short == "" && !reflect.DeepEqual(got, netem.Topology{}) {
			short = c.text
		}
		if got.String() != short {
			t.Errorf("%q prints as %q, want %q", c.text, got.String(), short)
		}
	}
}

func TestParseTopologyRefuses(t *testing.T) {
	for _, c := range []struct{ text, fault string }{
		{"router", `line 1: "router"`},
		{"receiver\nreceiver at", `line 2: "at"`},
		{"receiver at x", `at "x"`},
		{"receiver at 1", "switch 1 of 1"},
		{"branch at 1", "Branches[0]"},
		{"receiver down: loss 200%", "down: "},
		{"receiver down: jump", "jump"},
		{"receiver loss 1%", `"loss" is not`},
		{"receiver left: loss 1%", `"left:" is not`},
		{"receiver both: loss 1% up: loss 1%", "up: is given twice"},
		{"receiver down: down:", "down: is given twice"},
		{"sender\nsender", "line 2: a second sender"},
	} {
		_, err := netem.ParseTopology(c.text)
		if err == nil || !strings.HasPrefix(err.Error(), "netem: ") || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q gave %v, want a word of %s", c.text, err, c.fault)
		}
	}
}

// FuzzParseTopology: what is taken is valid, and prints as something that parses to the same.
func FuzzParseTopology(f *testing.F) {
	f.Add("branch at 0 both: delay 5ms\nsender up: rate 10mbit\nreceiver at 1 down: loss 1% down 1s 2s up: delay 1ms # no\n")
	f.Add("receiver down: loss gemodel 1% 10% 70% 0.1% up:\n")
	f.Fuzz(func(t *testing.T, text string) {
		top, err := netem.ParseTopology(text)
		if err != nil {
			return
		}
		if err := top.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := netem.ParseTopology(top.String())
		if err != nil || !reflect.DeepEqual(top, again) {
			t.Fatalf("%+v prints as %q, which is %+v, %v", top, top, again, err)
		}
	})
}

func ExampleParseTopology() {
	top, err := netem.ParseTopology(`
		branch    down: loss 1% delay 10ms  up: delay 10ms    # both receivers lose the same packets
		receiver  at 1
		receiver  at 1  both: loss 5%`)
	if err != nil {
		panic(err)
	}
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1, Topology: top})
	fmt.Println(fabric.Node(0).Addr())
	fmt.Print(top)
	// Output:
	// 10.77.1.0
	// branch down: delay 10ms loss 1% up: delay 10ms
	// receiver at 1
	// receiver at 1 both: loss 5%
}
