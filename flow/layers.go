package flow

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// MaxLayers is the most layers that an object is sent on: the last has as much as 2^14 of the first.
const MaxLayers = 16

// LayersConfig says how a receiver finds the number of layers that its path bears. In each field zero means the default that its comment names. No time
// is longer than a day.
type LayersConfig struct {
	// Layers is how many there are, 1 to MaxLayers.
	Layers int

	// Excess is the share of packets that may be lost beyond what is lost on fewer layers, above 0 and below 0.5: the queue before a link that one
	// layer too many fills loses up to half. Zero: 0.05.
	Excess float64

	// Window is how long loss is measured until something is concluded, unless it is plain before. Zero: 500 ms.
	Window time.Duration

	// Deaf is how long nothing is concluded after a layer was left: routers and switches go on forwarding it for a while (with IGMP and MLD
	// as they come up to 2 s, with "fast leave" nothing), and queues drain. Zero: 2.5 s.
	Deaf time.Duration

	// Backoff is how long a layer is not tried again once it was too much; it doubles each time up to MaxBackoff. Zero: 5 s, and 5 min.
	Backoff, MaxBackoff time.Duration
}

// WithDefaults returns c with its zero fields set.
func (c LayersConfig) WithDefaults() LayersConfig {
	if c.Excess == 0 {
		c.Excess = 0.05
	}
	if c.Window == 0 {
		c.Window = 500 * time.Millisecond
	}
	if c.Deaf == 0 {
		c.Deaf = 2500 * time.Millisecond
	}
	if c.Backoff == 0 {
		c.Backoff = 5 * time.Second
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(5*time.Minute, c.Backoff)
	}
	return c
}

// Check returns what is wrong with c, after WithDefaults.
func (c LayersConfig) Check() error {
	switch {
	case c.Layers < 1 || c.Layers > MaxLayers:
		return fmt.Errorf("flow: LayersConfig: Layers is %d, want 1 to %d", c.Layers, MaxLayers)
	case !(c.Excess > 0 && c.Excess < 0.5):
		return fmt.Errorf("flow: LayersConfig: Excess is %v, want above 0 and below 0.5", c.Excess)
	case c.Window < time.Millisecond || c.Deaf < 0 || c.Backoff < 0 || c.MaxBackoff < c.Backoff || max(c.Window, c.Deaf, c.MaxBackoff) > layersMost:
		return fmt.Errorf("flow: LayersConfig: Window %v, Deaf %v, Backoff %v, MaxBackoff %v: want a Window of at least 1ms, none negative or above %v, and Backoff at most MaxBackoff",
			c.Window, c.Deaf, c.Backoff, c.MaxBackoff, layersMost)
	}
	return nil
}

// Layers decides how many layers of an object a receiver is on, by what it loses, without a word to anybody (McCanne, Jacobson and Vetterli,
// "Receiver-driven Layered Multicast", 1996; Vicisano, Rizzo and Crowcroft, 1998). Layer 0 has the rate r, layer 1 too, layer 2 2r, and so on: each
// more doubles what comes.
//
//	        a window without excess              a window without excess: stays
//	steady ─────────────────────────► testing ──────────────────────────────────► steady, one layer more
//	  │  ▲                               │
//	  │  └──── Deaf is over ─── deaf ◄───┤ excess: left at once, not tried again for Backoff, and twice as long the next time
//	  │ excess                   ▲
//	  └──────────────────────────┘
//
// Excess is what is lost beyond noise: what is lost on the lowest layer, or was lost all the same once a layer was left.
//
// It reads no clock and keeps no history; a caller reports what came, and joins and leaves as Level says.
type Layers struct {
	cfg   LayersConfig
	rng   *rand.Rand
	level int

	testing bool
	joined  mono.Time // when the highest layer was, of those below as if just then
	deaf    mono.Time // until when nothing is concluded
	since   mono.Time // when this window began
	got     int       // in it
	lost    int

	noise   float64 // share lost that has nothing to do with us
	lowest  int     // windows on one layer that noise rests on, up to 8
	left    float64 // share lost when a layer was left, and not yet known whether that helped; 0: known
	again   [MaxLayers + 1]mono.Time
	backoff [MaxLayers + 1]time.Duration
}

const (
	layersLeast   = 32                     // packets of a window that say something,
	layersDecides = 2000                   // so many always do
	layersPlain   = 0.25                   // and from which excess on it need not be over
	layersJoined  = 200 * time.Millisecond // after a join nothing is concluded for so long
	layersLong    = 8                      // times its backoff: a layer that was kept so long was not too much
	layersMost    = 24 * time.Hour         // of each time in LayersConfig
)

