package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rmcast/rmcast/fec"
)

// Scheme is one way to bring the same bytes to every receiver. Beside the constants there is "proactive=h": h parity packets go with
// each group of 64 before anybody asks, and more on demand.
type Scheme string

const (
	Rmcast     Scheme = "rmcast" // this library as it comes: one multicast stream, repaired by parity on demand
	FanOut     Scheme = "tcp"    // one TCP connection to each receiver
	Replay     Scheme = "replay" // rmcast without parity: what was lost is sent again
	Demand     Scheme = "demand" // as Rmcast, by the name it has among the others
	LeastBytes Scheme = "bytes"  // rmcast that decides for itself, for the fewest bytes
	LeastDelay Scheme = "delay"  // the same for the least delay
)

const proactivePrefix = "proactive="

// repairSchemes are what -fec all measures.
var repairSchemes = []Scheme{Replay, Demand, proactivePrefix + "8", LeastBytes, LeastDelay}

// parseScheme reads an element of -fec.
func parseScheme(text string) (Scheme, error) {
	s := Scheme(text)
	cfg, ok := s.fec()
	if !ok || s == Rmcast || s == FanOut {
		return s, fmt.Errorf("%q is none of replay, demand, proactive=8 (or another number), bytes and delay", text)
	}
	return s, cfg.Validate()
}

// multicast reports whether s is this library in one of its ways.
func (s Scheme) multicast() bool { return s != FanOut }

// fec is what the source is configured with; false if there is no such scheme, or no fec in it.
func (s Scheme) fec() (fec.Config, bool) {
	switch s {
	case Rmcast, Demand:
		return fec.Config{}, true
	case Replay:
		return fec.Config{Off: true}, true
	case LeastBytes:
		return fec.Config{Goal: fec.LeastBytes}, true
	case LeastDelay:
		return fec.Config{Goal: fec.LeastDelay}, true
	}
	number, ok := strings.CutPrefix(string(s), proactivePrefix)
	h, err := strconv.Atoi(number)
	return fec.Config{Proactive: h}, ok && err == nil && h > 0
}

// Class is the scheme's name in style sheets.
func (s Scheme) Class() string {
	name, _, _ := strings.Cut(string(s), "=")
	return name
}

// multicastOf returns those of the schemes that are multicast.
func multicastOf(schemes []Scheme) []Scheme {
	var out []Scheme
	for _, s := range schemes {
		if s.multicast() {
			out = append(out, s)
		}
	}
	return out
}
