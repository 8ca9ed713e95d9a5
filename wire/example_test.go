package wire_test

import (
	"fmt"
	"net/netip"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// A receiver asks for three packets, and the source reads what it wants.
func Example() {
	nak := wire.Packet{
		Type:            wire.TypeNAK,
		SourcePort:      7501, // upstream: the data-destination port
		DestinationPort: 1000, // and the data-source port
		GSI:             wire.NewGSI("pgm-facts"),
		Sqn:             12,
		Source:          netip.MustParseAddr("10.77.0.1"),
		Group:           netip.MustParseAddr("239.192.0.9"),
	}
	nak.Options.Set = nak.Options.Set.With(wire.OptNAKList)
	nak.Options.NAKList.N = copy(nak.Options.NAKList.Sqn[:], []seq.Num{13, 14})
	datagram := nak.Append(nil)

	var p wire.Packet
	if err := p.Decode(datagram); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Type, "for", p.TSI(), "wants", p.Numbers(nil))

	datagram[19]++ // as a bad link would
	fmt.Println(p.Decode(datagram))
	// Output:
	// NAK for 195.236.222.167.128.253.1000 wants [12 13 14]
	// wire: wrong checksum
}

// The source keeps a payload's sum beside it: a repair then costs the sum of its head alone.
func ExamplePacket_AppendHead() {
	payload := []byte("one packet's worth of a stream")
	sum := wire.Sum(payload)

	rdata := wire.Packet{Type: wire.TypeRDATA, SourcePort: 1000, DestinationPort: 7501, Sqn: 7, Trail: 3}
	datagram := rdata.AppendHead(make([]byte, 0, 1500), len(payload), sum)
	datagram = append(datagram, payload...)

	var p wire.Packet
	fmt.Println(p.Decode(datagram), p.Type, p.Sqn, string(p.Payload))
	// Output: <nil> RDATA 7 one packet's worth of a stream
}

func ExampleNewRoom() {
	room, err := wire.NewRoom(1500, true, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(room.TPDU(), room.Stream(), room.Fragment(), room.Message())
	// Output: 1452 1408 1384 1428
}
