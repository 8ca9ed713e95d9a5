package flow

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSlowValidate(t *testing.T) {
	for _, c := range []struct {
		slow Slow
		want string // in the error; "": none
	}{
		{Slow{}, ""},
		{Slow{Floor: -1, Grace: -1, Share: 1}, ""},
		{Slow{Mode: FollowQuantile, Quantile: 0.5}, ""},
		{Slow{Mode: FollowQuantile}, ""},
		{Slow{Mode: FollowNamed, Named: []uint64{1, 2}, Floor: Mbps}, ""},
		{Slow{Mode: Ignore, Floor: -1}, ""},
		{Slow{Mode: Evict, Grace: time.Hour}, ""},
		{Slow{Mode: Evict + 1}, "Slow.Mode SlowMode(5)"},
		{Slow{Mode: FollowQuantile, Quantile: 1}, "Slow.Quantile 1"},
		{Slow{Mode: FollowQuantile, Quantile: -0.1}, "Slow.Quantile -0.1"},
		{Slow{Mode: FollowQuantile, Quantile: math.NaN()}, "Slow.Quantile NaN"},
		{Slow{Quantile: 0.1}, "Slow.Quantile is for Mode FollowQuantile, not follow the slowest"},
		{Slow{Mode: FollowNamed}, "Slow.Named"},
		{Slow{Mode: Ignore, Named: []uint64{1}}, "Slow.Named is for Mode FollowNamed, not ignore"},
		{Slow{Mode: FollowNamed, Named: make([]uint64, 1025)}, "Slow.Named has 1025"},
		{Slow{Mode: FollowNamed, Named: []uint64{3, 0}}, "Slow.Named has the id 0"},
		{Slow{Mode: FollowNamed, Named: []uint64{255, 1, 255}}, "Slow.Named has the id 00000000000000ff twice"},
		{Slow{Floor: Unlimited}, "Slow.Floor is unlimited"},
		{Slow{Mode: Ignore, Floor: Mbps}, "Slow.Floor is for Modes"},
		{Slow{Mode: FollowQuantile, Floor: Mbps}, "Slow.Floor is for Modes"},
		{Slow{Mode: Evict, Floor: -1}, "Slow.Floor is negative"},
		{Slow{Grace: time.Hour + 1}, "Slow.Grace"},
		{Slow{Share: 1.01}, "Slow.Share 1.01"},
		{Slow{Share: -1}, "Slow.Share -1"},
		{Slow{Share: math.NaN()}, "Slow.Share NaN"},
	} {
		err := c.slow.Validate()
		if c.want == "" {
			full := c.slow.WithDefaults()
			if err != nil || full.Validate() != nil || !reflect.DeepEqual(full, full.WithDefaults()) {
				t.Errorf("%+v: %v; with defaults %+v: %v", c.slow, err, full, full.Validate())
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "flow: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.slow, err, c.want)
		}
	}
	if s := (Slow{Mode: FollowQuantile}).WithDefaults(); s.Quantile != 0.1 || s.Grace != time.Second || s.Share != 0.01 || s.Floor != 0 {
		t.Errorf("defaults %+v", s)
	}
	if s := (Slow{}).WithDefaults(); s.Floor != 100*Kbps || s.Quantile != 0 {
		t.Errorf("defaults %+v", s)
	}
}
