package carousel

// early keeps packets of objects whose manifest is not there yet, the newest that fit.
type early struct {
	packets []earlyPacket // oldest first
	bytes   int
	most    int
	dropped uint64
}

type earlyPacket struct {
	id ID
	b  []byte
}

// earlyCost is what a packet costs beside its bytes.
const earlyCost = 64

// add keeps a copy of b.
func (e *early) add(id ID, b []byte) {
	if len(b)+earlyCost > e.most {
		e.dropped++
		return
	}
	for e.bytes+len(b)+earlyCost > e.most {
		e.bytes -= len(e.packets[0].b) + earlyCost
		e.packets[0] = earlyPacket{}
		e.packets = e.packets[1:]
		e.dropped++
	}
	e.packets = append(e.packets, earlyPacket{id, append([]byte(nil), b...)})
	e.bytes += len(b) + earlyCost
}

// take returns the packets of an object, and keeps them no longer.
func (e *early) take(id ID) (of [][]byte) {
	var rest []earlyPacket
	for _, p := range e.packets {
		if p.id != id {
			rest = append(rest, p)
			continue
		}
		of = append(of, p.b)
		e.bytes -= len(p.b) + earlyCost
	}
	e.packets = rest
	return of
}
