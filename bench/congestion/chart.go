package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

const (
	chartWidth              = 760
	panelHeight, panelGap   = 170, 30
	plotLeft, plotRight     = 56, 590
	plotTop                 = 40
	chartPoints             = 1200 // of a curve; more are averaged
	legendStep, legendWidth = 18, 14
)

var colours = []string{"#999999", "#2563c9", "#d9822b", "#2e8b57", "#8a4fbf", "#c2385a", "#444444"}

// panels returns the tracks of a Series by unit, in order.
func (s *Series) panels() (units []string, of map[string][]Track) {
	of = map[string][]Track{}
	for _, t := range s.Tracks {
		if _, ok := of[t.Unit]; !ok {
			units = append(units, t.Unit)
		}
		of[t.Unit] = append(of[t.Unit], t)
	}
	return units, of
}

// svg draws what happened over time, a panel for each unit.
func (s *Series) svg(title string) string {
	units, of := s.panels()
	steps := 0
	for _, t := range s.Tracks {
		steps = max(steps, len(t.Values))
	}
	length := max(float64(steps)*s.Step.Seconds(), 1e-9)
	atX := func(sec float64) float64 { return plotLeft + sec/length*(plotRight-plotLeft) }
	var b strings.Builder
	height := plotTop + len(units)*(panelHeight+panelGap) + 10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="18" font-size="13" font-weight="bold">%s</text>`+"\n", plotLeft, html.EscapeString(title))
	colour := 0
	for i, unit := range units {
		top := float64(plotTop + i*(panelHeight+panelGap))
		floor := top + panelHeight
		high, ticks := scale(of[unit])
		atY := func(v float64) float64 { return floor - min(v, high)/high*panelHeight }
		for _, y := range ticks {
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n",
				plotLeft, plotRight, atY(y), atY(y), plotLeft-6, atY(y)+4, y)
		}
		fmt.Fprintf(&b, `<text transform="translate(14 %.0f) rotate(-90)" text-anchor="middle" fill="#555">%s</text>`+"\n", (top+floor)/2, html.EscapeString(unit))
		for _, x := range marks(length) {
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.4g s</text>`+"\n", atX(x), floor+14, x)
		}
		for j, t := range of[unit] {
			c := colours[colour%len(colours)]
			colour++
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.4"/>`+"\n", s.points(t, atX, atY), c)
			y := top + 8 + float64(j*legendStep)
			fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="3" fill="%s"/><text x="%d" y="%.1f">%s</text>`+"\n",
				plotRight+10, y-4, legendWidth, c, plotRight+10+legendWidth+6, y, html.EscapeString(t.Name))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// points are those of a polyline; values that are many become means.
func (s *Series) points(t Track, atX, atY func(float64) float64) string {
	each := max(1, (len(t.Values)+chartPoints-1)/chartPoints)
	var b strings.Builder
	for i := 0; i < len(t.Values); i += each {
		part := t.Values[i:min(i+each, len(t.Values))]
		sum := 0.0
		for _, v := range part {
			sum += v
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", atX((float64(i)+float64(len(part))/2)*s.Step.Seconds()), atY(sum/float64(len(part))))
	}
	return strings.TrimSpace(b.String())
}

// scale returns the top of a panel and its lines. A track called capacity says what matters: what is more than twice that is cut.
func scale(tracks []Track) (high float64, ticks []float64) {
	limit := math.Inf(1)
	for _, t := range tracks {
		m := 0.0
		for _, v := range t.Values {
			m = max(m, v)
		}
		if t.Name == "capacity" {
			limit = 2 * m
		}
		high = max(high, m)
	}
	high = max(min(high, limit), 1e-3)
	step := nice(high / 4)
	high = math.Ceil(high/step) * step
	for y := 0.0; y <= high+step/2; y += step {
		ticks = append(ticks, y)
	}
	return high, ticks
}

// marks are the instants that are written below a panel.
func marks(length float64) (all []float64) {
	step := nice(length / 8)
	for x := 0.0; x <= length*1.001; x += step {
		all = append(all, x)
	}
	return all
}

// nice returns the least of 1, 2, 5 times a power of ten that is not below v.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, k := range []float64{1, 2, 5} {
		if k*power >= v*(1-1e-9) {
			return k * power
		}
	}
	return 10 * power
}

// writeSVGs writes a file for each result that has a Series.
func writeSVGs(dir string, results []Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range results {
		r := &results[i]
		if r.Series == nil {
			continue
		}
		name := strings.NewReplacer("/", "-", " ", "-", "%", "").Replace(r.id()) + ".svg"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(r.Series.svg(r.id())), 0o644); err != nil {
			return err
		}
	}
	return nil
}
