package netem_test

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// BenchmarkLinkSend is the cost of a packet by impairment.
func BenchmarkLinkSend(b *testing.B) {
	for _, c := range []struct{ name, words string }{
		{"perfect", ""},
		{"delay", "delay 50ms"},
		{"loss+delay", "loss 1% delay 50ms"},
		{"gemodel", "loss gemodel 1% 10% 70% 0.1% delay 50ms"},
		{"state", "loss state 1% 30% 2% 40% 1%"},
		{"jitter", "loss 1% delay 50ms 10ms"},
		{"normal", "loss 1% delay 50ms 10ms 25% distribution normal"},
		{"rate", "loss 1% delay 50ms rate 1gbit"},
		{"rich", rich},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := netem.NewLink(must(netem.ParseImpairment(c.words)), 1, 2)
			now := time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				l.Send(now, 1500)
				now += 13 * time.Microsecond
			}
		})
	}
}
