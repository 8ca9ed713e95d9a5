package fec

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	for _, c := range []Config{
		{}, {Off: true}, {GroupSize: 2}, {GroupSize: 128, Proactive: 128, Interleave: 256}, {Interleave: -5}, {Goal: LeastBytes},
		{Goal: LeastDelay, Within: 1}, {Goal: LeastDelay, Proactive: 3},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v is refused: %v", c, err)
		}
		if err := c.WithDefaults().Validate(); err != nil {
			t.Errorf("%+v with defaults is refused: %v", c, err)
		}
	}
	for _, c := range []struct {
		names string
		c     Config
	}{
		{"Off", Config{Off: true, GroupSize: 8}}, {"Off", Config{Off: true, Interleave: 1}},
		{"GroupSize", Config{GroupSize: 1}}, {"GroupSize", Config{GroupSize: 63}}, {"GroupSize", Config{GroupSize: 256}}, {"GroupSize", Config{GroupSize: -2}},
		{"Goal", Config{Goal: 3}},
		{"Within", Config{Goal: LeastDelay, Within: 1.1}}, {"Within", Config{Goal: LeastDelay, Within: math.NaN()}}, {"Within Goal", Config{Within: 0.1}},
		{"Proactive", Config{Proactive: -1}}, {"Proactive GroupSize", Config{Proactive: 17, GroupSize: 16}}, {"Proactive Goal", Config{Proactive: 1, Goal: LeastBytes}},
		{"Interleave", Config{Interleave: 129}},
	} {
		err := c.c.Validate()
		for _, name := range strings.Fields(c.names) {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%+v: error %v does not name %s", c.c, err, name)
			}
		}
	}
}

func ExampleConfig_Validate() {
	fmt.Println(Config{}.Validate())
	fmt.Println(Config{GroupSize: 48}.Validate())
	// Output:
	// <nil>
	// fec: GroupSize 48 is not a power of two from 2 to 128
}

func ExampleConfig_WithDefaults() {
	c := Config{Goal: LeastDelay}.WithDefaults()
	fmt.Println(c.GroupSize, c.Goal, c.Within, c.Interleave)
	// Output: 64 least delay 0.25 1
}
