package wire

import (
	"crypto/md5"
	"errors"
	"strconv"
	"strings"
)

// GSI is the global source identifier: six bytes that a source keeps for a session (RFC 3208, 8).
type GSI [6]byte

// NewGSI derives an identifier from a name: the last six bytes of its MD5 sum, as OpenPGM and ZeroMQ do. The sum is no
// protection; it only spreads names.
func NewGSI(name string) GSI {
	sum := md5.Sum([]byte(name))
	return GSI(sum[10:])
}

// String gives the six bytes in decimal, joined by dots.
func (g GSI) String() string { return string(g.append(nil)) }

func (g GSI) append(b []byte) []byte {
	for i, x := range g {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(x), 10)
	}
	return b
}

// TSI is the transport session identifier: the source's GSI and its data-source port. It names a session in every packet
// of either direction. It is comparable and meant as a map key.
type TSI struct {
	GSI  GSI
	Port uint16
}

// String gives the form that OpenPGM prints: six decimal bytes and the port, joined by dots, as 195.206.205.234.128.253.1000.
func (t TSI) String() string { return string(t.append(nil)) }

func (t TSI) append(b []byte) []byte {
	b = append(t.GSI.append(b), '.')
	return strconv.AppendUint(b, uint64(t.Port), 10)
}

var errTSI = errors.New("wire: a TSI is six bytes and a port in decimal, joined by dots")

// ParseTSI reads what TSI.String writes.
func ParseTSI(s string) (TSI, error) {
	var t TSI
	rest := s
	for i := range t.GSI {
		field, after, ok := strings.Cut(rest, ".")
		n, err := strconv.ParseUint(field, 10, 8)
		if !ok || err != nil {
			return TSI{}, errTSI
		}
		t.GSI[i], rest = byte(n), after
	}
	port, err := strconv.ParseUint(rest, 10, 16)
	if err != nil {
		return TSI{}, errTSI
	}
	t.Port = uint16(port)
	return t, nil
}

// MarshalText implements encoding.TextMarshaler with the form of String.
func (t TSI) MarshalText() ([]byte, error) { return t.append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseTSI.
func (t *TSI) UnmarshalText(b []byte) error {
	v, err := ParseTSI(string(b))
	if err == nil {
		*t = v
	}
	return err
}
