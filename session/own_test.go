package session

import (
	"reflect"
	"strings"
	"testing"
)

// Whoever adds a field to an engine decides here whether hosts that heard the same may differ in it.
func TestAlikeKnowsEveryField(t *testing.T) {
	for _, c := range []struct {
		of   any
		want string
	}{
		{Receiver{}, "Owner peers key window naks repair path nakPort spmrStep spmrs spmTime spms packets spmSqn staleSqn ours lead trail jump start slots losses pace clock " +
			"heard spmAt grtt group rtt wait spmrAt spmrFrom answer parity most denials mostOf avoid stir loss report confirm accepted queued closed fin lost noNAKs reset read stats"},
		{Peers{}, "common rng table list last turn accept ready closed spare refused accepted gone"},
		{reading{}, "offset skipTail first next bytes fault told toldWhy loose"},
	} {
		var got []string
		for f := range reflect.TypeOf(c.of).NumField() {
			got = append(got, reflect.TypeOf(c.of).Field(f).Name)
		}
		if list := strings.Join(got, " "); list != c.want {
			t.Errorf("%T has %s,\nwant %s", c.of, list, c.want)
		}
	}
}

// sub is the reverse of add, in every counter.
func TestCountsSub(t *testing.T) {
	var a, b, sum ReceiverCounts
	fill := func(c *ReceiverCounts, from uint64) {
		var walk func(v reflect.Value)
		walk = func(v reflect.Value) {
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.Struct {
					walk(f)
				} else {
					f.SetUint(from)
					from *= 3
				}
			}
		}
		walk(reflect.ValueOf(c).Elem())
	}
	fill(&a, 5)
	fill(&b, 7)
	sum = a
	sum.add(b)
	if sum.sub(a); sum != b {
		t.Errorf("%+v, want %+v", sum, b)
	}
}
