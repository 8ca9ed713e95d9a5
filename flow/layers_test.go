package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// layered is a receiver on layers behind one link, as a fluid in steps.
type layered struct {
	*Layers
	now      mono.Time
	rate     float64 // packets a second of the lowest layer
	capacity float64 // packets a second, 0: no bound
	room     float64 // of the queue, packets
	noise    float64
	linger   time.Duration // that a layer left still comes
	queue    float64
	was      int // layers that came before the last change
	until    mono.Time
	rng      *rand.Rand
}

const layeredStep = 50 * time.Millisecond

func newLayered(layers int, rate float64, seed uint64) *layered {
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg := LayersConfig{Layers: layers}.WithDefaults()
	return &layered{Layers: NewLayers(0, cfg, rng), rate: rate, room: 30, linger: 2 * time.Second, was: 1, rng: rng}
}

// run passes time, and returns the packets a second that came, and the share of the time spent on more layers than the link bears.
func (l *layered) run(d time.Duration) (came, over float64) {
	end := l.now.Add(d)
	for steps := 0.0; l.now < end; steps++ {
		l.now = l.now.Add(layeredStep)
		on := l.Level()
		if l.now < l.until {
			on = max(on, l.was)
		}
		s := layeredStep.Seconds()
		sent := l.rate * float64(int(1)<<(on-1)) * s
		lost := 0.0
		if l.capacity > 0 {
			l.queue += sent - l.capacity*s
			if lost = l.queue - l.room; lost > 0 {
				l.queue = l.room
			}
			lost, l.queue = max(lost, 0), max(l.queue, 0)
			if l.rate*float64(int(1)<<(l.Level()-1)) > l.capacity {
				over += s / d.Seconds()
			}
		}
		noise := 0.0
		for range int(sent - lost) {
			if l.rng.Float64() < l.noise {
				noise++
			}
		}
		got := sent - lost - noise
		came += got / d.Seconds()
		before := l.Level()
		whole := func(x float64) int { return int(x + l.rng.Float64()) }
		if after := l.Report(l.now, whole(got), whole(lost+noise)); after < before {
			l.was, l.until = before, l.now.Add(l.linger)
		}
	}
	return came, over
}

// Whatever the link and its noise, a receiver finds the layers that it bears, and seldom tries more.
func TestLayersFindTheirLink(t *testing.T) {
	const rate, layers = 50, 9 // 0.6 Mbit/s, and up to 153
	for _, capacity := range []float64{30, 83, 833, 2000, 8333, 0} {
		for _, noise := range []float64{0, 0.1, 0.2} {
			l := newLayered(layers, rate, 1)
			l.capacity, l.noise = capacity, noise
			l.run(30 * time.Second)
			came, over := l.run(10 * time.Minute)
			best := float64(rate * (1 << (layers - 1)))
			for capacity > 0 && best > capacity {
				best /= 2
			}
			want := 0.9 * max(best, min(capacity, rate)) * (1 - noise)
			t.Logf("link of %v packets/s, %.0f %% noise: %.0f come, %.2f %% of the time too many layers; level %d", capacity, 100*noise, came, 100*over, l.Level())
			most := 0.05
			if noise > 0 && capacity < 2*rate {
				most = 0.3 // a fifth too much drowns in noise, at 50 packets a second
			}
			if came < want || capacity > rate && over > most {
				t.Errorf("link of %v packets/s, %.0f %% noise: %.0f packets/s came, want %.0f; %.2f %% of the time on too many layers", capacity, 100*noise, came, want, 100*over)
			}
		}
	}
}

// When the link becomes slower or faster, or noisy, a receiver follows within seconds.
func TestLayersFollow(t *testing.T) {
	l := newLayered(9, 50, 2)
	for i, c := range []struct {
		capacity, noise float64
		within          time.Duration
		level           int
	}{
		{8333, 0, 12 * time.Second, 8},
		{833, 0, 20 * time.Second, 5}, // three layers, each for a Deaf
		{833, 0.1, 10 * time.Second, 5},
		{833, 0, 10 * time.Second, 5},
		{100, 0, 20 * time.Second, 2},
		{8333, 0, 3 * time.Minute, 8}, // after backoffs
		{0, 0.2, 4 * time.Minute, 9},
	} {
		l.capacity, l.noise = c.capacity, c.noise
		took := time.Duration(0)
		for ; took < c.within; took += time.Second {
			l.run(time.Second)
		}
		counts := map[int]int{}
		for range 20 {
			l.run(time.Second)
			counts[l.Level()]++
		}
		if counts[c.level] < 15 {
			t.Errorf("step %d, link of %v packets/s, noise %v: levels %v in 20 s, want %d; noise %v", i, c.capacity, c.noise, counts, c.level, l.Noise())
		}
	}
}

func TestLayersConfig(t *testing.T) {
	for _, c := range []LayersConfig{{}, {Layers: MaxLayers + 1}, {Layers: 1, Excess: 0.5}, {Layers: 1, Excess: -1}, {Layers: 1, Window: 1}, {Layers: 1, Deaf: -1}, {Layers: 1, Backoff: 2, MaxBackoff: 1}, {Layers: 1, MaxBackoff: 25 * time.Hour}, {Layers: 1, Deaf: 1 << 62}} {
		if c.WithDefaults().Check() == nil {
			t.Errorf("%+v passes", c)
		}
	}
	if err := (LayersConfig{Layers: MaxLayers}).WithDefaults().Check(); err != nil {
		t.Error(err)
	}
}

func ExampleLayers() {
	l := NewLayers(0, LayersConfig{Layers: 4}.WithDefaults(), rand.New(rand.NewPCG(1, 2)))
	for now := mono.Time(0); now < mono.Time(5*time.Second); now = now.Add(100 * time.Millisecond) {
		l.Report(now, 10<<(l.Level()-1), 0)
	}
	fmt.Println(l.Level())
	// Output: 4
}
