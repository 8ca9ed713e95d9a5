package fec

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/rmcast/rmcast/internal/testvec"
)

// What OpenPGM sent, in groups of four: data packets by number, and the parity packets of group 4 by index, of payloads alone.
func captured(t *testing.T, name string) (data, parity map[uint32][]byte) {
	const (
		odata, rdata = 0x04, 0x05
		parityFlag   = 0x80
	)
	data, parity = map[uint32][]byte{}, map[uint32][]byte{}
	for _, datagram := range testvec.Load(name) {
		b := datagram.Payload
		if len(b) < 24 || b[4] != odata && b[4] != rdata {
			continue
		}
		sqn, payload := binary.BigEndian.Uint32(b[16:]), b[24:]
		switch {
		case len(payload) != int(binary.BigEndian.Uint16(b[14:])):
			t.Fatalf("packet %d: TSDU length %d, but %d bytes", sqn, binary.BigEndian.Uint16(b[14:]), len(payload))
		case b[5]&parityFlag == 0:
			data[sqn] = payload
		case sqn&^3 == 4:
			parity[sqn&3] = payload
		}
	}
	return data, parity
}

func TestOpenPGM(t *testing.T) {
	data, parity := captured(t, "04-fec-parity-nak")
	if len(data) != 24 || len(parity) != 2 {
		t.Fatalf("%d data and %d parity packets, want 24 and 2", len(data), len(parity))
	}
	g := group{NewCode(4), [][]byte{data[4], data[5], data[6], data[7]}}
	restoreOpenPGM(t, g, []Parity{{0, 4}, {1, 4}}, [][]byte{parity[0], parity[1]},
		[][]uint8{{0}, {1}, {2}, {3}, {0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}})
}

// With variable lengths each packet is padded with zeros to the longest, and its own length comes after (RFC 3208, section 11; in
// the byte order of the machine that sent it, where the RFC means the network's).
func TestOpenPGMVariableLength(t *testing.T) {
	data, parity := captured(t, "05-fec-parity-varlen")
	if len(parity) != 1 || len(parity[0]) != 77 {
		t.Fatalf("parity packets of group 4: %x, want one of 77 bytes", parity)
	}
	g := group{NewCode(4), make([][]byte, 4)}
	for j := range g.data {
		b := data[uint32(4+j)]
		if want := 60 + 5*j; len(b) != want {
			t.Fatalf("packet %d has %d bytes, want %d", 4+j, len(b), want)
		}
		padded := make([]byte, 75)
		copy(padded, b)
		g.data[j] = binary.LittleEndian.AppendUint16(padded, uint16(len(b)))
	}
	restoreOpenPGM(t, g, []Parity{{0, 4}}, [][]byte{parity[0]}, [][]uint8{{0}, {1}, {2}, {3}})
}

func restoreOpenPGM(t *testing.T, g group, parity []Parity, packets [][]byte, losses [][]uint8) {
	t.Helper()
	for i, p := range parity {
		if got := g.parity(p); !bytes.Equal(got, packets[i]) {
			t.Errorf("parity packet %d is %x, OpenPGM's %x", i, got, packets[i])
		}
	}
	for _, missing := range losses {
		for first := range parity { // also by the second parity packet alone, where one is enough
			order := slices.Concat(parity[first:], parity[:first])
			sent := slices.Concat(packets[first:], packets[:first])
			var d Decoder
			if !d.Solve(g.code, missing, order) {
				t.Fatalf("%v does not restore %v", order, missing)
			}
			for x, got := range g.restore(&d, missing, order, sent) {
				if want := g.data[missing[x]]; !bytes.Equal(got, want) {
					t.Errorf("missing %v, parity %v: packet %d is %x, OpenPGM sent %x", missing, order, missing[x], got, want)
				}
			}
		}
	}
}
