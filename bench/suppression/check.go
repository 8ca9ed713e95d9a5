package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// line is one thing that must hold: cells, and what is asked of their results.
type line struct {
	name, text string
	cell       Cell
	judge      func(r Result) []measuring.Finding
}

// acceptance is what the defaults have to meet.
func acceptance(seed uint64) []line {
	lines := []line{
		{
			"known-1M", "1 % independent loss, RTT 20-100 ms, N known: at most 10 NAKs a loss event, p99 at most T + 3 RTT, T at most 500 ms",
			Cell{Receivers: 1_000_000, RTT: mixed, Loss: Independent, Law: Known, Events: 60}, judgeGroup(10),
		},
		{
			"estimated-1M", "the same, N estimated from a cold start, after 20 loss events: at most 20 NAKs",
			Cell{Receivers: 1_000_000, RTT: mixed, Loss: Independent, Law: Estimated, Cold: 20, Events: 30}, judgeGroup(20),
		},
	}
	for _, stream := range []bool{true, false} {
		for _, rtt := range rtts[:2] {
			name, how := fmt.Sprintf("lan-8-%v", rtt), "single packets"
			if stream {
				name, how = name+"-stream", "back-to-back packets"
			}
			lines = append(lines, line{
				name, fmt.Sprintf("8 receivers on a LAN, RTT %v, %s: p50 at most 2 RTT + 2 ms", rtt, how),
				Cell{Receivers: 8, RTT: rtt, Loss: Independent, Law: Estimated, Stream: stream, Events: 500}, judgeLAN,
			})
		}
	}
	for i := range lines {
		lines[i].cell.Seed = seed
	}
	return lines
}

func judgeGroup(naks float64) func(Result) []measuring.Finding {
	return func(r Result) []measuring.Finding {
		return []measuring.Finding{
			measuring.AtMost("NAKs a loss event", r.Costs.per(r.Costs.NAKs), naks, ""),
			measuring.AtMost("T", measuring.Milliseconds(r.T), 500, " ms"),
			measuring.AtMost("recovery p99", measuring.Milliseconds(r.Recovery.P99), measuring.Milliseconds(r.T+3*r.RTT.Most), " ms"),
			measuring.AtMost("numbers never repaired", float64(r.Unfixed), 0, ""),
		}
	}
}

func judgeLAN(r Result) []measuring.Finding {
	return []measuring.Finding{
		measuring.AtMost("recovery p50", measuring.Milliseconds(r.Recovery.P50), measuring.Milliseconds(2*r.RTT.Most+2*time.Millisecond), " ms"),
		measuring.AtMost("numbers never repaired", float64(r.Unfixed), 0, ""),
	}
}

// check measures the lines whose name contains only, and reports whether all hold.
func check(ctx context.Context, w io.Writer, lines []line, only string) (bool, error) {
	good, some := true, false
	for _, x := range lines {
		if !strings.Contains(x.name, only) {
			continue
		}
		some = true
		fmt.Fprintf(w, "%s: %s (seed %d)\n", x.name, x.text, x.cell.Seed)
		r, err := measure(ctx, x.cell)
		if err != nil {
			return false, err
		}
		for _, f := range x.judge(r) {
			good = good && f.Holds()
			fmt.Fprintln(w, "  ", f)
		}
		if r.Costs.Events < x.cell.Events {
			good = false
			fmt.Fprintf(w, "   FAILS %d loss events, %d wanted\n", r.Costs.Events, x.cell.Events)
		}
		fmt.Fprintf(w, "   %d loss events after %d, %.0f receivers each; %.2f repairs, most NAKs %d, most answers to a probe %d; took %.0f s\n",
			r.Costs.Events, r.First.Events, r.Costs.per(r.Costs.Losers), r.Costs.per(r.Costs.Repairs), r.Costs.MostNAKs, r.MostACKs, r.Took.Seconds())
	}
	if !some {
		return false, fmt.Errorf("no line has %q in its name", only)
	}
	return good, nil
}
