package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// captured is a packet that was read back.
type captured struct {
	id        int
	at        time.Time
	in        bool
	multicast bool
	dropped   uint64
	length    int // of the packet, however much of it is there
	from, to  netip.AddrPort
	hops      uint8
	raw       bool
	payload   []byte
}

// contents is what a file holds, read by the letter of the format and not by what block.go has.
type contents struct {
	interfaces []string // name, description
	packets    []captured
	received   map[int]uint64
	dropped    map[int]uint64
	comments   []string
}

// read reads a capture and checks everything in it that can be checked.
func read(b []byte) (*contents, error) {
	c := &contents{received: map[int]uint64{}, dropped: map[int]uint64{}}
	for n := 0; len(b) > 0; n++ {
		if len(b) < 12 {
			return c, fmt.Errorf("block %d: %d bytes", n, len(b))
		}
		typ, length := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if length%4 != 0 || length < 12 || int(length) > len(b) || binary.LittleEndian.Uint32(b[length-4:]) != length {
			return c, fmt.Errorf("block %d: type %#x, length %d of %d", n, typ, length, len(b))
		}
		if err := c.block(typ, b[8:length-4]); err != nil {
			return c, fmt.Errorf("block %d: type %#x: %w", n, typ, err)
		}
		if n == 0 && typ != 0x0a0d0d0a {
			return c, errors.New("no section header")
		}
		b = b[length:]
	}
	return c, nil
}

func (c *contents) block(typ uint32, b []byte) error {
	le := binary.LittleEndian
	switch typ {
	case 0x0a0d0d0a:
		if le.Uint32(b) != 0x1a2b3c4d || le.Uint16(b[4:]) != 1 || le.Uint16(b[6:]) != 0 {
			return errors.New("not version 1.0, little endian")
		}
		_, err := options(b[16:])
		return err
	case 1:
		o, err := options(b[8:])
		if err != nil || le.Uint16(b) != 101 || string(o[9]) != "\x09" {
			return fmt.Errorf("link type %d, options %v: %v", le.Uint16(b), o, err)
		}
		c.interfaces = append(c.interfaces, string(o[2])+", "+string(o[3]))
		return nil
	case 5:
		o, err := options(b[12:])
		if err != nil {
			return err
		}
		id := int(le.Uint32(b))
		c.received[id], c.dropped[id] = le.Uint64(o[4]), le.Uint64(o[5])
		if o[1] != nil {
			c.comments = append(c.comments, string(o[1]))
		}
		return nil
	case 6:
		return c.packet(b)
	}
	return errors.New("unknown")
}

func options(b []byte) (map[uint16][]byte, error) {
	o := map[uint16][]byte{}
	for {
		if len(b) < 4 {
			return o, errors.New("options without an end")
		}
		code, length := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if code == 0 {
			if len(b) != 4 || length != 0 {
				return o, errors.New("something after the last option")
			}
			return o, nil
		}
		padded := (length + 3) &^ 3
		if len(b) < 4+padded {
			return o, fmt.Errorf("option %d of %d bytes", code, length)
		}
		o[code] = b[4 : 4+length]
		b = b[4+padded:]
	}
}

func (c *contents) packet(b []byte) error {
	le := binary.LittleEndian
	p := captured{id: int(le.Uint32(b)), at: time.Unix(0, int64(le.Uint32(b[4:]))<<32|int64(le.Uint32(b[8:]))), length: int(le.Uint32(b[16:]))}
	if p.id >= len(c.interfaces) {
		return fmt.Errorf("interface %d of %d", p.id, len(c.interfaces))
	}
	here := int(le.Uint32(b[12:]))
	data := b[20 : 20+here]
	o, err := options(b[20+(here+3)&^3:])
	if err != nil {
		return err
	}
	flags := le.Uint32(o[2])
	p.in, p.multicast = flags&3 == 1, flags>>2&7 == 2
	if d := o[4]; d != nil {
		p.dropped = le.Uint64(d)
	}
	if here == p.length {
		if err := p.parse(data); err != nil {
			return err
		}
		if p.multicast != p.to.Addr().IsMulticast() {
			return fmt.Errorf("to %v, flags %#x", p.to, flags)
		}
	}
	c.packets = append(c.packets, p)
	return nil
}

// parse takes the headers off, and checks lengths and checksums.
func (p *captured) parse(b []byte) error {
	be := binary.BigEndian
	var pseudo []byte
	var protocol byte
	var from, to netip.Addr
	switch b[0] {
	case 0x45:
		if int(be.Uint16(b[2:])) != len(b) || internet(b[:20]) != 0xffff {
			return fmt.Errorf("IPv4 header % x of %d bytes", b[:20], len(b))
		}
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.hops, protocol, pseudo, b = b[8], b[9], b[12:20], b[20:]
	case 0x60:
		if int(be.Uint16(b[4:])) != len(b)-40 {
			return fmt.Errorf("IPv6 header % x of %d bytes", b[:40], len(b))
		}
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		protocol, p.hops, pseudo, b = b[6], b[7], b[8:40], b[40:]
	default:
		return fmt.Errorf("first byte %#x", b[0])
	}
	if p.raw = protocol == 113; p.raw {
		p.from, p.to, p.payload = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0), b
		return nil
	}
	all := bytes.Join([][]byte{pseudo, {0, 0, b[4], b[5], 0, 0, 0, protocol}, b}, nil)
	if protocol != 17 || int(be.Uint16(b[4:])) != len(b) || internet(all) != 0xffff || be.Uint16(b[6:]) == 0 {
		return fmt.Errorf("protocol %d, UDP header % x of %d bytes", protocol, b[:8], len(b))
	}
	p.from, p.to, p.payload = netip.AddrPortFrom(from, be.Uint16(b)), netip.AddrPortFrom(to, be.Uint16(b[2:])), b[8:]
	return nil
}

// internet is RFC 1071's sum, a word at a time: 0xffff over what holds its own checksum.
func internet(b []byte) uint16 {
	var n uint32
	for i := range b {
		n += uint32(b[i]) << (8 * (1 - i%2))
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
