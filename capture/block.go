package capture

import (
	"encoding/binary"
	"time"
)

// The blocks of pcapng (draft-ietf-opsawg-pcapng) that are written: a section header, a description of each conn as an
// interface, a packet each, and at the end statistics of each interface.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d
	linkTypeRaw    = 101 // IPv4 or IPv6 from the first byte on

	optEnd     = 0
	optComment = 1

	sectionApplication = 4
	interfaceName      = 2
	interfaceDescribed = 3
	interfaceTime      = 9 // resolution: the negative power of ten
	packetFlags        = 2
	packetDropCount    = 4
	statisticsReceived = 4
	statisticsDropped  = 5

	flagsIn, flagsOut            = 1, 2
	flagsUnicast, flagsMulticast = 1 << 2, 2 << 2
)

var order = binary.LittleEndian

// begin appends the head of a block; end fills in its length, at both ends. start is what len(b) was before begin.
func begin(b []byte, typ uint32) []byte { return order.AppendUint32(order.AppendUint32(b, typ), 0) }

// beginOf begins a block about an interface at an instant.
func beginOf(b []byte, typ uint32, id int, at time.Time) []byte {
	b = order.AppendUint32(begin(b, typ), uint32(id))
	ns := uint64(at.UnixNano())
	return order.AppendUint32(order.AppendUint32(b, uint32(ns>>32)), uint32(ns))
}

func end(b []byte, start int) []byte {
	n := uint32(len(b) - start + 4)
	order.PutUint32(b[start+4:], n)
	return order.AppendUint32(b, n)
}

// pad appends zeros up to a multiple of 4 of the n bytes that came before.
func pad(b []byte, n int) []byte { return append(b, 0, 0, 0)[:len(b)+(4-n%4)%4] }

func option(b []byte, code uint16, value string) []byte {
	b = order.AppendUint16(order.AppendUint16(b, code), uint16(len(value)))
	return pad(append(b, value...), len(value))
}

func option64(b []byte, code uint16, value uint64) []byte {
	return order.AppendUint64(order.AppendUint16(order.AppendUint16(b, code), 8), value)
}

func endOptions(b []byte) []byte { return order.AppendUint32(b, optEnd) }

func appendSection(b []byte) []byte {
	start := len(b)
	b = begin(b, blockSection)
	b = order.AppendUint32(b, byteOrderMagic)
	b = order.AppendUint32(b, 1)       // version 1.0
	b = order.AppendUint64(b, 1<<64-1) // the section's length is not said
	b = option(b, sectionApplication, "rmcast")
	return end(endOptions(b), start)
}

func appendInterface(b []byte, name, description string, snapBytes int) []byte {
	start := len(b)
	b = begin(b, blockInterface)
	b = order.AppendUint32(b, linkTypeRaw) // 16 bits, and 16 reserved
	b = order.AppendUint32(b, uint32(snapBytes))
	b = option(b, interfaceName, name)
	b = option(b, interfaceDescribed, description)
	b = option(b, interfaceTime, "\x09") // nanoseconds
	return end(endOptions(b), start)
}

// appendPacket appends a packet as f makes it; dropped is how many of the interface were not written since the one before.
func appendPacket(b []byte, id int, at time.Time, flags uint32, dropped uint64, p *packet, snapBytes int) []byte {
	start := len(b)
	b = beginOf(b, blockPacket, id, at)
	length := p.length()
	captured := min(length, snapBytes)
	b = order.AppendUint32(b, uint32(captured))
	b = order.AppendUint32(b, uint32(length))
	first := len(b)
	b = p.append(b)
	b = pad(b[:first+captured], captured)
	b = order.AppendUint32(order.AppendUint16(order.AppendUint16(b, packetFlags), 4), flags)
	if dropped > 0 {
		b = option64(b, packetDropCount, dropped)
	}
	return end(endOptions(b), start)
}

func appendStatistics(b []byte, id int, at time.Time, received, dropped uint64, comment string) []byte {
	start := len(b)
	b = beginOf(b, blockStatistics, id, at)
	if comment != "" {
		b = option(b, optComment, comment)
	}
	b = option64(b, statisticsReceived, received)
	b = option64(b, statisticsDropped, dropped)
	return end(endOptions(b), start)
}
