package main

import (
	"fmt"
	"math"
)

// A chart is a bar chart with groups of bars side by side, laid out for an SVG element of chartWidth x chartHeight.
type chart struct {
	Title, Unit string
	Note        string
	Log         bool // logarithmic: for values that span decades
	groups      []barGroup
	line        float64 // a dashed line across, with lineText; 0: none
	lineText    string

	// Laid out:
	Bars   []barShape
	Ticks  []tickShape
	Labels []textShape
	Lines  []tickShape
	Series []Scheme
}

type barGroup struct {
	label string
	bars  []bar
}

// bar is one value. Mark draws a line across it, for the theoretical minimum; 0: none.
type bar struct {
	series Scheme
	value  float64
	mark   float64
	cut    bool // the value is from a run that was cut
	tip    string
}

type barShape struct {
	Series         Scheme
	X, Y, W, H     float64
	Text, Tip      string
	TextX, TextY   float64
	Cut            bool
	Marked         bool
	MarkY          float64
	MarkX1, MarkX2 float64
}

type tickShape struct {
	Y    float64
	Text string
}

type textShape struct {
	X    float64
	Text string
}

const (
	chartWidth, chartHeight = 520, 260
	plotLeft, plotRight     = 56, chartWidth - 8
	plotTop, plotBottom     = 16, chartHeight - 34
)

// layOut computes the shapes from the groups.
func (c *chart) layOut() {
	least, most := math.Inf(1), 0.0
	for _, g := range c.groups {
		for _, b := range g.bars {
			most = max(most, b.value, b.mark)
			if b.value > 0 {
				least = min(least, b.value)
			}
		}
	}
	most = max(most, c.line)
	scale := c.linear(most)
	if c.Log {
		scale = c.logarithmic(least, most)
	}
	if c.line > 0 {
		c.Lines = append(c.Lines, tickShape{scale(c.line), c.lineText})
	}
	step := float64(plotRight-plotLeft) / float64(max(len(c.groups), 1))
	for i, g := range c.groups {
		middle := plotLeft + step*(float64(i)+0.5)
		c.Labels = append(c.Labels, textShape{middle, g.label})
		width := min(step*0.78/float64(max(len(g.bars), 1)), 54)
		for k, b := range g.bars {
			c.addBar(b, middle+width*(float64(k)-float64(len(g.bars))/2), width, scale)
		}
	}
}

func (c *chart) addBar(b bar, x, width float64, scale func(float64) float64) {
	y := scale(b.value)
	s := barShape{Series: b.series, X: x + 1, Y: y, W: width - 2, H: plotBottom - y, Text: short(b.value), Tip: b.tip,
		TextX: x + width/2, TextY: y - 4, Cut: b.cut}
	if b.mark > 0 {
		s.Marked, s.MarkY, s.MarkX1, s.MarkX2 = true, scale(b.mark), x-2, x+width+2
		s.TextY = min(s.TextY, s.MarkY-4)
	}
	c.Bars = append(c.Bars, s)
	for _, known := range c.Series {
		if known == b.series {
			return
		}
	}
	c.Series = append(c.Series, b.series)
}

// linear makes a scale from zero with about five round ticks.
func (c *chart) linear(most float64) func(float64) float64 {
	if most <= 0 {
		most = 1
	}
	step := niceStep(most / 4.5)
	top := math.Ceil(most*1.04/step) * step
	scale := func(v float64) float64 { return plotBottom - v/top*(plotBottom-plotTop) }
	for i := 0; float64(i)*step <= top*1.0001; i++ {
		v := float64(i) * step
		c.Ticks = append(c.Ticks, tickShape{scale(v), short(v)})
	}
	return scale
}

// logarithmic makes a scale over whole decades.
func (c *chart) logarithmic(least, most float64) func(float64) float64 {
	if math.IsInf(least, 1) {
		least, most = 1, 10
	}
	low, high := math.Floor(math.Log10(least)-0.05), math.Ceil(math.Log10(most)+0.05)
	scale := func(v float64) float64 {
		if v <= 0 {
			return plotBottom
		}
		return plotBottom - max(math.Log10(v)-low, 0)/(high-low)*(plotBottom-plotTop)
	}
	for e := low; e <= high; e++ {
		c.Ticks = append(c.Ticks, tickShape{scale(math.Pow(10, e)), short(math.Pow(10, e))})
	}
	return scale
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*1.0001 {
			return m * power
		}
	}
	return 10 * power
}

// short prints a value with about three digits.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 1000:
		return fmt.Sprintf("%.3gk", v/1000)
	case a >= 99.5:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
