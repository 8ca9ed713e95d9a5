package netem

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
)

// told reads what the kernel would be told: the fields of the head, and the attributes by number as 32-bit words.
func told(t *testing.T, i Impairment) (head []uint32, attributes map[uint16][]byte) {
	t.Helper()
	options, err := qdiscOptions(i)
	if err != nil {
		t.Fatal(err)
	}
	b := options.Serialize()
	if typ := binary.NativeEndian.Uint16(b[2:]); typ != nl.TCA_OPTIONS || int(binary.NativeEndian.Uint16(b)) != len(b) {
		t.Fatalf("attribute %d of %d bytes", typ, len(b))
	}
	b = b[4:]
	head = wordsOf(b[:24])
	attributes = map[uint16][]byte{}
	for b = b[24:]; len(b) > 0; {
		size, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		attributes[typ] = b[4:size]
		b = b[(size+3)&^3:]
	}
	return head, attributes
}

func wordsOf(b []byte) (w []uint32) {
	for ; len(b) >= 4; b = b[4:] {
		w = append(w, binary.NativeEndian.Uint32(b))
	}
	return w
}

func TestQdiscOptions(t *testing.T) {
	const one, half = math.MaxUint32, 1 << 31
	i := Impairment{
		Loss: 0.5, LossCorrelation: 1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, DelayCorrelation: 0.5,
		Duplicate: 1, Reorder: 0.5, ReorderCorrelation: 1, Corrupt: 1, CorruptCorrelation: 0.5, Rate: 12_000_000, Limit: 30,
	}
	head, a := told(t, i)
	// 20 packets of 1500 bytes travel for 20 ms at 12 Mbit/s.
	if want := []uint32{0, 50, half, 1, one, 0}; !slices.Equal(head, want) {
		t.Errorf("head %v, want %v", head, want)
	}
	for typ, want := range map[uint16][]uint32{
		nl.TCA_NETEM_CORR: {half, one, 0}, nl.TCA_NETEM_REORDER: {half, one}, nl.TCA_NETEM_CORRUPT: {one, half},
		nl.TCA_NETEM_RATE: {1_500_000, 1<<32 - 14, 0, 0},
	} {
		if got := wordsOf(a[typ]); !slices.Equal(got, want) {
			t.Errorf("attribute %d: %v, want %v", typ, got, want)
		}
	}
	for typ, want := range map[uint16]uint64{tcaNetemLatency64: 20e6, tcaNetemJitter64: 5e6, nl.TCA_NETEM_RATE64: 1_500_000} {
		if got := binary.NativeEndian.Uint64(a[typ]); got != want {
			t.Errorf("attribute %d: %d, want %d", typ, got, want)
		}
	}
	if a[nl.TCA_NETEM_LOSS] != nil || a[nl.TCA_NETEM_DELAY_DIST] != nil {
		t.Error("a loss model or a distribution that nobody asked for")
	}
}

func TestQdiscOptionsOfLossModels(t *testing.T) {
	const one, half, quarter = math.MaxUint32, 1 << 31, 1 << 30
	_, a := told(t, Impairment{GE: &GilbertElliott{P: 0.25, R: 0.5, H1: 1, K1: 0}})
	if got, want := wordsOf(a[nl.TCA_NETEM_LOSS]), []uint32{netemLossGE<<16 | 20, quarter, half, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("gemodel: %v, want %v", got, want) // h, the third, is how many survive the bad state
	}
	_, a = told(t, Impairment{Markov: &Markov4{P13: 0.25, P31: 0.5, P32: 0, P23: 1, P14: 0.5}})
	if got, want := wordsOf(a[nl.TCA_NETEM_LOSS]), []uint32{netemLossGI<<16 | 24, quarter, half, 0, half, one}; !slices.Equal(got, want) {
		t.Errorf("state: %v, want %v", got, want)
	}
}

func TestQdiscOptionsLimit(t *testing.T) {
	for _, c := range []struct {
		i    Impairment
		want uint32
	}{
		{Impairment{Delay: time.Second}, 100_000},
		{Impairment{Delay: time.Second, Limit: 7}, 7},
		{Impairment{Rate: 1e6}, 1000},
		{Impairment{Rate: 12e6, Delay: time.Second}, 2000},
		{Impairment{Rate: 12e6, Delay: 1}, 1001},
	} {
		if head, _ := told(t, c.i); head[1] != c.want {
			t.Errorf("%+v: %d, want %d", c.i, head[1], c.want)
		}
	}
}

// TestQdiscOptionsTables compares the moments of what the kernel draws from with those of what a Link draws from.
func TestQdiscOptionsTables(t *testing.T) {
	moments := func(n int, value func(k int) float64) (mean, deviation float64) {
		var sum, squares float64
		for k := range n {
			v := value(k)
			sum, squares = sum+v, squares+v*v
		}
		mean = sum / float64(n)
		return mean, math.Sqrt(squares/float64(n) - mean*mean)
	}
	for _, d := range []Distribution{Normal, Pareto, ParetoNormal} {
		_, a := told(t, Impairment{Delay: time.Second, Jitter: time.Millisecond, Distribution: d})
		b := a[nl.TCA_NETEM_DELAY_DIST]
		if len(b) != 2*spreadSteps {
			t.Fatalf("%v: %d bytes", d, len(b))
		}
		mean, deviation := moments(len(b)/2, func(k int) float64 { return float64(int16(binary.NativeEndian.Uint16(b[2*k:]))) / 8192 })
		const fine = 1 << 16
		s := spreads[d]()
		wantMean, wantDeviation := moments(fine, func(k int) float64 { return s.of(uint64(k)<<48+1<<47, time.Second).Seconds() })
		if math.Abs(mean-wantMean) > 0.001 || math.Abs(deviation-wantDeviation) > 0.002 {
			t.Errorf("%v: mean %.4f, deviation %.4f; a Link's are %.4f and %.4f", d, mean, deviation, wantMean, wantDeviation)
		}
	}
}

func TestQdiscOptionsRefuse(t *testing.T) {
	ge, markov := &GilbertElliott{P: 0.1, R: 0.5, H1: 1}, &Markov4{P13: 0.1, P31: 0.5}
	for _, c := range []struct {
		i    Impairment
		says string
	}{
		{Impairment{Every: 10}, "Every"},
		{Impairment{Rate: 1e6, LimitBytes: 1e5}, "LimitBytes"},
		{Impairment{MTU: 1500}, "MTU"},
		{Impairment{Down: []Outage{{For: time.Second}}}, "Down"},
		{Impairment{Loss: 0.1, GE: ge}, "GE"},
		{Impairment{Loss: 0.1, Markov: markov}, "Markov"},
		{Impairment{Rate: 7}, "8 bit/s"},
		{Impairment{Rate: 1e6, Delay: time.Second, Limit: math.MaxInt32}, "Limit"},
		{Impairment{Rate: math.MaxInt64, Delay: time.Hour}, "Limit"},
		{Impairment{Loss: 2}, "probability"},
	} {
		if _, err := qdiscOptions(c.i); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want something about %s", c.i, err, c.says)
		}
	}
}

func TestQdiscShare(t *testing.T) {
	for p, want := range map[float64]uint32{0: 0, 1: math.MaxUint32, 0.5: 1 << 31, 1e-12: 1, 0.1: 429496730} {
		if got := kernelShare(p); got != want {
			t.Errorf("%v: %d, want %d", p, got, want)
		}
	}
}
