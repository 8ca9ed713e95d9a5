package sim

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the stories of testdata/*.txt: "scenario" gives what receivers read, "scenario trace" all packets before it. Run with
// -rewrite to write the expectations anew, and read the diff.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s, err := ParseScenario(d.Input)
			if err != nil {
				return err.Error() + "\n"
			}
			rep, err := s.Run(d.HasArg("trace"))
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			var b strings.Builder
			for _, line := range rep.Trace {
				b.WriteString(line + "\n")
			}
			return b.String() + rep.String()
		})
	})
}
