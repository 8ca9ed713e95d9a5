package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestReplayMinimumKnownValues(t *testing.T) {
	for _, c := range []struct {
		receivers int
		loss      float64
		want      float64
	}{
		{1, 0, 1},
		{8, 0, 1},
		{1, 0.1, 1 / 0.9},
		{1, 0.5, 2},
		{2, 0.5, 2 + 2.0/3}, // 2/(1-p) − 1/(1-p²)
		{8, 0.1, 1.656},
	} {
		if got := replayMinimum(c.receivers, c.loss); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("%d receivers, loss %v: %.5f, want %.5f", c.receivers, c.loss, got, c.want)
		}
	}
}

// The formula against what it describes: packets thrown until every receiver has them.
func TestReplayMinimumSimulated(t *testing.T) {
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
		got, want := float64(sent)/packets, replayMinimum(c.receivers, c.loss)
		if math.Abs(got/want-1) > 0.02 {
			t.Errorf("seed %d, %d receivers, loss %v: %.4f sendings a packet, formula %.4f", seed, c.receivers, c.loss, got, want)
		}
	}
}

func TestMinimaIncludeHeaders(t *testing.T) {
	if got, want := multicastMinimum(8, 0), 1480.0/1408; math.Abs(got-want) > 1e-9 {
		t.Errorf("multicast without loss: %v, want %v", got, want)
	}
	if got, want := multicastMinimum(8, 0.1), 1.656*1480/1408; math.Abs(got-want) > 1e-3 {
		t.Errorf("multicast, 8 receivers, 10 %%: %v, want %v", got, want)
	}
	if got, want := fanOutMinimum(8, 0.2), 10*1500.0/1428; math.Abs(got-want) > 1e-9 {
		t.Errorf("fan-out, 8 receivers, 20 %%: %v, want %v", got, want)
	}
}
