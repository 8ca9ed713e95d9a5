package history

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// ledger is what a source was told to write and what it sent, packet by packet. It holds the source to:
//
//  1. The packets of the stream and of the messages are what was written, in order, each once; none crosses a message, a flush or
//     the end. Their numbers go up by one.
//  2. A repair is the packet that was sent under its number, and the window still holds it; parity is over packets that it holds.
//  3. SPMs announce what was sent and no more; the trail goes up only, and the window is no larger than said.
//  4. Data and repairs are within the rate, control packets within their share.
type ledger struct {
	index     int // of the source, from 0
	sim       *sim.Source
	tsi       wire.TSI
	first     seq.Num
	slots     int
	groupSize int // of parity; 0: none
	room      wire.Room
	units     []unit // what was written, merged where packets may hold both
	unit      int    // the one being sent
	written   int64
	sent      []entry
	bytes     int64 // in sent
	trail     int   // index of the lowest number that the source claims to hold
	finish    bool  // told to; or reset
	reset     bool
	code      uint8
	began     time.Duration // the first packet of data; valid if there is one
	longest   int           // message, in bytes
	data      bucket
	control   bucket

	byKey map[uint64]int32 // messages by content, the latest; for unordered delivery
	chain []int32          // by number: the message before with the same key, or -1
}

// unit is bytes that a packet may not cross.
type unit struct {
	end     int64 // offset after it
	message bool
	closed  bool // nothing is added
}

// entry is a packet.
type entry struct {
	offset int64
	first  int32  // index of the first packet of its message
	length uint32 // of the message
	size   uint16
}

func (l *ledger) init(index int, s *Source, hash bool) {
	*l = ledger{index: index, first: seq.Num(s.First), units: l.units[:0], sent: l.sent[:0], byKey: l.byKey, chain: l.chain[:0]}
	clear(l.byKey)
	if hash && l.byKey == nil {
		l.byKey = map[uint64]int32{}
	}
	if !hash {
		l.byKey = nil
	}
}

// limits sets what the rate allows.
func (l *ledger) limits(rate flow.Rate, overhead int) {
	if rate == flow.Unlimited {
		return
	}
	packet := l.room.Stream() + wire.HeadData + overhead
	runPackets := max(1, min(rate.Bytes(flow.RunTime), flow.MaxRunBytes)/int64(packet))
	run := runPackets * int64(l.room.MTU())
	burst := max(2*min(max(rate.Bytes(flow.RunTime), 1500), flow.MaxRunBytes), rate.Bytes(flow.Depth))
	l.data = newBucket(rate, burst+run)
	control := max(flow.Rate(float64(rate)*0.05), flow.Mbps)
	burst = max(4*1500, min(rate.Bytes(flow.Depth), 64<<10))
	l.control = newBucket(control, max(burst, control.Bytes(flow.Depth))+1500)
}

// write books what the application is told to write.
func (l *ledger) write(bytes int, message bool) []byte {
	b := pattern(l.index, l.written, bytes)
	l.written += int64(bytes)
	if k := len(l.units) - 1; !message && k >= 0 && !l.units[k].message && !l.units[k].closed {
		l.units[k].end = l.written
		return b
	}
	l.units = append(l.units, unit{end: l.written, message: message})
	return b
}

// close ends the unit that is being written.
func (l *ledger) close() {
	if k := len(l.units) - 1; k >= 0 {
		l.units[k].closed = true
	}
}

// at returns the index of a number.
func (l *ledger) at(n seq.Num) int { return n.Sub(l.first) }

// end returns the index after the message that begins at i, all of whose packets were sent; ok is false if they were not.
func (l *ledger) end(i int) (end int, ok bool) {
	left := int64(l.sent[i].length)
	for end = i; left > 0 && end < len(l.sent); end++ {
		left -= int64(l.sent[end].size)
	}
	return end, left == 0
}

