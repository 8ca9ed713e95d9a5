package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// chart is curves over logarithmic axes, drawn as SVG.
type chart struct {
	name, title, xTitle, yTitle string
	xText                       func(x float64) string
	curves                      []curve
}

type curve struct {
	name   string
	points [][2]float64
}

const (
	chartWidth, chartHeight                 = 560, 330
	plotLeft, plotRight, plotTop, plotFloor = 62, 545, 34, 270
)

var colours = []string{"#d9822b", "#2563c9", "#2e8b57", "#8a4fbf"}

// add appends a point to the named curve.
func (c *chart) add(name string, x, y float64) {
	for i := range c.curves {
		if c.curves[i].name == name {
			c.curves[i].points = append(c.curves[i].points, [2]float64{x, y})
			return
		}
	}
	c.curves = append(c.curves, curve{name, [][2]float64{{x, y}}})
}

// bounds returns whole decades that hold all values of one axis, or all values exactly.
func (c *chart) bounds(axis int, whole bool) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, k := range c.curves {
		for _, p := range k.points {
			if p[axis] > 0 {
				low, high = min(low, math.Log10(p[axis])), max(high, math.Log10(p[axis]))
			}
		}
	}
	if low > high {
		return 0, 1
	}
	if whole {
		low, high = math.Floor(low), math.Ceil(high)
	}
	if low == high {
		high++
	}
	return low, high
}

// svg draws the chart.
func (c *chart) svg() string {
	var b strings.Builder
	x0, x1 := c.bounds(0, false)
	y0, y1 := c.bounds(1, true)
	at := func(p [2]float64) (x, y float64) {
		x = plotLeft + (math.Log10(p[0])-x0)/(x1-x0)*(plotRight-plotLeft)
		y = plotFloor - (math.Log10(max(p[1], 1e-9))-y0)/(y1-y0)*(plotFloor-plotTop)
		return x, min(y, plotFloor)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="18" font-size="13" font-weight="bold">%s</text>`+"\n", plotLeft, html.EscapeString(c.title))
	for e := y0; e <= y1; e++ {
		_, y := at([2]float64{1, math.Pow(10, e)})
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft, plotRight, y, y, plotLeft-6, y+4, math.Pow(10, e))
	}
	seen := map[float64]bool{}
	for _, k := range c.curves {
		for _, p := range k.points {
			if !seen[p[0]] {
				seen[p[0]] = true
				x, _ := at(p)
				fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, plotFloor+16, c.xText(p[0]))
			}
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#555">%s</text>`+"\n", (plotLeft+plotRight)/2, plotFloor+32, html.EscapeString(c.xTitle))
	fmt.Fprintf(&b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle" fill="#555">%s</text>`+"\n", (plotTop+plotFloor)/2, html.EscapeString(c.yTitle))
	for i, k := range c.curves {
		colour, line := colours[i%len(colours)], make([]string, 0, len(k.points))
		for _, p := range k.points {
			x, y := at(p)
			line = append(line, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: %s at %s</title></circle>`+"\n", x, y, colour, k.name, measuring.Short(p[1]), c.xText(p[0]))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		x := plotLeft + i*150
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="3" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, chartHeight-12, colour, x+18, chartHeight-7, html.EscapeString(k.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// charts makes those that the results have figures for.
func charts(results []Result) []*chart {
	size := func(x float64) string { return sizeText(int(x)) }
	var all []*chart
	bySize := func(name, title, yTitle string, loss Loss, y func(r Result) float64) {
		c := &chart{name: name, title: title, xTitle: "receivers", yTitle: yTitle, xText: size}
		for _, r := range results {
			if r.RTT == mixed && r.Loss == loss && !r.Stream {
				c.add(string(r.Law), float64(r.Receivers), y(r))
			}
		}
		all = append(all, c)
	}
	naks := func(r Result) float64 { return r.Costs.per(r.Costs.NAKs) }
	for _, loss := range losses {
		bySize("naks-"+string(loss), fmt.Sprintf("NAKs a loss event, %s loss, RTT 20-100 ms", loss), "NAKs", loss, naks)
	}
	bySize("repairs-independent", "Repairs a loss event, independent loss, RTT 20-100 ms", "RDATA", Independent,
		func(r Result) float64 { return r.Costs.per(r.Costs.Repairs) })
	bySize("p50-independent", "Recovery, half of all within, independent loss, RTT 20-100 ms", "ms", Independent,
		func(r Result) float64 { return measuring.Milliseconds(r.Recovery.P50) })
	bySize("p99-independent", "Recovery, 99 % within, independent loss, RTT 20-100 ms", "ms", Independent,
		func(r Result) float64 { return measuring.Milliseconds(r.Recovery.P99) })
	for _, n := range []int{8, 1000, 100_000} {
		byRTT := func(name, title, yTitle string, y func(r Result) float64) {
			c := &chart{
				name: fmt.Sprintf("%s-rtt-%s", name, sizeText(n)), title: fmt.Sprintf("%s, %s receivers, independent loss", title, sizeText(n)),
				xTitle: "round trip time, ms", yTitle: yTitle, xText: measuring.Short,
			}
			for _, r := range results {
				if r.Receivers == n && r.RTT.Least == r.RTT.Most && r.Loss == Independent && !r.Stream {
					c.add(string(r.Law), measuring.Milliseconds(r.RTT.Most), y(r))
				}
			}
			all = append(all, c)
		}
		byRTT("naks", "NAKs a loss event", "NAKs", naks)
		byRTT("p99", "Recovery, 99 % within", "ms", func(r Result) float64 { return measuring.Milliseconds(r.Recovery.P99) })
	}
	kept := all[:0]
	for _, c := range all {
		if len(c.curves) > 0 && len(c.curves[0].points) > 1 {
			kept = append(kept, c)
		}
	}
	return kept
}

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

// writeHTML writes a page with all charts and the table.
func writeHTML(w io.Writer, results []Result, command string, at time.Time) error {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>NAK suppression</title>\n<style>body { font: 15px sans-serif; margin: 2rem } " +
		".charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 1rem } table { border-collapse: collapse; font-size: 12px } " +
		"td, th { padding: .15rem .5rem; text-align: right; white-space: nowrap }</style>\n<h1>NAK suppression</h1>\n")
	fmt.Fprintf(&b, "<p><code>%s</code>, %s</p>\n<div class=\"charts\">\n", html.EscapeString(command), at.Format("2 January 2006, 15:04"))
	for _, c := range charts(results) {
		b.WriteString(c.svg())
	}
	b.WriteString("</div>\n<table><tr>")
	for _, c := range columns {
		fmt.Fprintf(&b, "<th>%s</th>", html.EscapeString(c.head))
	}
	b.WriteString("</tr>\n")
	for _, r := range results {
		b.WriteString("<tr>")
		for _, c := range columns {
			fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(c.text(r)))
		}
		b.WriteString("</tr>\n")
	}
	fmt.Fprintf(&b, "</table>\n<p>%s</p></html>\n", html.EscapeString(legend))
	_, err := io.WriteString(w, b.String())
	return err
}
