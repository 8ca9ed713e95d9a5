package netem

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseImpairment reads an impairment in the words of tc-netem(8), in any order and each at most once (but see loss and down):
//
//	delay TIME [JITTER [CORRELATION]]                also latency
//	distribution uniform|normal|pareto|paretonormal
//	loss [random] PERCENT [CORRELATION]              also drop
//	loss gemodel P [R [1-H [1-K]]]                   R is 1-P, 1-H is 100%, 1-K is 0% where they are not given
//	loss state P13 [P31 [P32 [P23 [P14]]]]           P31 is 1-P13, P32 0%, P23 100%, P14 0% where they are not given
//	duplicate PERCENT [CORRELATION]
//	corrupt PERCENT [CORRELATION]
//	reorder PERCENT [CORRELATION]
//	gap PACKETS
//	rate RATE
//	limit PACKETS
//
// and these, which tc does not have:
//
//	loss every PACKETS                               loses one packet of so many, periodically
//	limitbytes SIZE                                  limit in bytes
//	mtu SIZE                                         drops what is larger
//	down FROM FOR [every PERIOD]                     an outage; as many as there are
//
// Unlike tc's, one text may have several kinds of loss: random, every, and one of gemodel and state. Words are written out: tc's
// abbreviations are not known. tc's slot, ecn, seed and the overheads after rate are refused.
//
// Units are tc's: percentages with or without the sign; times in s, ms, us or ns, a bare number being microseconds; rates in bit, kbit,
// mbit, gbit, tbit (powers of 1000), kibit, mibit, gibit, tibit (of 1024), or the same with bps instead of bit for bytes, a bare
// number being bits per second; sizes in bytes or kb, mb, gb (of 1024), also for limit. Decimals are read exactly.
//
// The empty text is a perfect link. Errors name the word at fault. What is returned without an error is valid.
func ParseImpairment(s string) (Impairment, error) {
	p := &parser{words: strings.Fields(s)}
	for p.at < len(p.words) {
		word := p.words[p.at]
		p.at++
		if err := p.clause(word); err != nil {
			return Impairment{}, err
		}
	}
	if err := p.i.Validate(); err != nil {
		return Impairment{}, err
	}
	return p.i, nil
}

// UnmarshalText is ParseImpairment, for flags and files.
func (i *Impairment) UnmarshalText(b []byte) error {
	got, err := ParseImpairment(string(b))
	if err != nil {
		return err
	}
	*i = got
	return nil
}

// MarshalText is String; the error is that of Validate.
func (i Impairment) MarshalText() ([]byte, error) {
	if err := i.Validate(); err != nil {
		return nil, err
	}
	return []byte(i.String()), nil
}

type parser struct {
	words []string
	at    int // of the next
	seen  []string
	i     Impairment
}

// clause reads what follows a word that begins something.
func (p *parser) clause(word string) error {
	i := &p.i
	switch word {
	case "latency":
		word = "delay"
	case "drop":
		word = "loss"
	}
	if word != "loss" && word != "down" {
		if err := p.once(word); err != nil {
			return err
		}
	}
	switch word {
	case "delay":
		return p.delay()
	case "distribution":
		return p.distribution()
	case "loss":
		return p.loss()
	case "duplicate":
		return p.percents(word, &i.Duplicate, &i.DuplicateCorrelation)
	case "corrupt":
		return p.percents(word, &i.Corrupt, &i.CorruptCorrelation)
	case "reorder":
		return p.percents(word, &i.Reorder, &i.ReorderCorrelation)
	case "gap":
		return p.count(word, &i.Gap)
	case "rate":
		return p.rate()
	case "limit":
		return p.size(word, &i.Limit)
	case "limitbytes":
		return p.size(word, &i.LimitBytes)
	case "mtu":
		return p.size(word, &i.MTU)
	case "down":
		return p.down()
	case "slot", "ecn", "seed":
		return p.fault("tc's %q is not supported", word)
	}
	return p.fault("%q begins nothing that is known", word)
}

// fault returns an error about the word that was read last.
func (p *parser) fault(format string, args ...any) error {
	return fmt.Errorf("netem: impairment, word %d: %w", p.at, fmt.Errorf(format, args...))
}