// says checks a packet that the source sends. It returns what is wrong.
func (l *ledger) says(now time.Duration, p *wire.Packet, ipBytes int) string {
	switch p.Type {
	case wire.TypeODATA, wire.TypeRDATA:
		if !l.data.take(now, ipBytes) {
			return fmt.Sprintf("rate: %d bytes of data beyond rate and burst", l.data.over())
		}
		if fault := l.window(p.Trail, len(l.sent)); fault != "" {
			return fault
		}
		if p.Flags&wire.FlagParity != 0 {
			return l.parity(p)
		}
		if p.Type == wire.TypeRDATA {
			return l.repair(p)
		}
		return l.odata(now, p)
	case wire.TypeSPM:
		if lead := l.at(p.Lead); lead != len(l.sent)-1 {
			return fmt.Sprintf("source: an SPM announces %d, the latest that was sent is %d", lead, len(l.sent)-1)
		}
		if fault := l.window(p.Trail, len(l.sent)); fault != "" {
			return fault
		}
		if p.Options.Set.Has(wire.OptFIN) && (!l.finish || l.bytes != l.written) {
			return fmt.Sprintf("source: FIN after %d bytes of %d, told to finish: %v", l.bytes, l.written, l.finish)
		}
		if p.Options.Set.Has(wire.OptRST) && !l.reset {
			return "source: a reset that nobody asked for"
		}
	case wire.TypeNCF:
		for n, i := p.Sqn, 0; ; i++ {
			if p.Flags&wire.FlagParity != 0 {
				n = l.group(n) // the lower bits are a count
			}
			if at := l.at(n); at < 0 && p.Flags&wire.FlagParity == 0 || at >= len(l.sent) {
				return fmt.Sprintf("source: an NCF for %d, which was not sent", at)
			}
			if !p.Options.Set.Has(wire.OptNAKList) || i >= p.Options.NAKList.N {
				break
			}
			n = p.Options.NAKList.Sqn[i]
		}
	default:
		return fmt.Sprintf("source: it sends a %v", p.Type)
	}
	if !l.control.take(now, ipBytes) {
		return fmt.Sprintf("rate: %d bytes of control packets beyond their share", l.control.over())
	}
	return ""
}

// window checks a trail that is claimed while end numbers were sent.
func (l *ledger) window(trail seq.Num, end int) string {
	t := l.at(trail)
	if t < l.trail || t > end {
		return fmt.Sprintf("source: trail %d after %d, with %d sent", t, l.trail, end)
	}
	if end-t > l.slots {
		return fmt.Sprintf("source: it claims to hold [%d,%d) in %d slots", t, end, l.slots)
	}
	l.trail = t
	return ""
}

func (l *ledger) odata(now time.Duration, p *wire.Packet) string {
	i, size := len(l.sent), len(p.Payload)
	if at := l.at(p.Sqn); at != i {
		return fmt.Sprintf("source: it sends number %d after %d", at, i-1)
	}
	for l.unit < len(l.units) && l.units[l.unit].end <= l.bytes {
		l.unit++
	}
	if l.unit == len(l.units) {
		return fmt.Sprintf("source: number %d has %d bytes that nobody wrote", i, size)
	}
	u := &l.units[l.unit]
	begin := int64(0)
	if l.unit > 0 {
		begin = l.units[l.unit-1].end
	}
	e := entry{offset: l.bytes, first: int32(i), length: uint32(size), size: uint16(size)}
	end := l.bytes + int64(size)
	if p.Options.Set.Has(wire.OptFragment) {
		f := p.Options.Fragment
		e.first, e.length = int32(l.at(f.First)), f.Length
		if !u.message || int64(f.Length) != u.end-begin || int64(f.Offset) != l.bytes-begin || e.first < 0 || int(e.first) > i || l.offset(int(e.first)) != begin {
			return fmt.Sprintf("source: number %d says fragment %+v of what stands at [%d,%d)", i, f, begin, u.end)
		}
	} else if u.message && (l.bytes != begin || end != u.end) {
		return fmt.Sprintf("source: number %d has bytes [%d,%d), the message is [%d,%d)", i, l.bytes, end, begin, u.end)
	}
	if end > u.end || size == 0 {
		return fmt.Sprintf("source: number %d has bytes [%d,%d), the unit ends at %d", i, l.bytes, end, u.end)
	}
	if string(p.Payload) != string(pattern(l.index, l.bytes, size)) {
		return fmt.Sprintf("source: number %d has other bytes than were written at %d", i, l.bytes)
	}
	if i == 0 {
		l.began = now
	}
	l.sent = append(l.sent, e)
	l.bytes = end
	if l.byKey != nil {
		before := int32(-1)
		if int(e.first) == i {
			k := key(int(e.length), p.Payload)
			if x, ok := l.byKey[k]; ok {
				before = x
			}
			l.byKey[k] = int32(i)
		}
		l.chain = append(l.chain, before)
	}
	return ""
}

