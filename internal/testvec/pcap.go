package testvec

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"
)

//go:embed testdata/*.pcap
var files embed.FS

// Datagram is one UDP datagram of a capture.
type Datagram struct {
	At       time.Duration // since the capture's first frame
	From, To netip.AddrPort
	Payload  []byte
}

// Capture is the datagrams of one file, in order.
type Capture struct {
	Name      string // the file's name without .pcap
	Datagrams []Datagram
}

// Captures returns every embedded capture, by name. It panics if one cannot be read: they are part of the program.
func Captures() []Capture {
	entries, err := fs.ReadDir(files, "testdata")
	if err != nil {
		panic("BUG: testvec: " + err.Error())
	}
	captures := make([]Capture, 0, len(entries))
	for _, e := range entries {
		name := e.Name()[:len(e.Name())-len(".pcap")]
		captures = append(captures, Capture{name, Load(name)})
	}
	return captures
}

// Load returns the datagrams of one embedded capture, named without .pcap. It panics if there is no such file.
func Load(name string) []Datagram {
	b, err := files.ReadFile("testdata/" + name + ".pcap")
	if err == nil {
		var d []Datagram
		if d, err = Parse(b); err == nil {
			return d
		}
	}
	panic("BUG: testvec: " + name + ": " + err.Error())
}

const (
	fileHeader   = 24
	recordHeader = 16
	ethernet     = 1
)

// Parse reads a classic pcap file of Ethernet frames, of either byte order, with times in µs or ns. Payloads are views into b.
func Parse(b []byte) ([]Datagram, error) {
	if len(b) < fileHeader {
		return nil, errors.New("testvec: not a pcap file")
	}
	var order binary.ByteOrder = binary.LittleEndian
	unit := time.Microsecond
	switch magic := order.Uint32(b); magic {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		unit = time.Nanosecond
	case 0xd4c3b2a1:
		order = binary.BigEndian
	case 0x4d3cb2a1:
		order, unit = binary.BigEndian, time.Nanosecond
	default:
		return nil, fmt.Errorf("testvec: magic %#x is no classic pcap", magic)
	}
	if link := order.Uint32(b[20:]); link != ethernet {
		return nil, fmt.Errorf("testvec: link type %d is not Ethernet", link)
	}
	var datagrams []Datagram
	var start time.Duration
	b = b[fileHeader:]
	for n := 0; len(b) > 0; n++ {
		if len(b) < recordHeader {
			return nil, fmt.Errorf("testvec: frame %d is cut off", n)
		}
		at := time.Duration(order.Uint32(b))*time.Second + time.Duration(order.Uint32(b[4:]))*unit
		captured, whole := order.Uint32(b[8:]), order.Uint32(b[12:])
		b = b[recordHeader:]
		if captured != whole || uint64(captured) > uint64(len(b)) {
			return nil, fmt.Errorf("testvec: frame %d is cut off", n)
		}
		if n == 0 {
			start = at
		}
		d, ok, err := frame(b[:captured])
		if err != nil {
			return nil, fmt.Errorf("testvec: frame %d: %w", n, err)
		}
		if ok {
			d.At = at - start
			datagrams = append(datagrams, d)
		}
		b = b[captured:]
	}
	return datagrams, nil
}

var (
	errShort    = errors.New("header is cut off")
	errFragment = errors.New("IP fragment")
)

const protocolUDP = 17

// frame finds the datagram in an Ethernet frame; ok is false if it holds something else.
func frame(b []byte) (d Datagram, ok bool, err error) {
	if len(b) < 14 {
		return d, false, errShort
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	var from, to netip.Addr
	switch kind {
	case 0x0800:
		if len(b) < 20 {
			return d, false, errShort
		}
		head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || total < head || total > len(b) {
			return d, false, errShort
		}
		if b[9] != protocolUDP {
			return d, false, nil
		}
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return d, false, errFragment
		}
		from, to, b = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[head:total]
	case 0x86dd:
		if len(b) < 40 {
			return d, false, errShort
		}
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if total > len(b) {
			return d, false, errShort
		}
		if b[6] != protocolUDP {
			return d, false, nil
		}
		from, to, b = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[40:total]
	default:
		return d, false, nil
	}
	if len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return d, false, errShort
	}
	d.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b))
	d.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:]))
	d.Payload = b[8:]
	return d, true, nil
}
