package carousel

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

// ID names an object: the first 8 bytes of the SHA-256 of its manifest.
type ID [8]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// kind is what a packet carries.
type kind uint8

const (
	kindRoot     kind = 1
	kindManifest kind = 2
	kindData     kind = 3
	kindOffer    kind = 4
	kindRequest  kind = 5 // of receivers; never in a carousel's own session
)

// headBytes is the length of every packet's head. With a symbol of 1408 bytes a packet is 1428 bytes long, the longest message that goes into one
// packet of PGM at an MTU of 1500 over IPv6 (wire.Room).
//
//	 0         1      2        4       8            16        20
//	+---------+------+--------+-------+------------+---------+----------
//	| version | kind | symbol | block | object id  | CRC-32C | payload
//	+---------+------+--------+-------+------------+---------+----------
//
// The checksum is over all the rest. It catches what UDP's does not, so that one bad packet does not cost a block, and it is what marks a symbol on disk.
const headBytes = 20

// version is the first byte of each packet: other messages of the session are not mistaken for packets of ours.
const version = 0xc1

// head is the head of a packet.
type head struct {
	kind   kind
	symbol int // 0 to 65535
	block  int // 0 to 2^32-1
	id     ID
	sum    uint32 // the checksum; appendPacket does not look at it
}

var (
	errForeign  = errors.New("carousel: not a packet of a carousel")
	errChecksum = errors.New("carousel: wrong checksum")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendPacket appends a packet to b.
func appendPacket(b []byte, h head, payload []byte) []byte {
	at := len(b)
	b = append(b, version, byte(h.kind))
	b = binary.BigEndian.AppendUint16(b, uint16(h.symbol))
	b = binary.BigEndian.AppendUint32(b, uint32(h.block))
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint32(b, checksum(b[at:at+16], payload))
	return append(b, payload...)
}

func checksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload)
}

// parsePacket returns a packet's head and payload, which is a part of b.
func parsePacket(b []byte) (h head, payload []byte, err error) {
	if len(b) < headBytes || b[0] != version {
		return head{}, nil, errForeign
	}
	h = head{
		kind:   kind(b[1]),
		symbol: int(binary.BigEndian.Uint16(b[2:])),
		block:  int(binary.BigEndian.Uint32(b[4:])),
		id:     ID(b[8:16]),
		sum:    binary.BigEndian.Uint32(b[16:]),
	}
	payload = b[headBytes:]
	if checksum(b[:16], payload) != h.sum {
		return head{}, nil, errChecksum
	}
	if h.kind < kindRoot || h.kind > kindRequest || h.block < 0 {
		return head{}, nil, errForeign
	}
	return h, payload, nil
}

// mark is what says on disk that a data symbol is there: the checksum of its packet, but never 0.
func mark(id ID, block, symbol int, payload []byte) uint32 {
	var b [headBytes]byte
	p := appendPacket(b[:0], head{kind: kindData, symbol: symbol, block: block, id: id}, nil)
	return max(1, checksum(p[:16], payload))
}

// Root is what the packets that announce an object say of it.
type Root struct {
	Name     string   // of the file or directory, one path element
	Bytes    int64    // of all files together
	Manifest [32]byte // SHA-256 of the manifest

	manifestBytes int
	code          code
}

// ID returns the object's id.
func (r *Root) ID() ID { return ID(r.Manifest[:8]) }

// code is how an object is cut up.
type code struct {
	symbolBytes  int // a multiple of fec.BulkMultiple, up to 65472
	blockSymbols int // most data symbols of a block, up to fec.MaxBulk
}

const rootBytes = 32 + 8 + 4 + 2 + 2 // before the name

func (r *Root) append(b []byte) []byte {
	b = append(b, r.Manifest[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Bytes))
	b = binary.BigEndian.AppendUint32(b, uint32(r.manifestBytes))
	b = binary.BigEndian.AppendUint16(b, uint16(r.code.symbolBytes))
	b = binary.BigEndian.AppendUint16(b, uint16(r.code.blockSymbols))
	return append(b, r.Name...)
}

// parseRoot reads the payload of a root packet. What it returns is within the limits, and belongs to the id.
func parseRoot(id ID, b []byte, lim *limits) (Root, error) {
	if len(b) <= rootBytes {
		return Root{}, fmt.Errorf("%w: root of %d bytes", ErrInvalid, len(b))
	}
	r := Root{
		Manifest:      [32]byte(b[:32]),
		Bytes:         int64(binary.BigEndian.Uint64(b[32:])),
		manifestBytes: int(binary.BigEndian.Uint32(b[40:])),
		code:          code{int(binary.BigEndian.Uint16(b[44:])), int(binary.BigEndian.Uint16(b[46:]))},
	}
	if r.ID() != id {
		return Root{}, fmt.Errorf("%w: the root of another object", ErrInvalid)
	}
	name := b[rootBytes:]
	if len(name) > maxName || !validName(string(name)) {
		return Root{}, fmt.Errorf("%w: name %q", ErrInvalid, name[:min(len(name), maxName)])
	}
	r.Name = string(name)
	if err := lim.checkObject(r.Bytes, r.code); err != nil {
		return Root{}, err
	}
	return r, lim.checkManifest(r.manifestBytes, r.code.symbolBytes)
}
