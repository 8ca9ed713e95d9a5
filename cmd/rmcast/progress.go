package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/flow"
)

// gauge is what there is to say about how far something is.
type gauge struct {
	name        string
	wide        int   // characters that the name takes at least
	done, total int64 // bytes; total 0: not known
	rate        flow.Rate
	eta         time.Duration // 0: not known
	loss        float64       // the part of the packets that got lost at first
	repairs     uint64        // packets that were repaired
	note        string        // "1 of 2 done"
}

// share is how far it is, 0 to 1.
func (g *gauge) share() float64 {
	if g.total <= 0 {
		return 0
	}
	return min(float64(g.done)/float64(g.total), 1)
}

// left is what stands before the bar, and right what stands behind it, so that both and a bar of at least minBar fit the width: what matters less gives way.
// Both keep their width while it fills.
const minBar = 8

func (g *gauge) left(width int) string {
	most := max(width/4, 6)
	return fmt.Sprintf("%-*s %6s", min(g.wide, most), human.Cut(g.name, most), human.Percent(g.share()))
}

// right has a slot for each part, as wide while the part grows or is not there yet: the bar stays as long as it is.
func (g *gauge) right(width int) string {
	loss, repairs := "", ""
	if g.loss > 0 {
		loss = "loss " + human.Percent(g.loss)
	}
	if g.repairs > 0 {
		repairs = human.Number(int64(g.repairs)) + " repairs"
	}
	rate, left := "", ""
	if g.rate > 0 {
		rate = human.Rate(g.rate)
	}
	if g.eta > 0 {
		left = clock(g.eta) + " left"
	}
	room := width - utf8.RuneCountInString(g.left(width)) - minBar - 3
	var parts []string
	for _, part := range []struct {
		text string
		slot int
	}{{rate, 11}, {left, 10}, {g.note, 0}, {loss, 11}, {repairs, 13}, {human.Bytes(g.total), 0}} {
		slot := max(part.slot, utf8.RuneCountInString(part.text))
		if slot == 0 || slot > room {
			continue
		}
		room -= slot + 2
		parts = append(parts, part.text+strings.Repeat(" ", slot-utf8.RuneCountInString(part.text)))
	}
	return strings.Join(parts, "  ")
}

// clock writes a time that is left: 0:04, 3:20, 2:05:00. The last second lasts until it is over.
func clock(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// parts are what there is to say behind the bar, the most important first.
func (g *gauge) parts() []string {
	eta, loss, repairs := "", "", ""
	if g.eta > 0 {
		eta = human.Duration(g.eta) + " left"
	}
	if g.loss > 0 {
		loss = "loss " + human.Percent(g.loss)
	}
	if g.repairs > 0 {
		repairs = human.Number(int64(g.repairs)) + " repairs"
	}
	rate := ""
	if g.rate > 0 {
		rate = human.Rate(g.rate)
	}
	return []string{rate, eta, g.note, loss, repairs, human.Bytes(g.total)}
}

// line is all of it, for where there is no bar.
func (g *gauge) line() string {
	text := fmt.Sprintf("%s %s of %s", g.name, human.Percent(g.share()), human.Bytes(g.total))
	for _, p := range g.parts()[:5] {
		if p != "" {
			text += ", " + p
		}
	}
	return text
}

// fields is all of it for programs.
func (g *gauge) fields() fields {
	return fields{"name": g.name, "bytes": g.done, "total": g.total, "rate": int64(g.rate), "eta": g.eta.Seconds(), "loss": g.loss, "repairs": g.repairs, "note": g.note}
}

// meter makes a rate of a growing count of bytes, over the last meterSpan.
type meter struct{ points []point }

// point is a count at an instant.
type point struct {
	at    time.Time
	bytes int64
}

const meterSpan = 3 * time.Second

// add enters what the count is now and returns the rate; 0 until there are two counts.
func (m *meter) add(now time.Time, bytes int64) flow.Rate {
	m.points = append(m.points, point{now, bytes})
	for len(m.points) > 2 && now.Sub(m.points[1].at) >= meterSpan {
		m.points = m.points[1:]
	}
	first := m.points[0]
	d := now.Sub(first.at).Seconds()
	if d <= 0 || bytes <= first.bytes {
		return 0
	}
	return flow.Rate(float64(bytes-first.bytes) * 8 / d)
}

// eta is how long bytes take at a rate; 0 if nobody can say.
func eta(bytes int64, r flow.Rate) time.Duration {
	if bytes <= 0 || r <= 0 {
		return 0
	}
	d := r.Duration(bytes)
	if d > 1000*time.Hour {
		return 0
	}
	return d
}

const (
	tick      = 200 * time.Millisecond // how often things are looked at
	jsonEvery = time.Second
	lineEvery = 5 * time.Second
)

// progress shows gauges: a bar on a terminal, a line now and then elsewhere, an object a second for programs.
type progress struct {
	e    *env
	mu   sync.Mutex
	g    gauge
	told time.Time
	wide int // characters of the longest name so far
	all  *mpb.Progress
	bar  *mpb.Bar
}

func newProgress(e *env) *progress { return &progress{e: e, told: time.Now()} }

// show shows how far it is.
func (p *progress) show(g gauge) {
	p.wide = max(p.wide, utf8.RuneCountInString(g.name))
	g.wide = p.wide
	p.mu.Lock()
	p.g = g
	p.mu.Unlock()
	switch now := time.Now(); {
	case p.e.json:
		if now.Sub(p.told) >= jsonEvery {
			p.told = now
			p.e.tell.say("progress", "", g.fields())
		}
	case p.e.quiet:
	case p.e.errTTY:
		if p.bar == nil {
			p.open()
		}
		p.bar.SetCurrent(int64(1e6 * min(g.share(), 0.999999)))
	case now.Sub(p.told) >= lineEvery:
		p.told = now
		p.e.tell.say("progress", g.line(), nil)
	}
}

// open makes the bar, and has lines told above it.
func (p *progress) open() {
	p.all = mpb.New(mpb.WithOutput(p.e.err), mpb.WithRefreshRate(tick), mpb.ForceTTY())
	get := func() gauge {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.g
	}
	p.bar = p.all.New(1e6, mpb.BarStyle().Lbound("|").Filler("█").Tip("█").Padding("░").Rbound("|"),
		mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { g := get(); return g.left(p.e.width()) + " " })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { g := get(); return " " + g.right(p.e.width()) })),
	)
	p.e.tell.barred(func(line string) bool {
		_, err := p.all.Write([]byte(line + "\n"))
		return err == nil
	})
}

// close takes the bar away.
func (p *progress) close() {
	if p.bar == nil {
		return
	}
	p.e.tell.barred(nil)
	p.bar.Abort(true)
	p.all.Wait()
	p.bar = nil
}