// NewLayers returns a Layers on one layer. cfg must pass Check.
func NewLayers(now mono.Time, cfg LayersConfig, rng *rand.Rand) *Layers {
	if err := cfg.Check(); err != nil {
		panic("BUG: " + err.Error())
	}
	return &Layers{cfg: cfg, rng: rng, level: 1, since: now, deaf: now}
}

// Level returns on how many layers to be: those from 0 on.
func (l *Layers) Level() int { return l.level }

// Noise returns the share of packets that is lost on any number of layers, 0 to 1.
func (l *Layers) Noise() float64 { return l.noise }

// Report tells how many packets came and how many were found lost, on all layers, since the call before. It should be called several times
// in a Window. It returns Level.
func (l *Layers) Report(now mono.Time, got, lost int) int {
	if now < l.deaf {
		l.begin(now)
		return l.level
	}
	l.got += max(got, 0)
	l.lost += max(lost, 0)
	n := l.got + l.lost
	if n < layersLeast {
		return l.level
	}
	p := float64(l.lost) / float64(n)
	over := now.Sub(l.since) >= l.cfg.Window
	switch plain := l.level > 1 && l.left == 0 && p > l.noise+layersPlain; {
	case !over && !plain:
		return l.level
	case l.left > 0 && l.noisy(p):
	case l.level == 1:
		l.lowest = min(l.lowest+1, 8)
		l.noise += float64((p - l.noise) / float64(l.lowest))
	case l.exceeds(p, n):
		l.leave(now, p)
		return l.level
	case p > l.noise+l.cfg.Excess && n < layersDecides:
		return l.level // perhaps: the window goes on
	case p < l.noise:
		l.noise += float64((p - l.noise) / 8)
	default:
		l.noise += float64((p - l.noise) / 64) // or what one layer too many costs would become noise in the end
	}
	l.left = 0
	l.begin(now)
	if over {
		l.join(now)
	}
	return l.level
}

// begin begins a window.
func (l *Layers) begin(now mono.Time) { l.since, l.got, l.lost = now, 0, 0 }

// exceeds reports whether a share p of n packets is clearly more than noise.
func (l *Layers) exceeds(p float64, n int) bool {
	excess, noise := p-l.noise, max(l.noise, l.cfg.Excess/2)
	return excess > l.cfg.Excess && float64(excess*excess)*float64(n) > float64(9*noise*(1-noise))
}

// leave leaves the highest layer, of which a share p was lost.
func (l *Layers) leave(now mono.Time, p float64) {
	if !l.testing {
		l.left = p
	}
	l.fail(now, l.level)
	l.level--
	l.testing, l.deaf = false, now.Add(l.cfg.Deaf)
	l.begin(now)
}

// Fail tells that the layer that Report had just said to join could not be: it counts as too much.
func (l *Layers) Fail(now mono.Time) {
	if l.level > 1 {
		l.fail(now, l.level)
		l.level--
		l.testing = false
		l.begin(now)
	}
}

// fail keeps a level from being tried for a while, somewhat at random: receivers behind one link should not try at once.
func (l *Layers) fail(now mono.Time, level int) {
	b := &l.backoff[level]
	if now.Sub(l.joined) > layersLong**b {
		*b = 0 // it was right for long
	}
	*b = min(max(2**b, l.cfg.Backoff), l.cfg.MaxBackoff)
	l.again[level] = now.Add(*b + time.Duration(l.rng.Int64N(int64(*b)/2+1)))
}

// noisy reports whether p, which is lost on a layer less, shows that leaving it did not help; then the layer can be had again. At the end of a
// path twice as much would come through of the half that is sent now.
func (l *Layers) noisy(p float64) bool {
	if p > mostNoise || p <= float64((l.left+max(float64(2*l.left)-1, 0))/2) {
		return false
	}
	l.noise = max(l.noise, p)
	l.again[l.level+1], l.backoff[l.level+1] = 0, 0
	return true
}

// join tries a layer more where that may be, after a window without excess.
func (l *Layers) join(now mono.Time) {
	l.testing = false
	if l.level == l.cfg.Layers || now < l.again[l.level+1] {
		return
	}
	l.level++
	l.testing, l.joined, l.deaf = true, now, now.Add(layersJoined)
}
