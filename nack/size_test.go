package nack

import (
	"testing"
	"unsafe"
)

// Most receivers hold a Scheduler that never has anything to do: it must be small until the first loss.
func TestSchedulerSize(t *testing.T) {
	if size := unsafe.Sizeof(Scheduler{}); size > 512 {
		t.Errorf("an idle Scheduler takes %d bytes", size)
	}
}
