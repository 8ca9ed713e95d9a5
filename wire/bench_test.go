package wire

import (
	"fmt"
	"testing"

	"github.com/rmcast/rmcast/seq"
)

// odata is a stream packet and its bytes.
func odata(payloadBytes int) (Packet, []byte) {
	p := vectorDown(Packet{Type: TypeODATA, Sqn: 70000, Trail: 60000, Payload: make([]byte, payloadBytes)})
	for i := range p.Payload {
		p.Payload[i] = byte(i * 7)
	}
	return p, p.Append(nil)
}

func TestDecodeAllocs(t *testing.T) {
	packets := distinct()
	var p Packet
	var failed int
	if n := testing.AllocsPerRun(10, func() {
		for _, b := range packets {
			if p.Decode(b) != nil {
				failed++
			}
		}
	}); n != 0 {
		t.Errorf("decoding %d packets allocates %v times", len(packets), n)
	}
	if failed == 0 {
		t.Error("no packet was refused: the errors' cost is not in the figure")
	}
}

func TestAppendAllocs(t *testing.T) {
	var packets []Packet
	for _, b := range distinct() {
		if p, err := decoded(b); err == nil {
			packets = append(packets, p)
		}
	}
	buf := make([]byte, 0, 2048)
	numbers := make([]seq.Num, 0, MaxNAKs)
	if n := testing.AllocsPerRun(10, func() {
		for i := range packets {
			p := &packets[i]
			buf = p.Append(buf[:0])
			buf = p.AppendHead(buf[:0], len(p.Payload), 0x1234)
			numbers = p.Numbers(numbers[:0])
			_ = p.TSI()
		}
	}); n != 0 {
		t.Errorf("appending %d packets allocates %v times", len(packets), n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{64, 1408, 8896} {
		b.Run(fmt.Sprintf("ODATA/%d", n), func(b *testing.B) {
			_, buf := odata(n)
			benchmarkDecode(b, buf)
		})
	}
	for _, v := range vectors {
		switch v.name {
		case "SPM with PARITY_PRM and FIN", "list NAK 12, 13, 14":
			b.Run(v.name, func(b *testing.B) { benchmarkDecode(b, fromHex(v.hex)) })
		}
	}
}

func benchmarkDecode(b *testing.B, buf []byte) {
	var p Packet
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{64, 1408, 8896} {
		b.Run(fmt.Sprintf("ODATA/%d", n), func(b *testing.B) {
			p, buf := odata(n)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = p.Append(buf[:0])
			}
		})
	}
	b.Run("NAK list of 63", func(b *testing.B) {
		p := vectorUp(Packet{Type: TypeNAK, Source: path6, Group: path6, Options: Options{NAKList: NAKList{N: MaxNAKs - 1}}}, OptNAKList)
		buf := p.Append(nil)
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			buf = p.Append(buf[:0])
		}
	})
}

// The head alone: what a packet costs whose payload was summed when it was written.
func BenchmarkAppendHead(b *testing.B) {
	p, buf := odata(1408)
	sum := Sum(p.Payload)
	b.ReportAllocs()
	for b.Loop() {
		buf = p.AppendHead(buf[:0], len(p.Payload), sum)
	}
}
