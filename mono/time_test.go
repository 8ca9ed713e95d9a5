package mono

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	a := Time(5 * time.Second)
	if got := a.Add(time.Second).Sub(a); got != time.Second {
		t.Errorf("a second later is %v later", got)
	}
	if !a.Before(a.Add(1)) || !a.Add(1).After(a) || a.Before(a) {
		t.Error("order of neighbours is wrong")
	}
	if Never.Add(time.Hour) != Never || Never.Add(-time.Hour) != Never || (Never-1).Add(time.Hour) != Never {
		t.Error("Never does not absorb")
	}
	if Never.String() != "never" || a.String() != "5s" {
		t.Errorf("printed as %v and %v", Never, a)
	}
}
