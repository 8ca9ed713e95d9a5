package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/internal/testvec"
)

// refused lists every packet of the captures that Decode refuses: all are RDATA with a checksum that OpenPGM got wrong.
var refused = map[string]int{
	"04-fec-parity-nak":          3, // parity RDATA: ports and checksum are uninitialised memory
	"05-fec-parity-varlen":       1, // the same
	"06-fec-parity-fragment":     1, // the same
	"10b-pgmcc-startup-deadlock": 4, // RDATA for packets not yet sent: summed over the header alone
}

// Every packet of the captures decodes, but for those above; and what we would send for what it says is, byte for byte, what
// was sent, but for OpenPGM's junk in TLV byte 2 (see clean) and for the NAK without checksum, to which we give one.
func TestCaptures(t *testing.T) {
	var unsummed, junk, total int
	for _, c := range testvec.Captures() {
		bad := 0
		for i, d := range c.Datagrams {
			total++
			p, err := decoded(d.Payload)
			if errors.Is(err, ErrChecksum) && Type(d.Payload[4]) == TypeRDATA {
				bad++
				continue
			}
			if err != nil {
				t.Errorf("%s, packet %d: %v", c.Name, i, err)
				continue
			}
			want := d.Payload
			if c := clean(want); !bytes.Equal(c, want) {
				if binary.BigEndian.Uint16(want[6:]) == 0 {
					unsummed++
				} else {
					junk++
				}
				want = c
			}
			if got := p.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("%s, packet %d:\ngot  %x\nwant %x", c.Name, i, got, want)
			}
		}
		if bad != refused[c.Name] {
			t.Errorf("%s: %d packets with a wrong checksum, want %d", c.Name, bad, refused[c.Name])
		}
	}
	if unsummed != 1 {
		t.Errorf("%d packets without checksum, want 1", unsummed)
	}
	t.Logf("%d packets, %d of them with junk in an option", total, junk)
}

// OpenPGM's parity RDATA is refused for its checksum only: with a good one it decodes, the encoded fragment included.
func TestCapturedParity(t *testing.T) {
	for _, c := range []struct {
		name    string
		flags   Flags
		options OptionSet
		bytes   int
	}{
		{"04-fec-parity-nak", FlagParity, 0, 60},
		{"05-fec-parity-varlen", FlagParity | FlagVarPktLen, 0, 77},
		{"06-fec-parity-fragment", FlagParity | FlagVarPktLen | FlagPresent, OptionSet(0).With(OptFragment), 1426},
	} {
		i := slices.IndexFunc(testvec.Load(c.name), func(d testvec.Datagram) bool { return Type(d.Payload[4]) == TypeRDATA })
		b := resum(slices.Clone(testvec.Load(c.name)[i].Payload))
		p, err := decoded(b)
		if err != nil || p.Flags != c.flags || p.Options.Set != c.options || len(p.Payload) != c.bytes {
			t.Errorf("%s: flags %#x, options %#x, %d bytes (%v)", c.name, p.Flags, p.Options.Set, len(p.Payload), err)
		}
		if c.options != 0 && !bytes.Equal(p.Options.Encoded[:], b[HeadData+4+3:HeadData+4+16]) {
			t.Errorf("%s: encoded fragment %x", c.name, p.Options.Encoded)
		}
	}
}

// fieldBytes covers the fields and options of every captured packet; behind are payloads and the numbers of long lists.
const fieldBytes = 96

// changes returns what to change byte i of a packet by: to every other value among the fields, bit by bit in the payload and
// under the race detector, which makes each of the changes cost 30 times as much.
func changes(i int) []byte {
	if i >= fieldBytes || invariant.Enabled {
		return everyChange[:8]
	}
	return everyChange
}

var everyChange = func() []byte {
	all := []byte{1, 2, 4, 8, 16, 32, 64, 128}
	for x := range 256 {
		if x&(x-1) != 0 {
			all = append(all, byte(x))
		}
	}
	return all
}()

// Every packet cut anywhere is refused, and so is every packet with one byte changed, for the sum tells; but a control packet
// whose checksum becomes 0 has none.
func TestCapturesDamaged(t *testing.T) {
	var p Packet
	for _, b := range distinct() {
		if p.Decode(b) != nil || binary.BigEndian.Uint16(b[6:]) == 0 {
			continue
		}
		b := slices.Clone(b)
		for n := range b {
			if p.Decode(b[:n:n]) == nil {
				t.Fatalf("cut at %d: accepted\n%x", n, b)
			}
		}
		for i, was := range b {
			for _, x := range changes(i) {
				b[i] = was ^ x
				if p.Decode(b) == nil && binary.BigEndian.Uint16(b[6:]) != 0 {
					t.Fatalf("byte %d is %#x, was %#x: accepted\n%x", i, b[i], was, b)
				}
			}
			b[i] = was
		}
	}
}

// The same with a checksum that is right, which is what an attacker sends. A cut packet is refused still; a changed one may
// mean something, and then it can be appended and means the same again.
func TestCapturesForged(t *testing.T) {
	var p, q Packet
	var out, again []byte
	seen := map[string]bool{}
	for _, b := range distinct() {
		kind := string(b[4:6]) + string(b[14:16]) // packets that differ in nothing but numbers
		if seen[kind] {
			continue
		}
		seen[kind] = true
		for n := HeadCommon; n < len(b); n++ {
			if p.Decode(resum(slices.Clone(b[:n]))) == nil {
				t.Fatalf("cut at %d of %d: accepted\n%x", n, len(b), b)
			}
		}
		b := slices.Clone(b)
		for i, was := range b[:min(len(b), fieldBytes)] {
			for _, x := range changes(i) {
				b[i] = was ^ x
				b[6], b[7] = 0, 0
				binary.BigEndian.PutUint16(b[6:], ^Sum(b))
				if p.Decode(b) != nil {
					continue
				}
				out = p.Append(out[:0])
				if err := q.Decode(out); err != nil {
					t.Fatalf("byte %d is %#x: appended as %x: %v", i, b[i], out, err)
				}
				if again = q.Append(again[:0]); !bytes.Equal(again, out) {
					t.Fatalf("byte %d is %#x: appended as %x, then %x", i, b[i], out, again)
				}
			}
			b[i] = was
		}
	}
}
