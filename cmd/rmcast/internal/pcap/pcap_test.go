package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/rmcast/rmcast/internal/testvec"
)

const captures = "../../../../internal/testvec/testdata/"

// all reads a capture to its end.
func all(t testing.TB, b []byte) (list []Packet, s Stats) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return list, r.Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Payload = bytes.Clone(p.Payload)
		list = append(list, p)
	}
}

// Real captures: the same datagrams as another reader finds, whatever the file's form.
func TestCaptures(t *testing.T) {
	for _, c := range testvec.Captures() {
		b, err := os.ReadFile(captures + c.Name + ".pcap")
		if err != nil {
			t.Fatal(err)
		}
		for form, file := range map[string][]byte{"classic": b, "pcapng, little endian": pcapng(b, binary.LittleEndian), "pcapng, big endian": pcapng(b, binary.BigEndian)} {
			got, s := all(t, file)
			if len(got) != len(c.Datagrams) || s.Cut+s.Fragments != 0 {
				t.Errorf("%s, %s: %d datagrams, want %d; %+v", c.Name, form, len(got), len(c.Datagrams), s)
				continue
			}
			for i, want := range c.Datagrams {
				p := got[i]
				if p.From != want.From || p.To != want.To || !bytes.Equal(p.Payload, want.Payload) || p.At.Sub(got[0].At) != want.At-c.Datagrams[0].At {
					t.Errorf("%s, %s, %d: %v to %v at %v, want %v to %v", c.Name, form, i, p.From, p.To, p.At, want.From, want.To)
				}
			}
		}
	}
}

// pcapng makes a pcapng file of a classic one of little endian, with times in ns.
func pcapng(b []byte, order binary.AppendByteOrder) []byte {
	block := func(kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		size := uint32(len(body) + 12)
		out := order.AppendUint32(order.AppendUint32(nil, kind), size)
		return order.AppendUint32(append(out, body...), size)
	}
	section := order.AppendUint32(nil, magicSection)
	section = append(order.AppendUint16(order.AppendUint16(section, 1), 0), bytes.Repeat([]byte{0xff}, 8)...)
	out := block(blockSection, section)
	face := order.AppendUint16(order.AppendUint16(nil, linkEthernet), 0)
	face = order.AppendUint32(face, 0)
	face = append(order.AppendUint16(order.AppendUint16(face, 9), 1), 9, 0, 0, 0) // if_tsresol: ns
	out = append(out, block(blockIface, face)...)
	out = append(out, block(5, make([]byte, 12))...) // statistics: passed over
	le := binary.LittleEndian
	unit := uint64(1000)
	if le.Uint32(b) == magicNano {
		unit = 1
	}
	for b = b[24:]; len(b) > 0; {
		at := uint64(le.Uint32(b))*1e9 + uint64(le.Uint32(b[4:]))*unit
		n := le.Uint32(b[8:])
		body := order.AppendUint32(nil, 0)
		body = order.AppendUint32(order.AppendUint32(body, uint32(at>>32)), uint32(at))
		body = append(order.AppendUint32(order.AppendUint32(body, n), n), b[16:16+n]...)
		out = append(out, block(blockPacket, body)...)
		b = b[16+n:]
	}
	return out
}

// The frames that systems write.
func TestLinks(t *testing.T) {
	ip := []byte{0x45, 0, 0, 31, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 239, 1, 2, 3, 0, 7, 0, 9, 0, 11, 0, 0, 'a', 'b', 'c'}
	ip6 := append([]byte{0x60, 0, 0, 0, 0, 19, 0, 1}, make([]byte, 32)...) // hop-by-hop options before
	ip6 = append(append(ip6, 17, 0, 0, 0, 0, 0, 0, 0), ip[20:]...)
	pgm := bytes.Clone(ip)
	pgm[9] = protocolPGM
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	mac := make([]byte, 12)
	for _, c := range []struct {
		name  string
		link  uint32
		frame []byte
		v     verdict
		want  string
	}{
		{"Ethernet", 1, join(mac, []byte{8, 0}, ip), found, "abc"},
		{"padded", 1, join(mac, []byte{8, 0}, ip, make([]byte, 10)), found, "abc"},
		{"VLAN", 1, join(mac, []byte{0x81, 0, 0, 5, 8, 0}, ip), found, "abc"},
		{"two VLANs", 1, join(mac, []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 5, 8, 0}, ip), found, "abc"},
		{"raw", 101, ip, found, "abc"},
		{"IPv6 with options", 101, ip6, found, "abc"},
		{"loopback", 0, join([]byte{2, 0, 0, 0}, ip), found, "abc"},
		{"any", 113, join(make([]byte, 14), []byte{8, 0}, ip), found, "abc"},
		{"any, new", 276, join([]byte{8, 0}, make([]byte, 18), ip), found, "abc"},
		{"protocol 113", 101, pgm, found, string(ip[20:])},
		{"cut", 101, ip[:29], cut, ""},
		{"fragment", 101, append(join(ip[:6], []byte{0x20, 0}), ip[8:]...), fragment, ""},
		{"ARP", 1, join(mac, []byte{8, 6}, ip), other, ""},
		{"TCP", 101, append(join(ip[:9], []byte{6}), ip[10:]...), other, ""},
		{"unknown link", 9999, ip, other, ""},
		{"nothing", 1, nil, other, ""},
	} {
		p, v := parse(c.link, c.frame)
		if v != c.v || string(p.Payload) != c.want {
			t.Errorf("%s: verdict %d, payload %q; want %d, %q", c.name, v, p.Payload, c.v, c.want)
		}
	}
	p, _ := parse(101, ip)
	if p.From != netip.MustParseAddrPort("10.0.0.1:7") || p.To != netip.MustParseAddrPort("239.1.2.3:9") || p.IPBytes != 31 {
		t.Errorf("%+v", p)
	}
}

func TestUnit(t *testing.T) {
	for _, c := range []struct {
		v     byte
		ticks uint64
		want  time.Duration
	}{{6, 1_500_000, 1500 * time.Millisecond}, {9, 1_500_000_000, 1500 * time.Millisecond}, {0, 2, 2 * time.Second}, {0x80 | 10, 1536, 1500 * time.Millisecond}, {127, 1e18, time.Second}} {
		if got := unitOf(c.v).time(c.ticks).Sub(time.Unix(0, 0)); got != c.want {
			t.Errorf("%#x: %v, want %v", c.v, got, c.want)
		}
	}
}

// A file that ends in the middle of a packet says so; what is no capture is refused.
func TestBroken(t *testing.T) {
	b, err := os.ReadFile(captures + "01-plain-nak.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{b[:len(b)-3], pcapng(b, binary.LittleEndian)[:5000]} {
		r, err := NewReader(bytes.NewReader(file))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a file that is cut ends with %v", err)
		}
	}
	for _, s := range []string{"", "abc", "this is a text file of more than 24 bytes"} {
		if _, err := NewReader(bytes.NewReader([]byte(s))); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	b, err := os.ReadFile(captures + "02-fragment-nak.pcap")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:400])
	f.Add(pcapng(b, binary.BigEndian)[:600])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		n := 0
		for err == nil {
			var p Packet
			if p, err = r.Next(); err == nil && (len(p.Payload) > p.IPBytes || p.IPBytes > MaxBlock) {
				t.Fatalf("a payload of %d in %d bytes", len(p.Payload), p.IPBytes)
			}
			if n++; n > len(b) {
				t.Fatal("more packets than bytes")
			}
		}
	})
}
