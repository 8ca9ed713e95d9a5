package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

const (
	groupSize    = 64
	payloadBytes = 1400
	headerBytes  = 40 + 8                              // IPv6, UDP
	dataBytes    = headerBytes + 16 + 8 + payloadBytes // PGM header and data header
)

// Cell is one network and its traffic.
type Cell struct {
	Receivers int
	RTT       time.Duration
	Loss      float64
	Rate      flow.Rate // the source's limit
	Data      flow.Rate // of the application's packets; 0: what Rate lets through
	Groups    int       // to count
	Seed      uint64
}

// Scheme is how losses are repaired: replay, demand, bytes, delay, or ahead= with a number.
type Scheme string

// The schemes that are not fixed.
const (
	Replay     Scheme = "replay"
	Demand     Scheme = "demand"
	LeastBytes Scheme = "bytes"
	LeastDelay Scheme = "delay"
)

var (
	fixed   = []Scheme{Replay, Demand, ahead(1), ahead(2), ahead(4), ahead(8), ahead(16)}
	schemes = append(fixed[:len(fixed):len(fixed)], LeastBytes, LeastDelay)
)

func ahead(h int) Scheme { return Scheme("ahead=" + strconv.Itoa(h)) }

// ahead returns how many parity packets a scheme sends with each group; 0 also where the source chooses.
func (s Scheme) ahead() int {
	n, _ := strings.CutPrefix(string(s), "ahead=")
	h, _ := strconv.Atoi(n)
	return h
}

// config is that of the source.
func (s Scheme) config() fec.Config {
	switch s {
	case Replay:
		return fec.Config{}
	case LeastBytes:
		return fec.Config{Goal: fec.LeastBytes}.WithDefaults()
	case LeastDelay:
		return fec.Config{Goal: fec.LeastDelay}.WithDefaults()
	}
	return fec.Config{Proactive: s.ahead()}.WithDefaults()
}

// minimum returns the least packets per data packet with which a scheme can repair everything; where the source chooses, any scheme.
func (s Scheme) minimum(c Cell) float64 {
	if s == Replay {
		return flow.ReplayCost(c.Loss, float64(c.Receivers))
	}
	return flow.ProactiveCost(groupSize, s.ahead(), c.Loss, float64(c.Receivers))
}

func parseScheme(text string) (Scheme, error) {
	s := Scheme(text)
	for _, k := range schemes {
		if s == k {
			return s, nil
		}
	}
	if h := s.ahead(); h > 0 && h <= groupSize && s == ahead(h) {
		return s, nil
	}
	return "", fmt.Errorf("%q is none of %v", text, schemes)
}

// parseSize reads a number of receivers like 1000 or 1k.
func parseSize(s string) (int, error) {
	digits, thousands := strings.CutSuffix(s, "k")
	n, err := strconv.Atoi(digits)
	if thousands {
		n *= 1000
	}
	if err == nil && (n < 1 || n > 100_000) {
		err = fmt.Errorf("%s is not between 1 and 100k", s)
	}
	return n, err
}

// sizeText is the reverse of parseSize.
func sizeText(n int) string {
	if n >= 1000 && n%1000 == 0 {
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}

func parseRTT(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && (d < 0 || d > 2*time.Second) {
		err = fmt.Errorf("%v is not between 0 and 2s", d)
	}
	return d, err
}

func parseLoss(s string) (float64, error) {
	p, err := strconv.ParseFloat(s, 64)
	if err == nil && !(p >= 0 && p <= 0.5) {
		err = fmt.Errorf("%s is not between 0 and 0.5", s)
	}
	return p, err
}

// String names the cell.
func (c Cell) String() string {
	s := fmt.Sprintf("%s receivers, loss %s %%, RTT %v", sizeText(c.Receivers), measuring.Short(100*c.Loss), c.RTT)
	if c.Data == 0 {
		s += ", bulk"
	}
	return s
}

// link reports whether the receivers are neighbours of the source, with hop limit 1.
func (c Cell) link() bool { return c.RTT <= time.Millisecond && c.Receivers <= 100 }

// spacing is the time between two messages. Bulk is twice what the limit lets through.
func (c Cell) spacing() time.Duration {
	if c.Data == 0 {
		return c.Rate.Duration(dataBytes / 2)
	}
	return c.Data.Duration(dataBytes)
}

// within returns how many groups begin in a time.
func (c Cell) within(d time.Duration) int {
	rate := c.Data
	if rate == 0 {
		rate = c.Rate
	}
	return int(math.Ceil(float64(rate.Bytes(d)) / (dataBytes * groupSize)))
}

// startup is how many groups count apart, and tail how many do not count at the end.
func (c Cell) startup() int { return c.within(time.Second) }
func (c Cell) tail() int    { return 2 + c.within(3*c.RTT) }

const (
	wantedLosses = 20_000
	leastGroups  = 48
	mostGroups   = 4000
)

// sized returns c with the number of groups that gives twenty thousand losses, within bounds.
func (c Cell) sized() Cell {
	c.Groups = leastGroups
	if c.Loss > 0 {
		c.Groups = min(max(int(wantedLosses/(c.Loss*float64(c.Receivers)*groupSize)), leastGroups), mostGroups)
	}
	return c
}
