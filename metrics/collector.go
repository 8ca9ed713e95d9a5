package metrics

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// collector puts samples in order: Prometheus wants all of one name together, expvar all of one thing.
type collector struct {
	families []*family
	byName   map[string]*family
	things   []map[string]any // for expvar

	// What the next samples belong to:
	prefix string
	labels []label
	values map[string]any
}

// family is a metric with its samples.
type family struct {
	name, help, typ string
	samples         []byte
}

func newCollector() *collector { return &collector{byName: map[string]*family{}} }

// begin says whose samples follow.
func (c *collector) begin(t *thing) {
	c.prefix, c.labels, c.values = "rmcast_"+t.kind+"_", t.labels, map[string]any{}
	entry := map[string]any{"kind": t.kind, "values": c.values}
	for _, l := range t.labels {
		entry[l.name] = l.value
	}
	c.things = append(c.things, entry)
}

// sample adds one sample; extra may name a label that only this metric has.
func (c *collector) sample(name, help, typ, value string, extra label) {
	full := c.prefix + name
	f := c.byName[full]
	if f == nil {
		f = &family{name: full, help: help, typ: typ}
		c.byName[full] = f
		c.families = append(c.families, f)
	}
	f.samples = append(f.samples, full...)
	open := byte('{')
	for i := range len(c.labels) + 1 {
		l := extra
		if i < len(c.labels) {
			l = c.labels[i]
		}
		if l.name == "" {
			continue
		}
		f.samples = append(append(append(f.samples, open), l.name...), `="`...)
		f.samples = append(append(f.samples, escape.Replace(l.value)...), '"')
		open = ','
	}
	if open == ',' {
		f.samples = append(f.samples, '}')
	}
	f.samples = append(append(append(f.samples, ' '), value...), '\n')
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// counter is a number that only grows.
func (c *collector) counter(name, help string, n uint64) {
	name += "_total"
	c.values[name] = n
	c.sample(name, help, "counter", strconv.FormatUint(n, 10), label{})
}

// counterBy is one of several counters of a name, told apart by a label.
func (c *collector) counterBy(name, help, by, value string, n uint64) {
	name += "_total"
	m, ok := c.values[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		c.values[name] = m
	}
	m[value] = n
	c.sample(name, help, "counter", strconv.FormatUint(n, 10), label{by, value})
}

// gauge is a number that goes up and down.
func (c *collector) gauge(name, help string, x float64) {
	text := strconv.FormatFloat(x, 'g', -1, 64)
	if c.values[name] = x; math.IsInf(x, 0) || math.IsNaN(x) {
		c.values[name] = text // JSON has no word for it
	}
	c.sample(name, help, "gauge", text, label{})
}

// word is what something is now, as a label.
func (c *collector) word(name, help, value string) {
	c.values[name] = value
	c.sample(name, help, "gauge", "1", label{name[strings.LastIndexByte(name, '_')+1:], value})
}

// failure is an error as a word, of 200 characters at most; nothing if there is none.
func (c *collector) failure(name, help string, err error) {
	if err == nil {
		return
	}
	text := []rune(err.Error())
	c.word(name, help, string(text[:min(len(text), 200)]))
}

func (c *collector) seconds(name, help string, d time.Duration) {
	c.gauge(name+"_seconds", help, d.Seconds())
}

func (c *collector) rate(name, help string, r flow.Rate) {
	x := float64(r) / 8
	if r == flow.Unlimited {
		x = math.Inf(1)
	}
	c.gauge(name+"_bytes_per_second", help, x)
}

func (c *collector) flag(name, help string, yes bool) {
	x := 0.
	if yes {
		x = 1
	}
	c.gauge(name, help, x)
}

// text is Prometheus' format, version 0.0.4.
func (c *collector) text() (b []byte) {
	for _, f := range c.families {
		b = append(b, "# HELP "+f.name+" "+f.help+"\n# TYPE "+f.name+" "+f.typ+"\n"...)
		b = append(b, f.samples...)
	}
	return b
}

func (c *collector) json() []byte {
	b, err := json.Marshal(c.things)
	if err != nil {
		panic("BUG: metrics: " + err.Error()) // numbers, texts and maps of them
	}
	return b
}
