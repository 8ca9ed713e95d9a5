package fec

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config is refused: %v", err)
	}
	for field, c := range map[string]Config{"GroupSize": {GroupSize: 16}, "Proactive": {Proactive: 2}, "OnDemand": {OnDemand: true}} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: error %v does not name %s", c, err, field)
		}
	}
}

func ExampleConfig_Validate() {
	fmt.Println(Config{}.Validate())
	fmt.Println(Config{GroupSize: 16}.Validate())
	// Output:
	// <nil>
	// fec: GroupSize is 16, but this version repairs by replay only; leave fec.Config zero
}
