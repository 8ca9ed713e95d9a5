package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progressLine is one line at the end of the terminal's output that tells what is going on. It is silent where the output
// is not a terminal.
type progressLine struct {
	w     io.Writer
	on    bool
	shown bool
	step  int
	steps int
}

func newProgressLine(f *os.File, steps int) *progressLine {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &progressLine{w: f, on: terminal, steps: steps}
}

// next goes on to the next of the steps.
func (p *progressLine) next(c *Cell, s Scheme) {
	p.step++
	p.show(fmt.Sprintf("[%d/%d] %v: %s …", p.step, p.steps, c, s))
}

// at tells how far the step is.
func (p *progressLine) at(c *Cell, s Scheme, share float64, elapsed time.Duration, goodput float64) {
	p.show(fmt.Sprintf("[%d/%d] %v: %s %3.0f %%  %.1f s  %s Mbit/s", p.step, p.steps, c, s, share*100, elapsed.Seconds(),
		megabits(goodput)))
}

func (p *progressLine) show(text string) {
	if p.on {
		p.shown = true
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	}
}

// clear takes the line away, for other output.
func (p *progressLine) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