// once refuses a word, or two, that was there before.
func (p *parser) once(words string) error {
	if slices.Contains(p.seen, words) {
		return p.fault("%q for the second time", words)
	}
	p.seen = append(p.seen, words)
	return nil
}

// next returns the word that must follow.
func (p *parser) next(of, what string) (string, error) {
	if p.at == len(p.words) {
		return "", p.fault("%q wants %s after it", of, what)
	}
	p.at++
	return p.words[p.at-1], nil
}

// more reports whether a number follows. As in tc, a number is what begins with a digit.
func (p *parser) more() bool {
	return p.at < len(p.words) && p.words[p.at][0] >= '0' && p.words[p.at][0] <= '9'
}

func (p *parser) percent(of string, to *float64) error {
	s, err := p.next(of, "a percentage")
	if err != nil {
		return err
	}
	if *to, err = parsePercent(s); err != nil {
		return p.fault("%s: %q is not a percentage such as 1%% or 0.5%%: %w", of, s, err)
	}
	return nil
}

// percents reads a percentage and any of those that may follow.
func (p *parser) percents(of string, to *float64, more ...*float64) error {
	err := p.percent(of, to)
	for len(more) > 0 && err == nil && p.more() {
		err = p.percent(of, more[0])
		more = more[1:]
	}
	return err
}

func (p *parser) time(of string, to *time.Duration) error {
	s, err := p.next(of, "a time")
	if err != nil {
		return err
	}
	n, err := parseUnit(s, timeUnits, math.MaxInt64, true)
	if err != nil {
		return p.fault("%s: %q is not a time such as 50ms, 1.5s or 200us: %w", of, s, err)
	}
	*to = time.Duration(n)
	return nil
}

func (p *parser) size(of string, to *int) error {
	s, err := p.next(of, "a number")
	if err != nil {
		return err
	}
	n, err := parseUnit(s, sizeUnits, math.MaxInt, false)
	if err != nil {
		return p.fault("%s: %q is not a number or size such as 1000 or 64kb: %w", of, s, err)
	}
	*to = int(n)
	return nil
}

func (p *parser) count(of string, to *int) error {
	s, err := p.next(of, "a number of packets")
	if err != nil {
		return err
	}
	n, err := parseUnit(s, []unit{{"", 1}}, maxEvery, false)
	if err != nil {
		return p.fault("%s: %q is not a number of packets: %w", of, s, err)
	}
	*to = int(n)
	return nil
}

func (p *parser) rate() error {
	s, err := p.next("rate", "a rate")
	if err != nil {
		return err
	}
	n, err := parseUnit(s, rateUnits, math.MaxInt64, true)
	if err != nil {
		return p.fault("rate: %q is not a rate such as 100mbit or 1.5gbit: %w", s, err)
	}
	p.i.Rate = int64(n)
	if p.more() {
		p.at++
		return p.fault("rate: overhead %q: tc's overheads are not supported", p.words[p.at-1])
	}
	return nil
}

func (p *parser) delay() error {
	i := &p.i
	err := p.time("delay", &i.Delay)
	if err == nil && p.more() {
		err = p.time("delay", &i.Jitter)
		if err == nil && p.more() {
			err = p.percent("delay", &i.DelayCorrelation)
		}
	}
	return err
}

func (p *parser) distribution() error {
	s, err := p.next("distribution", "a name")
	if err != nil {
		return err
	}
	d := slices.Index(distributionNames[:], s)
	if d < 0 {
		return p.fault("%q is not a distribution: there are %s", s, strings.Join(distributionNames[:], ", "))
	}
	p.i.Distribution = Distribution(d)
	return nil
}

