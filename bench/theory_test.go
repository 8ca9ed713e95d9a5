package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/rmcast/rmcast/flow"
)

func TestSendingsKnownValues(t *testing.T) {
	for _, c := range []struct {
		scheme    Scheme
		receivers int
		loss      float64
		want      float64
	}{
		{Replay, 1, 0, 1},
		{Replay, 8, 0, 1},
		{Replay, 1, 0.1, 1 / 0.9},
		{Replay, 1, 0.5, 2},
		{Replay, 2, 0.5, 2 + 2.0/3}, // 2/(1-p) − 1/(1-p²)
		{Replay, 8, 0.1, 1.656},
		{Rmcast, 1, 0.1, 1 / 0.9},
		{Rmcast, 8, 0.1, 1.177},
		{LeastBytes, 8, 0.1, 1.177},
		{LeastDelay, 8, 0.1, 1.177},
		{Demand, 1000, 0.1, 1.282},
		{"proactive=8", 8, 0, 1.125},
		{"proactive=32", 1, 0.1, 1.5},
	} {
		if got := sendings(c.scheme, c.receivers, c.loss); math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s, %d receivers, loss %v: %.5f, want %.5f", c.scheme, c.receivers, c.loss, got, c.want)
		}
	}
}

// The formula against what it describes: packets thrown until every receiver has them.
func TestReplaySimulated(t *testing.T) {
	const seed, packets = 7, 20000
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		receivers int
		loss      float64
	}{{1, 0.2}, {4, 0.05}, {8, 0.1}, {8, 0.2}} {
		sent := 0
		for range packets {
			for waiting := c.receivers; waiting > 0; sent++ {
				lost := 0
				for range waiting {
					if rng.Float64() < c.loss {
						lost++
					}
				}
				waiting = lost
			}
		}
		got, want := float64(sent)/packets, sendings(Replay, c.receivers, c.loss)
		if math.Abs(got/want-1) > 0.02 {
			t.Errorf("seed %d, %d receivers, loss %v: %.4f sendings a packet, formula %.4f", seed, c.receivers, c.loss, got, want)
		}
	}
}

// Groups thrown until every receiver holds as many packets as they have of data.
func TestProactiveSimulated(t *testing.T) {
	const seed, groups, k = 7, 2000, 64
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		h, receivers int
		loss         float64
	}{{0, 8, 0.1}, {8, 1, 0.1}, {8, 8, 0.05}, {16, 8, 0.2}} {
		sent := 0
		for range groups {
			most := k + c.h
			for range c.receivers {
				n := 0
				for held := 0; held < k; n++ {
					if rng.Float64() >= c.loss {
						held++
					}
				}
				most = max(most, n)
			}
			sent += most
		}
		got, want := float64(sent)/groups/k, flow.ProactiveCost(k, c.h, c.loss, float64(c.receivers))
		if math.Abs(got/want-1) > 0.01 {
			t.Errorf("seed %d, %d ahead, %d receivers, loss %v: %.4f sendings a packet, formula %.4f", seed, c.h, c.receivers, c.loss, got, want)
		}
	}
}

func TestMinimaIncludeHeaders(t *testing.T) {
	if got, want := multicastMinimum(Rmcast, 8, 0), 1480.0/1408; math.Abs(got-want) > 1e-9 {
		t.Errorf("multicast without loss: %v, want %v", got, want)
	}
	if got, want := multicastMinimum(Replay, 8, 0.1), 1.656*1480/1408; math.Abs(got-want) > 1e-3 {
		t.Errorf("multicast, 8 receivers, 10 %%: %v, want %v", got, want)
	}
	if got, want := fanOutMinimum(8, 0.2), 10*1500.0/1428; math.Abs(got-want) > 1e-9 {
		t.Errorf("fan-out, 8 receivers, 20 %%: %v, want %v", got, want)
	}
}
