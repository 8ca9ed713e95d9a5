package nack

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	requesterAge = time.Minute            // how long a silent receiver is remembered
	shareBurst   = 100 * time.Millisecond // how much of its share a receiver may ask for at once
)

// requester is a receiver that sent NAKs, with a bucket of bytes that its share fills.
type requester struct {
	addr   netip.Addr
	id     uint64 // never used again, so that a request can remember it without pointing here
	seen   mono.Time
	filled mono.Time // when tokens was brought up to date
	tokens int64     // whole bytes, negative in debt
	part   uint64    // and of the next one, in units of 1/1e9: below 1e9
	own    int64     // bytes a second that are all it may cause; 0: the common share, beyond which it waits for others
	links  [1]link[*requester]
}

func (q *requester) link(chain int) *link[*requester] { return &q.links[chain] }

// requesters is a bounded table of receivers by address, with the longest silent at the head of its chain.
type requesters struct {
	max    int
	share  int64 // bytes a second; 0 or less: no limit
	byAddr map[netip.Addr]*requester
	seen   chain[*requester]
	free   *requester
	ids    uint64
}

func newRequesters(max int, share int64) requesters {
	return requesters{max: max, share: share, byAddr: make(map[netip.Addr]*requester)}
}

// shareOf returns what fills q's bucket, in bytes a second; 0 or less: it needs none.
func (t *requesters) shareOf(q *requester) int64 {
	if q.own > 0 {
		return q.own
	}
	return t.share
}

// burstOf returns the capacity of the bucket of a share in bytes: at least 1, so that the least share gives something.
func burstOf(share int64) int64 { return max(1, share/int64(time.Second/shareBurst)) }

// limit gives q a share of its own, or with 0 the common one again. What it has in its bucket stays, as far as the new one holds it; what it
// owes of the common one it does not owe any more: for a small share, one repair of before could be the debt of minutes.
func (t *requesters) limit(now mono.Time, q *requester, own int64) {
	if q.own == own {
		return
	}
	t.within(now, q)
	if q.own == 0 && q.tokens < 0 {
		q.tokens, q.part = 0, 0
	}
	q.own, q.filled = own, now
	if share := t.shareOf(q); share > 0 && q.tokens >= burstOf(share) {
		q.tokens, q.part = burstOf(share), 0
	}
}

// get returns the requester at addr, heard now. In a full table it takes the place of the longest silent one, and starts with
// nothing in its bucket: a flood of invented addresses earns no share.
func (t *requesters) get(now mono.Time, addr netip.Addr) *requester {
	if q := t.seen.tail; q != nil && q.addr == addr {
		q.seen = now
		return q
	}
	q, ok := t.byAddr[addr]
	if ok {
		t.seen.remove(q)
	} else {
		tokens := burstOf(t.share)
		if len(t.byAddr) == t.max {
			tokens = 0
			t.drop(t.seen.head)
		}
		if q = t.free; q == nil {
			q = new(requester)
		} else {
			t.free = q.links[0].next
		}
		t.ids++
		*q = requester{addr: addr, id: t.ids, filled: now, tokens: tokens}
		t.byAddr[addr] = q
	}
	q.seen = now
	t.seen.pushBack(q)
	return q
}

// within reports whether q has some of its share left.
func (t *requesters) within(now mono.Time, q *requester) bool {
	share := t.shareOf(q)
	if share <= 0 {
		return true
	}
	q.fill(uint64(share), now.Sub(q.filled), burstOf(share))
	q.filled = now
	return q.tokens > 0 || q.tokens == 0 && q.part > 0
}

// fill adds what share brings in d, exactly, up to burst.
func (q *requester) fill(share uint64, d time.Duration, burst int64) {
	hi, lo := bits.Mul64(share, uint64(max(d, 0)))
	lo, carry := bits.Add64(lo, q.part, 0)
	hi += carry
	if hi >= uint64(time.Second) { // more than any debt
		q.tokens, q.part = burst, 0
		return
	}
	whole, part := bits.Div64(hi, lo, uint64(time.Second))
	if room := burst - q.tokens; room <= 0 || whole >= uint64(room) {
		q.tokens, q.part = burst, 0
		return
	}
	q.tokens, q.part = q.tokens+int64(whole), part
}

// take charges q for a repair; false, without charge, when its share is used up. A bucket may go below zero by one repair, so that
// a share smaller than a packet still gives something.
func (t *requesters) take(now mono.Time, q *requester, bytes int) bool {
	if !t.within(now, q) {
		return false
	}
	if t.shareOf(q) > 0 {
		q.tokens -= int64(bytes)
	}
	return true
}

// forget drops the receivers that have been silent for requesterAge.
func (t *requesters) forget(now mono.Time) {
	for t.seen.head != nil && now.Sub(t.seen.head.seen) >= requesterAge {
		t.drop(t.seen.head)
	}
}

func (t *requesters) drop(q *requester) {
	t.seen.remove(q)
	delete(t.byAddr, q.addr)
	*q = requester{}
	q.links[0].next = t.free
	t.free = q
}