func (p *parser) loss() error {
	kind := "random"
	if !p.more() {
		word, err := p.next("loss", "a percentage, or random, gemodel, state or every")
		if err != nil {
			return err
		}
		kind = word
	}
	if err := p.once("loss " + kind); err != nil {
		return err
	}
	i := &p.i
	switch kind {
	case "random":
		return p.percents("loss", &i.Loss, &i.LossCorrelation)
	case "gemodel":
		i.GE = &GilbertElliott{R: -1, H1: 1}
		err := p.percents("loss gemodel", &i.GE.P, &i.GE.R, &i.GE.H1, &i.GE.K1)
		if i.GE.R < 0 {
			i.GE.R = 1 - i.GE.P
		}
		return err
	case "state":
		i.Markov = &Markov4{P31: -1, P23: 1}
		err := p.percents("loss state", &i.Markov.P13, &i.Markov.P31, &i.Markov.P32, &i.Markov.P23, &i.Markov.P14)
		if i.Markov.P31 < 0 {
			i.Markov.P31 = 1 - i.Markov.P13
		}
		return err
	case "every":
		return p.count("loss every", &i.Every)
	}
	return p.fault("loss: %q is neither a percentage nor random, gemodel, state or every", kind)
}

func (p *parser) down() error {
	var o Outage
	if err := p.time("down", &o.From); err != nil {
		return err
	}
	if err := p.time("down", &o.For); err != nil {
		return err
	}
	if p.at < len(p.words) && p.words[p.at] == "every" {
		p.at++
		if err := p.time("down every", &o.Every); err != nil {
			return err
		}
	}
	p.i.Down = append(p.i.Down, o)
	return nil
}

// String returns a short text from which ParseImpairment makes i again, and "" for a perfect link. It is tc's as far as tc has the words.
func (i Impairment) String() string {
	var w words
	if i.Delay != 0 || i.Jitter != 0 || i.DelayCorrelation != 0 {
		w.add("delay", formatTime(i.Delay))
		if i.Jitter != 0 || i.DelayCorrelation != 0 {
			w.add(formatTime(i.Jitter))
		}
		w.percentUnlessZero(i.DelayCorrelation)
	}
	if i.Distribution != Uniform {
		w.add("distribution", i.Distribution.String())
	}
	w.percents("loss", i.Loss, i.LossCorrelation)
	if g := i.GE; g != nil {
		w.add("loss gemodel")
		w.positional([]float64{g.P, g.R, g.H1, g.K1}, []float64{-1, 1 - g.P, 1, 0})
	}
	if m := i.Markov; m != nil {
		w.add("loss state")
		w.positional([]float64{m.P13, m.P31, m.P32, m.P23, m.P14}, []float64{-1, 1 - m.P13, 0, 1, 0})
	}
	w.number("loss every", i.Every)
	w.percents("duplicate", i.Duplicate, i.DuplicateCorrelation)
	w.percents("corrupt", i.Corrupt, i.CorruptCorrelation)
	w.percents("reorder", i.Reorder, i.ReorderCorrelation)
	w.number("gap", i.Gap)
	if i.Rate != 0 {
		w.add("rate", formatUnit(uint64(i.Rate), rateUnits, false))
	}
	w.number("limit", i.Limit)
	if i.LimitBytes != 0 {
		w.add("limitbytes", formatUnit(uint64(i.LimitBytes), sizeUnits, true))
	}
	w.number("mtu", i.MTU)
	for _, o := range i.Down {
		w.add("down", formatTime(o.From), formatTime(o.For))
		if o.Every != 0 {
			w.add("every", formatTime(o.Every))
		}
	}
	return strings.Join(w, " ")
}

// words are those of a text.
type words []string

func (w *words) add(s ...string) { *w = append(*w, s...) }

func (w *words) number(name string, n int) {
	if n != 0 {
		w.add(name, strconv.Itoa(n))
	}
}

func (w *words) percentUnlessZero(p float64) {
	if p != 0 {
		w.add(formatPercent(p))
	}
}

func (w *words) percents(name string, p, correlation float64) {
	if p != 0 || correlation != 0 {
		w.add(name, formatPercent(p))
		w.percentUnlessZero(correlation)
	}
}

// positional writes values without those at the end that are as if not given.
func (w *words) positional(values, otherwise []float64) {
	n := len(values)
	for n > 1 && values[n-1] == otherwise[n-1] {
		n--
	}
	for _, v := range values[:n] {
		w.add(formatPercent(v))
	}
}
