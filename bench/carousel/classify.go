package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// classify says what sort of packet an Ethernet frame carries.
func classify(b []byte) string {
	if len(b) < etherHeader {
		return "short frame"
	}
	switch t, b := binary.BigEndian.Uint16(b[12:]), b[etherHeader:]; t {
	case 0x0806:
		return "ARP"
	case 0x0800:
		return classify4(b)
	case 0x86dd:
		return classify6(b)
	default:
		return fmt.Sprintf("Ethernet type %#04x", t)
	}
}

const (
	etherHeader = 14

	protocolICMP = 1
	protocolIGMP = 2
	protocolTCP  = 6
	protocolUDP  = 17
	protocolPGM  = 113
)

var protocols = map[byte]string{protocolICMP: "ICMP", protocolIGMP: "IGMP", protocolTCP: "TCP", protocolUDP: "UDP", protocolPGM: "PGM"}

func protocol(n byte) string {
	if s := protocols[n]; s != "" {
		return s
	}
	return fmt.Sprintf("protocol %d", n)
}

func classify4(b []byte) string {
	if len(b) < 20 {
		return "short IPv4"
	}
	return protocol(b[9])
}

// classify6 passes over the hop-by-hop options that MLD has.
func classify6(b []byte) string {
	const header, hopByHop, icmp6 = 40, 0, 58
	if len(b) < header {
		return "short IPv6"
	}
	next, b := b[6], b[header:]
	if next == hopByHop {
		if len(b) < 2 || len(b) < 8*(1+int(b[1])) {
			return "short IPv6"
		}
		next, b = b[0], b[8*(1+int(b[1])):]
	}
	if next != icmp6 {
		return protocol(next)
	}
	if len(b) == 0 {
		return "short IPv6"
	}
	switch t := b[0]; {
	case t >= 130 && t <= 132 || t == 143:
		return "MLD"
	case t >= 133 && t <= 137:
		return "NDP"
	default:
		return fmt.Sprintf("ICMPv6 type %d", t)
	}
}

// kernels are what a kernel sends for itself, whatever the process does.
var kernels = []string{"ARP", "IGMP", "MLD", "NDP"}

// loud counts what is not the kernel's.
func loud(sent map[string]int) (n int) {
	for kind, k := range sent {
		if !slices.Contains(kernels, kind) {
			n += k
		}
	}
	return n
}

// listed tells how many there were of each.
func listed(sent map[string]int) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(sent)) {
		all = append(all, fmt.Sprintf("%d %s", sent[kind], kind))
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
