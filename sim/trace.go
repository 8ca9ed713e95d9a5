package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Kind is what an Event tells.
type Kind uint8

// The events.
const (
	Sent      Kind = iota // Host sent Packet, to the group or to host To
	Lost                  // Packet does not come to Host: its link or Drop lost it, now, or it came damaged; Host 0: a shared link lost it
	Arrived               // Packet came to Host
	Delivered             // Host's application read a message of Bytes bytes of Source
	Gap                   // Host's application was told that Range of Source is lost, as Err
	Ended                 // Host's application was told the end of Source, as Err (io.EOF: complete)
	Engine                // Host's engine told Session
)

var kindNames = [...]string{"sent", "lost", "arrived", "delivered", "gap", "ended", "engine"}

// String gives the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Kinds is a set of Kind.
type Kinds uint16

// AllKinds holds every kind.
const AllKinds Kinds = 1<<len(kindNames) - 1

// Of returns the set of the given kinds.
func Of(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in s.
func (s Kinds) Has(k Kind) bool { return s>>k&1 != 0 }

// Event is one thing that happened. What it points to belongs to the network.
type Event struct {
	At      time.Duration
	Kind    Kind
	Host    int          // its number; 0 with what concerns no single host
	From    int          // who sent Packet
	To      int          // whom Packet was sent to; 0: the group
	Packet  *wire.Packet // Sent, Lost, Arrived
	Raw     []byte       // its bytes
	Source  wire.TSI     // Delivered, Gap, Ended, Engine
	Bytes   int          // Delivered
	Data    []byte       // Delivered: the bytes; nil with Hollow
	Range   seq.Range    // Gap
	Err     error        // Gap, Ended
	Session session.Event

	hash uint64 // of Raw
}

// String tells the event in one line.
func (e *Event) String() string {
	s := fmt.Sprintf("%.6f ", e.At.Seconds())
	switch e.Kind {
	case Sent:
		s += fmt.Sprintf("%d sends %v", e.Host, describe(e.Packet))
	case Lost:
		s += fmt.Sprintf("%d does not get %v of %d", e.Host, describe(e.Packet), e.From)
	case Arrived:
		s += fmt.Sprintf("%d gets %v of %d", e.Host, describe(e.Packet), e.From)
	case Delivered:
		s += fmt.Sprintf("%d reads %d bytes", e.Host, e.Bytes)
	case Gap, Ended:
		s += fmt.Sprintf("%d reads %v", e.Host, e.Err)
	case Engine:
		s += fmt.Sprintf("%d %v %v", e.Host, e.Session.Kind, e.Session.Range)
	}
	return s
}

// describe tells a packet in a few words.
func describe(p *wire.Packet) string {
	switch p.Type {
	case wire.TypeSPM:
		s := fmt.Sprintf("%v %d window %v", p.Type, p.Sqn, seq.Range{From: p.Trail, To: p.Lead.Add(1)})
		if p.Options.Set.Has(wire.OptFIN) {
			s += " fin"
		}
		if p.Options.Set.Has(wire.OptRST) {
			s += " reset"
		}
		return s
	case wire.TypeODATA, wire.TypeRDATA:
		return fmt.Sprintf("%v %d, %d bytes", p.Type, p.Sqn, len(p.Payload))
	case wire.TypeNAK, wire.TypeNCF:
		return fmt.Sprintf("%v %v", p.Type, p.Numbers(nil))
	}
	return p.Type.String()
}

// tell reports e to whoever wants to know; At is filled in.
func (n *Network) tell(e *Event) {
	e.At = n.Now()
	if n.cfg.Hash {
		n.sum += e.digest()
	}
	if n.cfg.Trace != nil && n.cfg.Kinds.Has(e.Kind) {
		n.cfg.Trace(e)
	}
}

// digest is a hash of all that e says.
func (e *Event) digest() uint64 {
	d := mix(uint64(e.At) + golden*uint64(e.Kind+1))
	add := func(x uint64) { d = mix(d ^ x*golden) }
	add(uint64(e.Host))
	switch e.Kind {
	case Delivered, Gap, Ended, Engine:
		var b [8]byte
		copy(b[:], e.Source.GSI[:])
		binary.LittleEndian.PutUint16(b[6:], e.Source.Port)
		add(binary.LittleEndian.Uint64(b[:]))
	}
	switch e.Kind {
	case Sent, Lost, Arrived:
		add(uint64(e.From)<<32 | uint64(e.To))
		add(e.hash)
	case Delivered:
		add(uint64(e.Bytes))
		add(hashBytes(e.Data))
	case Gap, Ended:
		add(uint64(e.Range.From)<<32 | uint64(e.Range.To))
		add(hashBytes([]byte(e.Err.Error())))
	case Engine:
		add(uint64(e.Session.Kind))
		add(uint64(e.Session.Range.From)<<32 | uint64(e.Session.Range.To))
	}
	return d
}

// hashBytes is a hash of b, the same everywhere.
func hashBytes(b []byte) uint64 {
	d := uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		d = (d ^ binary.LittleEndian.Uint64(b)) * golden
		d ^= d >> 29
	}
	for _, x := range b {
		d = (d ^ uint64(x)) * golden
	}
	return mix(d)
}