// offset returns where number i begins, sent or next.
func (l *ledger) offset(i int) int64 {
	if i == len(l.sent) {
		return l.bytes
	}
	return l.sent[i].offset
}

func (l *ledger) repair(p *wire.Packet) string {
	i := l.at(p.Sqn)
	if i < l.trail || i >= len(l.sent) {
		return fmt.Sprintf("source: it repairs %d, and holds [%d,%d)", i, l.trail, len(l.sent))
	}
	e := l.sent[i]
	first, length := i, uint32(len(p.Payload))
	if p.Options.Set.Has(wire.OptFragment) {
		first, length = l.at(p.Options.Fragment.First), p.Options.Fragment.Length
	}
	if first != int(e.first) || length != e.length || string(p.Payload) != string(pattern(l.index, e.offset, int(e.size))) {
		return fmt.Sprintf("source: the repair of %d is not what was sent", i)
	}
	return ""
}

// group returns the first number of n's transmission group.
func (l *ledger) group(n seq.Num) seq.Num { return n &^ seq.Num(l.groupSize-1) }

// under returns the indices of the packets under a parity packet.
func (l *ledger) under(p *wire.Packet) (from, to int) {
	cover := l.groupSize
	if p.Options.Set.Has(wire.OptCurrTGSize) {
		cover = int(p.Options.CurrTGSize)
	}
	from = l.at(l.group(p.Sqn))
	return from, from + cover
}

func (l *ledger) parity(p *wire.Packet) string {
	if l.groupSize == 0 {
		return "source: it sends parity, and has none"
	}
	if from, to := l.under(p); from < l.trail || to <= from || to > len(l.sent) {
		return fmt.Sprintf("source: it sends parity over [%d,%d), and holds [%d,%d)", from, to, l.trail, len(l.sent))
	}
	return ""
}

// key is a short hash of a message of length bytes that begins with b: of what every packet that starts one holds.
func key(length int, b []byte) uint64 {
	k := uint64(length)
	for _, c := range b[:min(len(b), 8)] {
		k = k<<7 ^ k>>50 ^ uint64(c)*0x9e3779b97f4a7c15
	}
	return k
}

// bucket measures whether no more than rate x time + burst passes, over every interval. The zero value lets everything pass.
type bucket struct {
	rate   int64 // bits per second
	most   int64 // units of a bit in a nanosecond at 1 bit/s: bits x 1e9
	level  int64
	last   time.Duration
	excess int64
}

// newBucket returns a bucket for so many bytes and what passes in flow.Slack, which need not be whole bytes.
func newBucket(rate flow.Rate, bytes int64) bucket {
	return bucket{rate: int64(rate), most: bytes*8e9 + int64(rate)*int64(flow.Slack)}
}

// take adds bytes that pass at now, and reports whether that is within bounds.
func (b *bucket) take(now time.Duration, bytes int) bool {
	if b.rate == 0 {
		return true
	}
	passed := int64(now - b.last)
	b.last = now
	if passed > b.level/b.rate {
		b.level = 0
	} else {
		b.level -= passed * b.rate
	}
	b.level += int64(bytes) * 8e9
	b.excess = b.level - b.most
	return b.excess <= 0
}

// over returns by how many bytes the bound is passed.
func (b *bucket) over() int64 { return (b.excess + 8e9 - 1) / 8e9 }
