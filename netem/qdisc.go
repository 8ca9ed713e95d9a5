package netem

import (
	"os"
)

// NeedQdiscEnv is an environment variable: if it is not empty, [NeedQdisc] fails where it would skip.
const NeedQdiscEnv = "RMCAST_NEED_QDISC"

// QdiscStats is what a qdisc of [Lab.SetQdisc] has counted since it was set.
type QdiscStats struct {
	Packets uint64 // passed on, duplicates included
	Bytes   uint64 // of these, with Ethernet headers
	Dropped uint64 // lost, or too much for Limit: the kernel counts both as one
	Queued  uint64 // packets under way
}

// NeedQdisc skips the test with the reason if the kernel has no sch_netem or no Lab can be made, or fails it if [NeedQdiscEnv]
// is set. t is a *testing.T or B.
func NeedQdisc(t interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}) {
	t.Helper()
	err := QdiscAvailable()
	switch {
	case err == nil:
	case os.Getenv(NeedQdiscEnv) != "":
		t.Fatalf("%v (and %s is set)", err, NeedQdiscEnv)
	default:
		t.Skipf("skipped: %v; go run ./netem/guest runs it on a kernel that has it", err)
	}
}
