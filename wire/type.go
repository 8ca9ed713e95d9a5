package wire

import "strconv"

// Type is the kind of a PGM packet: the low nibble of byte 4 of the header (RFC 3208, 8).
type Type uint8

// The packet types. TypeACK is not in the RFC; it belongs to PGMCC and has the number OpenPGM and Wireshark use.
const (
	TypeSPM   Type = 0x00 // source path message
	TypePOLL  Type = 0x01 // poll request
	TypePOLR  Type = 0x02 // poll response
	TypeODATA Type = 0x04 // original data
	TypeRDATA Type = 0x05 // repair data
	TypeNAK   Type = 0x08 // negative acknowledgement
	TypeNNAK  Type = 0x09 // null NAK
	TypeNCF   Type = 0x0A // NAK confirmation
	TypeSPMR  Type = 0x0C // SPM request
	TypeACK   Type = 0x0D // PGMCC acknowledgement
)

const types = 0x10 // one more than the largest type the nibble holds

var typeNames = [types]string{
	TypeSPM: "SPM", TypePOLL: "POLL", TypePOLR: "POLR", TypeODATA: "ODATA", TypeRDATA: "RDATA",
	TypeNAK: "NAK", TypeNNAK: "NNAK", TypeNCF: "NCF", TypeSPMR: "SPMR", TypeACK: "ACK",
}

// String gives the RFC's name of the type.
func (t Type) String() string {
	if t < types && typeNames[t] != "" {
		return typeNames[t]
	}
	return "Type(" + strconv.Itoa(int(t)) + ")"
}

// Upstream reports whether packets of this type travel towards the source. Their header names the ports the other way
// round: the destination port is the data-source port.
func (t Type) Upstream() bool {
	switch t {
	case TypeNAK, TypeNNAK, TypeSPMR, TypePOLR, TypeACK:
		return true
	}
	return false
}

// data reports whether packets of this type carry user data.
func (t Type) data() bool { return t == TypeODATA || t == TypeRDATA }

// Flags is the options byte of the header. The values are those that every implementation uses; the RFC's words number
// the bits from the other end.
type Flags uint8

// The bits of the options byte.
const (
	FlagPresent   Flags = 0x01 // options follow the type's own fields
	FlagNetwork   Flags = 0x02 // at least one of them is for network elements
	FlagVarPktLen Flags = 0x40 // with FlagParity: the packets of the transmission group differ in length
	FlagParity    Flags = 0x80 // parity packet, parity NAK or parity NCF; in POLR: repairs with parity
)
