package carousel

import (
	"testing"
	"time"
)

// Of more blocks than are remembered those are forgotten of which nothing was sent for longest, and not those that are sent of all the time.
func TestAnswersForget(t *testing.T) {
	var a answers
	now := time.Duration(0)
	for other := 1; other <= 2*maxRecent; other++ {
		now += time.Millisecond
		a.note(0, now)
		a.note(other, now)
		if n := a.lately(0, now); n < min(other, int(answerHold/2/time.Millisecond)) {
			t.Fatalf("%d symbols of a block are remembered after %d", n, other)
		}
	}
	if len(a.recent) != maxRecent {
		t.Errorf("%d blocks are remembered", len(a.recent))
	}
	if n := a.lately(2*maxRecent, now); n != 1 {
		t.Errorf("%d symbols of the last block", n)
	}
	if n := a.lately(0, now+answerHold); n != 0 {
		t.Errorf("%d symbols after %v", n, answerHold)
	}
}
