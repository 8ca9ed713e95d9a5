package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// chart is curves, drawn as SVG: the values of x stand side by side, at equal distances, and y begins at low or is logarithmic.
type chart struct {
	name, title, xTitle, yTitle string
	xText                       func(x float64) string
	log                         bool
	low                         float64
	curves                      []curve
}

type curve struct {
	name   string
	points [][2]float64
}

const (
	chartWidth, chartHeight                 = 600, 350
	plotLeft, plotRight, plotTop, plotFloor = 62, 470, 34, 305
)

var colours = []string{"#222222", "#d9822b", "#2563c9", "#9ec1f0", "#2e8b57", "#8a4fbf", "#c2385a"}

// charted are the schemes that charts show; more would hide each other.
var charted = []Scheme{Replay, Demand, ahead(4), ahead(16), LeastBytes, LeastDelay}

// add appends a point to the named curve.
func (c *chart) add(name string, x, y float64) {
	i := slices.IndexFunc(c.curves, func(k curve) bool { return k.name == name })
	if i < 0 {
		i = len(c.curves)
		c.curves = append(c.curves, curve{name: name})
	}
	c.curves[i].points = append(c.curves[i].points, [2]float64{x, y})
}

// axis returns the values of x, ascending.
func (c *chart) axis() (xs []float64) {
	for _, k := range c.curves {
		for _, p := range k.points {
			xs = append(xs, p[0])
		}
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// ticks returns the values of y that get a line: whole decades, or about five steps.
func (c *chart) ticks() (ys []float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, k := range c.curves {
		for _, p := range k.points {
			low, high = min(low, p[1]), max(high, p[1])
		}
	}
	if c.log {
		for e := math.Floor(math.Log10(max(low, 1e-3))); ; e++ {
			ys = append(ys, math.Pow(10, e))
			if ys[len(ys)-1] >= high && len(ys) > 1 {
				return ys
			}
		}
	}
	size := math.Pow(10, math.Floor(math.Log10(max(high-c.low, 1e-3)/2)))
	for (high-c.low)/size > 6 {
		size *= 2
	}
	for y := c.low; ; y += size {
		ys = append(ys, y)
		if y >= high && len(ys) > 1 {
			return ys
		}
	}
}

// svg draws the chart.
func (c *chart) svg() string {
	xs, ys := c.axis(), c.ticks()
	scale := func(y float64) float64 {
		if c.log {
			return math.Log10(max(y, ys[0]))
		}
		return y
	}
	low, high := scale(ys[0]), scale(ys[len(ys)-1])
	atX := func(x float64) float64 {
		i, _ := slices.BinarySearch(xs, x)
		return plotLeft + 24 + float64(i)/float64(max(len(xs)-1, 1))*(plotRight-plotLeft-48)
	}
	atY := func(y float64) float64 { return plotFloor - (scale(y)-low)/(high-low)*(plotFloor-plotTop) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="18" font-size="13" font-weight="bold">%s</text>`+"\n", plotLeft, html.EscapeString(c.title))
	for _, y := range ys {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n",
			plotLeft, plotRight, atY(y), atY(y), plotLeft-6, atY(y)+4, y)
	}
	for _, x := range xs {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", atX(x), plotFloor+16, html.EscapeString(c.xText(x)))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#555">%s</text>`+"\n", (plotLeft+plotRight)/2, plotFloor+34, html.EscapeString(c.xTitle))
	fmt.Fprintf(&b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle" fill="#555">%s</text>`+"\n", (plotTop+plotFloor)/2, html.EscapeString(c.yTitle))
	for i, k := range c.curves {
		colour, line := colours[i%len(colours)], make([]string, 0, len(k.points))
		for _, p := range k.points {
			line = append(line, fmt.Sprintf("%.1f,%.1f", atX(p[0]), atY(p[1])))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: %.4g at %s</title></circle>`+"\n",
				atX(p[0]), atY(p[1]), colour, k.name, p[1], html.EscapeString(c.xText(p[0])))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="3" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			plotRight+14, plotTop+20*i, colour, plotRight+32, plotTop+20*i+5, html.EscapeString(k.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// charts makes those that the results have figures for.
func charts(results []Result) (all []*chart) {
	size := func(x float64) string { return sizeText(int(x)) }
	percent := func(x float64) string { return measuring.Short(100*x) + " %" }
	draw := func(c *chart, of func(r *Result) bool, x, y func(r *Result) float64) {
		for _, s := range charted {
			for i := range results {
				if r := &results[i]; r.Scheme == s && r.Data == pace && of(r) {
					c.add(string(s), x(r), y(r))
				}
			}
		}
		for i := range c.curves {
			slices.SortFunc(c.curves[i].points, func(a, b [2]float64) int { return int(math.Copysign(1, a[0]-b[0])) })
		}
		if len(c.axis()) > 1 {
			all = append(all, c)
		}
	}
	bytes := func(r *Result) float64 { return r.Costs.bytes() }
	receivers := func(r *Result) float64 { return float64(r.Receivers) }
	draw(&chart{name: "bytes-receivers", title: "Bytes per useful byte, 10 % loss, RTT 20 ms", xTitle: "receivers", yTitle: "bytes sent per byte", xText: size, low: 1},
		func(r *Result) bool { return r.RTT == 20*time.Millisecond && r.Loss == 0.1 }, receivers, bytes)
	draw(&chart{name: "p99-receivers", title: "99 % of losses repaired within, 10 % loss, RTT 20 ms", xTitle: "receivers", yTitle: "ms", xText: size, log: true},
		func(r *Result) bool { return r.RTT == 20*time.Millisecond && r.Loss == 0.1 }, receivers, p99)
	for _, n := range []int{8, 1000} {
		draw(&chart{
			name: "bytes-loss-" + sizeText(n), title: fmt.Sprintf("Bytes per useful byte, %s receivers, RTT 20 ms", sizeText(n)),
			xTitle: "loss", yTitle: "bytes sent per byte", xText: percent, low: 1,
		}, func(r *Result) bool { return r.RTT == 20*time.Millisecond && r.Receivers == n }, func(r *Result) float64 { return r.Loss }, bytes)
		for _, loss := range []float64{0.01, 0.1} {
			for _, q := range []struct {
				name string
				y    func(r *Result) float64
			}{{"p50", p50}, {"p99", p99}} {
				draw(&chart{
					name:  fmt.Sprintf("%s-rtt-%s-%s", q.name, sizeText(n), measuring.Short(100*loss)),
					title: fmt.Sprintf("Loss to repair, %s, %s receivers, %s loss", q.name, sizeText(n), percent(loss)), xTitle: "round trip time, ms", yTitle: "ms", xText: measuring.Short, log: true,
				}, func(r *Result) bool { return r.Receivers == n && r.Loss == loss }, func(r *Result) float64 { return measuring.Milliseconds(r.RTT) }, q.y)
			}
		}
	}
	return all
}

func p50(r *Result) float64 { return measuring.Milliseconds(r.Costs.Recovery.P50) }
func p99(r *Result) float64 { return measuring.Milliseconds(r.Costs.Recovery.P99) }

// writeSVGs writes each chart as a file of its own.
func writeSVGs(dir string, results []Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range charts(results) {
		if err := os.WriteFile(filepath.Join(dir, c.name+".svg"), []byte(c.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
