package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// MaxBlock bounds a packet or block of a file, in bytes.
const MaxBlock = 1 << 20

// ErrFormat is what is no capture, or a broken one.
var ErrFormat = errors.New("not a capture: want a pcap or pcapng file")

// Stats counts what a Reader passed over.
type Stats struct {
	Packets   int // in the file, so far
	Other     int // neither UDP nor protocol 113
	Fragments int // of IP packets
	Cut       int // by the capture's snap length
}

// Reader reads a capture.
type Reader struct {
	r      *bufio.Reader
	order  binary.ByteOrder
	ng     bool
	link   uint32 // of a classic file
	nanos  bool
	ifaces []iface // of a pcapng section
	buf    []byte
	stats  Stats
}

// iface is an interface of a pcapng section: its link type and the unit of its times.
type iface struct {
	link uint32
	unit unit
}

// unit turns a count of ticks into a time.
type unit struct{ perSecond uint64 }

func (u unit) time(ticks uint64) time.Time {
	if u.perSecond == 0 {
		u.perSecond = 1e6
	}
	hi, lo := bits.Mul64(ticks%u.perSecond, 1e9)
	nanos, _ := bits.Div64(hi, lo, u.perSecond) // the remainder of perSecond times 1e9: it fits
	return time.Unix(int64(ticks/u.perSecond), int64(nanos)).UTC()
}

const (
	magicMicro   = 0xa1b2c3d4
	magicNano    = 0xa1b23c4d
	blockSection = 0x0a0d0d0a
	magicSection = 0x1a2b3c4d
	blockIface   = 1
	blockPacket  = 6
	maxIfaces    = 4096
)

// NewReader reads the head of a capture.
func NewReader(r io.Reader) (*Reader, error) {
	p := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	b, err := p.r.Peek(4)
	if err != nil {
		return nil, ErrFormat
	}
	if binary.BigEndian.Uint32(b) == blockSection {
		p.ng = true
		return p, nil
	}
	head, err := p.read(24)
	if err != nil {
		return nil, ErrFormat
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head) {
		case magicMicro:
			p.order = order
		case magicNano:
			p.order, p.nanos = order, true
		}
	}
	if p.order == nil {
		return nil, ErrFormat
	}
	p.link = p.order.Uint32(head[20:]) & 0x0fffffff
	return p, nil
}

// Stats returns what was counted so far.
func (p *Reader) Stats() Stats { return p.stats }

// read reads n bytes, which are valid until the next call.
func (p *Reader) read(n int) ([]byte, error) {
	if n > MaxBlock {
		return nil, fmt.Errorf("%w: a length of %d bytes", ErrFormat, n)
	}
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	_, err := io.ReadFull(p.r, p.buf[:n])
	return p.buf[:n], err
}

// Next returns the next UDP datagram or PGM packet; its payload is valid until the next call. At the end it returns io.EOF, and io.ErrUnexpectedEOF if the
// file ends within a packet.
func (p *Reader) Next() (Packet, error) {
	for {
		at, link, frame, err := p.frame()
		if err != nil {
			return Packet{}, err
		}
		if frame == nil {
			continue
		}
		p.stats.Packets++
		d, why := parse(link, frame)
		d.At = at
		switch why {
		case found:
			return d, nil
		case other:
			p.stats.Other++
		case fragment:
			p.stats.Fragments++
		case cut:
			p.stats.Cut++
		}
	}
}

// frame returns the next frame; nil for a block that holds none.
func (p *Reader) frame() (at time.Time, link uint32, b []byte, err error) {
	if p.ng {
		return p.block()
	}
	head, err := p.read(16)
	if err != nil {
		return at, 0, nil, err
	}
	seconds, part, size := p.order.Uint32(head), p.order.Uint32(head[4:]), p.order.Uint32(head[8:])
	if !p.nanos {
		part *= 1000
	}
	if size > MaxBlock {
		return at, 0, nil, fmt.Errorf("%w: a packet of %d bytes", ErrFormat, size)
	}
	b, err = p.read(int(size))
	if err != nil {
		return at, 0, nil, io.ErrUnexpectedEOF
	}
	return time.Unix(int64(seconds), int64(part)).UTC(), p.link, b, nil
}

// block reads a block of a pcapng file.
func (p *Reader) block() (at time.Time, link uint32, b []byte, err error) {
	head, err := p.r.Peek(12)
	if len(head) == 0 && err != nil {
		return at, 0, nil, io.EOF
	}
	if len(head) < 12 {
		return at, 0, nil, io.ErrUnexpectedEOF
	}
	section := binary.BigEndian.Uint32(head) == blockSection
	if section {
		switch uint32(magicSection) {
		case binary.LittleEndian.Uint32(head[8:]):
			p.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]):
			p.order = binary.BigEndian
		default:
			return at, 0, nil, ErrFormat
		}
		p.ifaces = nil
	}
	if p.order == nil {
		return at, 0, nil, ErrFormat
	}
	kind, size := p.order.Uint32(head), p.order.Uint32(head[4:])
	if size < 12 || size%4 != 0 || size > MaxBlock {
		return at, 0, nil, fmt.Errorf("%w: a block of %d bytes", ErrFormat, size)
	}
	b, err = p.read(int(size))
	if err != nil {
		return at, 0, nil, io.ErrUnexpectedEOF
	}
	body := b[8 : size-4]
	switch {
	case section:
	case kind == blockIface:
		if len(body) < 8 || len(p.ifaces) >= maxIfaces {
			return at, 0, nil, ErrFormat
		}
		p.ifaces = append(p.ifaces, iface{uint32(p.order.Uint16(body)), p.resolution(body[8:])})
	case kind == blockPacket:
		return p.packet(body)
	}
	return at, 0, nil, nil
}

// packet reads the body of an enhanced packet block.
func (p *Reader) packet(b []byte) (at time.Time, link uint32, frame []byte, err error) {
	if len(b) < 20 {
		return at, 0, nil, ErrFormat
	}
	i, size := p.order.Uint32(b), p.order.Uint32(b[12:])
	if int64(i) >= int64(len(p.ifaces)) || int64(size) > int64(len(b)-20) {
		return at, 0, nil, ErrFormat
	}
	f := p.ifaces[i]
	ticks := uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:]))
	return f.unit.time(ticks), f.link, b[20 : 20+size], nil
}

// resolution finds the unit of times among an interface's options: microseconds if it is not there.
func (p *Reader) resolution(b []byte) unit {
	const ifTsresol = 9
	for len(b) >= 4 {
		code, size := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		b = b[4:]
		if code == 0 || size > len(b) {
			break
		}
		if code == ifTsresol && size >= 1 {
			return unitOf(b[0])
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return unit{1e6}
}

// unitOf reads a resolution: a power of ten, or of two with the highest bit set.
func unitOf(v byte) unit {
	e := uint(v & 0x7f)
	if v&0x80 != 0 {
		return unit{1 << min(e, 62)}
	}
	n := uint64(1)
	for range min(e, 18) {
		n *= 10
	}
	return unit{n}
}
