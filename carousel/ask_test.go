package carousel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/aside"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// Whatever is asked for between, a block's symbols come in a cycle of all 2k, and a turn has as many packets as there are symbols.
func TestOrderWithAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPartition(rapid.Int64Range(1, 3000).Draw(t, "bytes"), 64, rapid.IntRange(1, 30).Draw(t, "blockSymbols"))
		o := newOrder(p, rapid.Int64Range(0, p.symbols-1).Draw(t, "start"), rapid.Bool().Draw(t, "parity first"), rapid.Bool().Draw(t, "block by block"))
		of := make([][]int, p.blocks)
		turns := int64(0)
		for range 4 * p.symbols {
			if rapid.IntRange(0, 3).Draw(t, "answer") == 0 {
				b := rapid.IntRange(0, p.blocks-1).Draw(t, "block")
				of[b] = append(of[b], o.of(b))
				continue
			}
			b, s := o.take()
			of[b] = append(of[b], s)
			if turns++; int64(o.turn) != turns/p.symbols {
				t.Fatalf("%d turns after %d packets of %d", o.turn, turns, p.symbols)
			}
		}
		for b, list := range of {
			n := 2 * p.k(b)
			for i, s := range list {
				if s < 0 || s >= n || i >= n && s != list[i-n] {
					t.Fatalf("block %d of %d symbols: %v", b, n, list)
				}
				for _, before := range list[max(0, i-n+1):i] {
					if s == before {
						t.Fatalf("block %d of %d symbols: %v", b, n, list)
					}
				}
			}
		}
	})
}

// Answers are sent by turns, and as many as the most that was asked for of each block; the bounds hold.
func TestAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a answers
		most := rapid.IntRange(0, 60).Draw(t, "most")
		want, sent := map[int]int{}, map[int][]time.Duration{}
		left, now := 0, answerHold
		for range 50 {
			now += time.Duration(rapid.SampledFrom([]int{0, 0, 0, 30, 100}).Draw(t, "ms")) * time.Millisecond
			if left > 0 && rapid.Bool().Draw(t, "take") {
				b := a.take(now)
				if want[b]--; want[b] < 0 {
					t.Fatalf("a symbol of block %d", b)
				}
				left--
				sent[b] = append(sent[b], now)
				continue
			}
			n := need{rapid.IntRange(0, 9).Draw(t, "block"), rapid.IntRange(1, 20).Draw(t, "symbols")}
			added := a.ask(n, most-left, now)
			since := func(d time.Duration) (count int) { // what was sent within half the hold counts, and within all of it may
				for _, at := range sent[n.block] {
					if now-at < d {
						count++
					}
				}
				return count
			}
			least, room := n.symbols-since(answerHold)-want[n.block], n.symbols-since(answerHold/2)-want[n.block]
			if added < max(0, min(least, most-left)) || added > max(0, min(room, most-left)) {
				t.Fatalf("%v added %d to %d, want %d to %d", n, added, want[n.block], least, room)
			}
			want[n.block] += added
			left += added
		}
		if a.left != left {
			t.Fatalf("%d left, want %d", a.left, left)
		}
	})
	var a answers
	for b := range 2 * maxAnswers {
		a.ask(need{b, 1}, 1<<30, 0)
	}
	if len(a.list) != maxAnswers || a.left != maxAnswers {
		t.Errorf("%d blocks of %d symbols, want %d", len(a.list), a.left, maxAnswers)
	}
}

// The answers take their part of the packets while there are turns, and no more.
func TestAnswerShare(t *testing.T) {
	o := object(t, "file", random(1, 200_000), small)
	f := newFeed(t, SendConfig{Requests: &Requests{}, AnswerShare: 0.2}, o)
	f.skip(100)
	if _, err := f.s.program.ask(o.root.ID(), []need{{3, 39}, {7, 39}, {8, 39}}, f.now); err != nil {
		t.Fatal(err)
	}
	data, answers, offered := 0, 0, false
	for answers < 117 {
		a, _, _ := f.s.program.next(f.now)
		switch {
		case a.kind == kindOffer:
			offered = true
		case a.answer:
			answers++
			if !offered {
				t.Fatal("an answer before the offer that tells of it")
			}
		case a.kind == kindData:
			data++
		}
		if f.now += time.Millisecond; data > 1000 {
			break
		}
	}
	if data < 4*(117-answerBurst)-8 || data > 4*117+8 {
		t.Errorf("%d packets of turns beside 117 answers, want 4 times as many", data)
	}
}

// A source that nobody asks offers with each root, however long it sends, and no more.
func TestOffersUnasked(t *testing.T) {
	o := object(t, "file", random(1, 200_000), small)
	f := newFeed(t, SendConfig{Requests: &Requests{}}, o)
	offers, roots := 0, 0
	for f.now < 5*time.Minute {
		switch a, _, _ := f.s.program.next(f.now); a.kind {
		case kindOffer:
			offers++
		case kindRoot:
			roots++
		}
		f.now += time.Millisecond
	}
	if roots < 300 || offers < roots-1 || offers > roots {
		t.Errorf("%d offers with %d roots", offers, roots)
	}
}

// After its last turn a source answers as long as it is asked and AnswerWait more, but no more packets than its turns had; then it ends.
func TestAnswersEnd(t *testing.T) {
	o := object(t, "file", random(1, 100_000), small)
	var all []need
	for b := range o.part.blocks {
		all = append(all, need{b, 3})
	}
	for _, asked := range []int{0, 5, 1000} {
		f := newFeed(t, SendConfig{Requests: &Requests{}, Turns: 2, AnswerWait: 3 * time.Second}, o)
		n, answers, roots, ended := 0, int64(0), 0, time.Duration(0)
		for {
			if f.s.program.ended && ended == 0 {
				ended = f.now
			}
			if ended > 0 && n < asked && f.now >= ended+time.Duration(n)*time.Second {
				if n++; n%2 == 0 {
					if _, err := f.s.program.ask(o.root.ID(), all, f.now); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := f.s.program.extra
			b := f.next()
			if b == nil {
				break
			}
			if ended > 0 && f.s.program.extra < before {
				answers++
			}
			if ended > 0 && kind(b[1]) == kindRoot {
				roots++
			}
		}
		after := f.now - ended
		t.Logf("asked %d times: %d answers, %d roots, %v after the turns", asked/2, answers, roots, after)
		switch want := int64(asked / 2 * len(all) * 3); {
		case asked == 1000 && answers != 2*o.Symbols():
			t.Errorf("asked for ever: %d answers, want %d", answers, 2*o.Symbols())
		case asked < 1000 && answers != want:
			t.Errorf("asked %d times: %d answers, want %d", asked/2, answers, want)
		case asked == 1000 && after > time.Minute: // and goes on asking
			t.Errorf("asked for ever: it ends after %v", after)
		case asked == 0 && ((after-3*time.Second).Abs() > 10*time.Millisecond || roots < 3):
			t.Errorf("not asked: it ends after %v and %d roots", after, roots)
		}
	}
}

// What is asked for that cannot be is refused, and changes nothing; what is absurd costs its share and no more.
func TestForgedRequests(t *testing.T) {
	o := object(t, "file", random(1, 200_000), small)
	noParity := small
	noParity.NoParity = true
	bare := object(t, "bare", random(2, 10_000), noParity)
	r := &Requests{arrived: make(chan struct{}, 1), budget: 1e9}
	f := newFeed(t, SendConfig{Requests: r, AnswerMost: 500}, o, bare)
	id, k, now := o.root.ID(), uint32(o.part.k(0)), time.Now()
	r.at = now
	send := func(b []byte) {
		r.budget = requestBurst
		r.handle(b, now)
		f.s.attend(r, 0)
	}
	ask := func(id ID, numbers ...uint32) []byte { // block, symbols, block, symbols …
		b := appendPacket(nil, head{kind: kindRequest, id: id}, nil)
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return appendPacket(nil, head{kind: kindRequest, id: id}, b[headBytes:])
	}
	blocks := uint32(o.part.blocks)
	bad := [][]byte{
		nil, []byte("hello"), f.next(),
		ask(id), ask(ID{1}, 0, 1), ask(bare.root.ID(), 0, 1),
		ask(id, blocks, 1), ask(id, 1<<31-1, 1), ask(id, 1<<31, 1), ask(id, 1<<32-1, 1),
		ask(id, 0, 0), ask(id, 0, k+1), ask(id, 0, 1<<32-1), ask(id, 1, 1, 0, 1), ask(id, 1, 1, 1, 1),
		ask(id, 0, 1)[:headBytes+7], append(ask(id, 0, 1), 0),
		appendPacket(nil, head{kind: kindRequest, id: id}, make([]byte, (maxNeeds+1)*needBytes)),
	}
	for _, b := range bad {
		send(b)
	}
	if st := r.Stats(); st.Invalid != uint64(len(bad)) || st.Heard != 0 || st.Symbols != 0 || f.s.program.queued != 0 {
		t.Errorf("%+v, want %d invalid; %d symbols wait", st, len(bad), f.s.program.queued)
	}
	// All of all blocks, again and again.
	var all []uint32
	for b := range blocks {
		all = append(all, b, uint32(o.part.k(int(b))))
	}
	for range 100 {
		send(ask(id, all...))
	}
	if st := r.Stats(); st.Symbols != 500 || f.s.program.queued != 500 {
		t.Errorf("%+v, %d symbols wait, want 500", st, f.s.program.queued)
	}
	// A flood.
	heard := r.Stats().Heard
	r.budget = requestBurst
	for i := range 10_000 {
		r.handle(ask(id, 0, 1), now.Add(time.Duration(i)*time.Millisecond)) // 10 s
		f.s.attend(r, 0)
	}
	if st := r.Stats(); st.Heard-heard > 10*requestRate+requestBurst || st.Limited < 9000 {
		t.Errorf("%+v: %d of a flood were heard", st, st.Heard-heard)
	}
	for i := range 10_000 {
		r.handle(ask(id, 0, 1), now.Add(time.Duration(i)*time.Hour)) // nobody takes them
	}
	if len(r.pending) > requestBurst {
		t.Errorf("%d requests wait", len(r.pending))
	}
	// The turns go on through all of it.
	in := newInbox(t, t.TempDir(), InboxConfig{Count: 2})
	for i := 0; !isDone(in); i++ {
		if in.Handle(f.next()); i > 10*int(o.Symbols()+bare.Symbols()) {
			t.Fatal("not done")
		}
		if i%10 == 0 {
			send(ask(id, all...))
		}
	}
}

// A request is refused or stands as it was sent.
func FuzzRequest(f *testing.F) {
	o := object(f, "file", random(1, 30_000), small)
	f.Add(appendNeeds(nil, []need{{0, 1}, {3, 40}}))
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Requests{arrived: make(chan struct{}, 1), budget: 1, at: time.Now()}
		s := newFeed(t, SendConfig{Requests: r, Seed: 1, AnswerMost: 300}, o)
		s.next()
		r.handle(appendPacket(nil, head{kind: kindRequest, id: o.root.ID()}, b), r.at)
		list, err := parseNeeds(nil, b)
		if err == nil && string(appendNeeds(nil, list)) != string(b) {
			t.Fatalf("%x became %v", b, list)
		}
		s.s.attend(r, 0)
		st := r.Stats()
		if valid := err == nil && len(list) > 0 && checkNeeds(list, &o.part) == nil; valid != (st.Heard == 1) || valid == (st.Invalid == 1) || st.Symbols > 300 {
			t.Fatalf("%v, %v: %+v", list, err, st)
		}
		var of offer
		if err := of.parse(b, &o.part); err == nil && string(of.append(nil)) != string(b) || err != nil && len(of.list) > 0 {
			t.Fatalf("offer %x became %+v, %v", b, of, err)
		}
		for range 400 {
			s.next()
		}
		if s.s.program.queued != 0 {
			t.Fatalf("%d symbols still wait", s.s.program.queued)
		}
	})
}

// asking is a receiver that is silent but for what Ask sends.
func (w *world) asking(i byte, dir string, ask *AskConfig) (stats InboxStats, took time.Duration, err error) {
	in, err := NewInbox(dir, quiet(InboxConfig{}))
	if err != nil {
		return stats, 0, err
	}
	defer in.Close()
	return w.askInto(i, in, ask)
}

func (w *world) askInto(i byte, in *Inbox, ask *AskConfig) (stats InboxStats, took time.Duration, err error) {
	start := time.Now()
	l, err := transport.Listen("udp", group, w.silent(i))
	if err != nil {
		return stats, 0, err
	}
	defer l.Close()
	r, err := l.AcceptReceiver()
	if err != nil {
		return stats, 0, err
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	if ask != nil {
		c := *ask
		c.Transport = &transport.Config{Network: w.host(i)}
		asking.Go(func() {
			if e := Ask(ctx, "udp", group, &c, in); e != nil && !errors.Is(e, context.Canceled) {
				w.t.Errorf("Ask: %v", e)
			}
		})
	}
	err = Receive(context.Background(), r, in)
	took = time.Since(start)
	cancel()
	asking.Wait()
	return in.Stats(), took, err
}

// requests opens the source's ear at host i.
func (w *world) requests(i byte) *Requests {
	w.t.Helper()
	r, err := ListenRequests("udp", group, &transport.Config{Network: w.host(i)})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// One turn and answers: many receivers, at little loss and at much, complete soon after the turn; few of them ask, and what is sent for one serves others.
// Requests get lost like anything else.
func TestAskAfterTheTurn(t *testing.T) {
	for _, loss := range []float64{0.02, 0.1, 0.4} {
		for _, receivers := range []int{1, 24} {
			t.Run(fmt.Sprintf("%v,%d", loss, receivers), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					const rate = 20 * flow.Mbps
					b := random(1, 4<<20)
					o := object(t, "file", b, ObjectConfig{BlockSymbols: 250})
					w.host(1).SetIngress(netem.Impairment{Loss: loss})
					requests := w.requests(1)
					s := w.dial(1, rate)
					var all sync.WaitGroup
					turn := rate.Duration(o.Symbols() * (1428 + 24 + 48))
					var last time.Duration
					start := time.Now()
					for i := range receivers {
						host := byte(10 + i)
						w.host(host).SetIngress(netem.Impairment{Loss: loss})
						all.Go(func() {
							dir := t.TempDir()
							if _, _, err := w.asking(host, dir, &AskConfig{}); err != nil {
								t.Errorf("host %d: %v", host, err)
								return
							}
							w.mu.Lock()
							last = max(last, time.Since(start))
							w.mu.Unlock()
							wantFile(t, filepath.Join(dir, "file"), b)
						})
					}
					if err := Send(context.Background(), s, &SendConfig{Turns: 1, Requests: requests}, o); err != nil {
						t.Errorf("Send: %v", err)
					}
					ended := time.Since(start)
					all.Wait()
					st := requests.Stats()
					after := last - turn
					least := time.Duration(float64(turn) * loss / (1 - loss)) // for the luckiest, at full speed
					t.Logf("a turn is %v; complete %v after it, %v at least; sending ended after %v; %+v", turn, after, least, ended, st)
					if limit := 2*least + 4*time.Second; after > limit {
						t.Errorf("complete %v after the turn, want %v at most", after, limit)
					}
					if st.Heard > uint64(max(receivers, 6)) { // without suppression each would ask, and more than once
						t.Errorf("%d requests of %d receivers were heard", st.Heard, receivers)
					}
					s.Close()
					requests.Close()
				})
			})
		}
	}
}

// Block by block, each is asked for as soon as the source has gone on to the next, and is ready while the turn goes on: after it only the last few are left.
func TestAskBlockByBlock(t *testing.T) {
	for _, whole := range []bool{true, false} {
		bubble(t, func(t *testing.T, w *world) {
			const rate, receivers = 20 * flow.Mbps, 3
			b := random(1, 4<<20)
			o := object(t, "file", b, ObjectConfig{BlockSymbols: 150})
			requests := w.requests(1)
			s := w.dial(1, rate)
			turn := rate.Duration(o.Symbols() * (1428 + 24 + 48))
			var all sync.WaitGroup
			for i := range receivers {
				host := byte(10 + i)
				w.host(host).SetIngress(netem.Impairment{Loss: 0.1})
				all.Go(func() {
					in := newInbox(t, t.TempDir(), InboxConfig{})
					ready := 0
					time.AfterFunc(turn*9/10, func() { ready = in.Objects()[0].Ready })
					if _, _, err := w.askInto(host, in, &AskConfig{BackOff: 20 * time.Millisecond, Receivers: receivers}); err != nil {
						t.Errorf("host %d: %v", host, err)
					}
					most := o.part.blocks / 4
					if !whole {
						if ready > 0 {
							t.Errorf("host %d: %d blocks are ready in nine tenths of a turn", host, ready)
						}
					} else if ready < most {
						t.Errorf("host %d: %d of %d blocks are ready in nine tenths of a turn, want %d", host, ready, o.part.blocks, most)
					}
				})
			}
			if err := Send(context.Background(), s, &SendConfig{Turns: 1, BlockByBlock: whole, Requests: requests, Seed: 1}, o); err != nil {
				t.Errorf("Send: %v", err)
			}
			all.Wait()
			s.Close()
			requests.Close()
		})
	}
}

// A thousand receivers that all lack something after a turn, each something else: few ask, and all are served. Only what decides is run, with no files.
func TestAskThousand(t *testing.T) {
	const (
		receivers = 1000
		loss      = 0.1
		delay     = 30 * time.Millisecond // of a request, till it is heard
		packet    = 500 * time.Microsecond
	)
	o := object(t, "file", random(1, 24*1000*256), ObjectConfig{SymbolBytes: 256, BlockSymbols: 1000})
	f := newFeed(t, SendConfig{Seed: 1, Requests: &Requests{}, Turns: 1}, o)
	rng := newRand(7)
	type receiver struct {
		in *Inbox
		o  *incoming
		k  *asker
	}
	var group []receiver
	for i := range uint64(receivers) {
		x := &incoming{id: o.root.ID(), root: o.root}
		x.start(&manifest{code: code{256, 1000}, bytes: o.root.Bytes})
		in := &Inbox{objects: map[ID]*incoming{x.id: x}, order: []ID{x.id}}
		group = append(group, receiver{in, x, newAsker(AskConfig{BackOff: 500 * time.Millisecond, Receivers: 1000, Last: 0.1}, newRand(i))})
	}
	type sent struct {
		at   time.Duration
		list []need
	}
	var under []sent
	requests, answers, open := 0, 0, 1
	now := time.Duration(0)
	for step := 0; open > 0; step++ {
		if now += packet; now > time.Minute {
			t.Fatalf("%d receivers are not done after %d requests", open, requests)
		}
		for len(under) > 0 && under[0].at <= now {
			if _, err := f.s.program.ask(o.root.ID(), under[0].list, now); err != nil {
				t.Fatal(err)
			}
			under = under[1:]
		}
		a, _, ok := f.s.program.next(now)
		var b []byte
		if ok {
			var err error
			if b, err = f.s.encode(a); err != nil {
				t.Fatal(err)
			}
			if a.answer {
				answers++
			}
		}
		open = 0
		for i := range group {
			r := &group[i]
			if ok && rng.Float64() >= loss {
				switch bl := &r.o.blocks[a.block]; {
				case a.kind == kindOffer:
					r.in.Handle(b)
				case a.kind == kindData && bl.state == blockOpen:
					r.in.stats.Stored++
					if bl.held++; bl.held == r.o.part.k(a.block) {
						bl.state = blockReady
						r.o.left--
					}
				}
			}
			if r.o.left > 0 {
				open++
			}
			if (step+i)%40 == 0 { // askTick
				if q := r.k.step(now, r.in); q != nil {
					requests++
					list, err := parseNeeds(nil, q[headBytes:])
					if err != nil {
						t.Fatal(err)
					}
					if rng.Float64() >= loss {
						under = append(under, sent{now + delay, list})
					}
				}
			}
		}
	}
	turn := time.Duration(o.Symbols()) * packet
	t.Logf("%d requests, %d symbols sent again of %d, done %v after a turn of %v", requests, answers, o.Symbols(), now-turn, turn)
	// The unluckiest of 1000 receivers' 24 blocks lacks 100 symbols and four standard deviations of 10, and loses a tenth of the answer again.
	if least := 24 * 140; requests > receivers/10 || answers > 2*least {
		t.Errorf("%d requests of %d receivers, %d answers", requests, receivers, answers)
	}
}

// A receiver that lacks a block of many asks for it, and has it long before a turn is over. Who does not ask waits for most of the turn.
func TestAskForABlock(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const rate = 20 * flow.Mbps
		b := random(1, 8<<20)
		o := object(t, "file", b, ObjectConfig{BlockSymbols: 200})
		requests := w.requests(1)
		s := w.dial(1, rate)
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() {
			if err := Send(ctx, s, &SendConfig{Requests: requests}, o); !errors.Is(err, context.Canceled) {
				t.Errorf("Send: %v", err)
			}
		})
		turn := rate.Duration(o.Symbols() * (1428 + 24 + 48))
		took := map[bool]time.Duration{}
		for _, ask := range []bool{true, false} {
			dir := t.TempDir()
			in := newInbox(t, dir, InboxConfig{}) // has all but a block
			f := newFeed(t, SendConfig{}, o)
			for range 2 * o.Symbols() {
				p := f.next()
				if h, _, _ := parsePacket(p); h.kind == kindData && h.block == 5 {
					continue
				}
				in.Handle(p)
			}
			in.settle()
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			w.host(10).SetIngress(netem.Impairment{Loss: 0.1})
			var c *AskConfig
			if ask {
				c = &AskConfig{}
			}
			st, d, err := w.asking(10, dir, c)
			if err != nil {
				t.Fatal(err)
			}
			took[ask] = d
			wantFile(t, filepath.Join(dir, "file"), b)
			t.Logf("asking %v: %v, a turn is %v, %+v, %+v", ask, d, turn, st, requests.Stats())
		}
		if took[true] > took[false]/2 || took[false] < turn {
			t.Errorf("asking it took %v, not asking %v, and a turn takes %v", took[true], took[false], turn)
		}
		cancel()
		all.Wait()
		s.Close()
		requests.Close()
	})
}

// Receivers that do not call Ask send nothing, beside a source that answers and a receiver that asks. Ask is refused with ReceiveOnly, and where nobody answers
// it sends nothing either.
func TestSilentBesideAsking(t *testing.T) {
	for _, answers := range []bool{true, false} {
		bubble(t, func(t *testing.T, w *world) {
			w.watch()
			b := random(1, 1<<20)
			o := object(t, "file", b, ObjectConfig{BlockSymbols: 100})
			cfg := SendConfig{Turns: 6}
			senders := []byte{1}
			var requests *Requests
			if answers {
				requests = w.requests(1)
				cfg.Requests, cfg.Turns = requests, 1
				senders = []byte{1, 10}
			}
			s := w.dial(1, 20*flow.Mbps)
			var all sync.WaitGroup
			for i := byte(10); i < 14; i++ {
				w.host(i).SetIngress(netem.Impairment{Loss: 0.3})
				all.Go(func() {
					dir := t.TempDir()
					var ask *AskConfig
					if i == 10 {
						ask = &AskConfig{}
					}
					if _, _, err := w.asking(i, dir, ask); err != nil && (ask != nil || !errors.Is(err, ErrIncomplete)) {
						t.Errorf("host %d: %v", i, err)
					}
				})
			}
			if err := Send(context.Background(), s, &cfg, o); err != nil {
				t.Errorf("Send: %v", err)
			}
			s.Close()
			all.Wait()
			if requests != nil {
				requests.Close()
			}
			w.wantSilence(senders...)
		})
	}
	in := newInbox(t, t.TempDir(), InboxConfig{})
	if err := Ask(context.Background(), "udp", group, &AskConfig{Transport: &transport.Config{ReceiveOnly: true}}, in); err == nil {
		t.Error("Ask with ReceiveOnly asks")
	}
}

// When an asker asks: not while what comes is of use, nor for much while turns go on, nor where no offers come; but when little is missing and
// hardly anything is of use, when nothing comes, and when the turns are over.
func TestAskReasons(t *testing.T) {
	root := Root{Bytes: 100 * 1000 * 64, code: code{64, 1000}}
	for _, c := range []struct {
		name    string
		missing int  // blocks of 100
		useful  int  // packets of 100
		packets int  // a step of 20 ms
		offers  bool // come
		over    bool
		want    bool
	}{
		{"of use", 5, 30, 10, true, false, false},
		{"hardly of use", 5, 20, 10, true, false, true},
		{"too much", 15, 20, 10, true, false, false},
		{"nobody answers", 5, 20, 10, false, false, false},
		{"silence", 50, 0, 0, true, false, true},
		{"over", 100, 0, 0, true, true, true},
		{"over, and offers no more", 100, 0, 0, false, true, false},
		{"all there", 0, 0, 0, true, true, false},
	} {
		o := &incoming{root: root}
		o.start(&manifest{code: root.code, bytes: root.Bytes})
		for i := range o.blocks {
			if i >= c.missing {
				o.blocks[i].state = blockReady
			}
		}
		o.offer.over, o.offers = c.over, 1
		in := &Inbox{objects: map[ID]*incoming{{}: o}, order: []ID{{}}}
		k := newAsker(AskConfig{BackOff: 500 * time.Millisecond, Receivers: 1, Last: 0.1}, newRand(1))
		k.of[ID{}] = &asking{rate: 1, offers: 1, offerAt: -askOffer} // the one offer is an old one
		asked := false
		for now := time.Duration(0); now < 10*time.Second && !asked; now += askTick {
			if n := int(now / askTick); c.offers && n%10 == 0 {
				o.offers++
			}
			for range c.packets {
				if n := in.stats.Stored + in.stats.Unneeded; n*uint64(c.useful)%100 < uint64(c.useful) {
					in.stats.Stored++
				} else {
					in.stats.Unneeded++
				}
			}
			asked = k.step(now, in) != nil
		}
		if asked != c.want {
			t.Errorf("%s: asks: %v", c.name, asked)
		}
	}
}

// What an asker thinks of the loss comes from many symbols, and not from the few that the last answer had; it follows a change.
func TestAskLearns(t *testing.T) {
	a := &asking{rate: 1}
	learn := func(given, lost int) float64 {
		a.held, a.given = []need{{3, given}}, []need{{3, given}}
		a.learn([]need{{3, lost}})
		return a.rate
	}
	learn(0, 0)
	for range 20 {
		if r := learn(50, 1); r < 0.9 || r > 1 {
			t.Fatalf("rate %v of 49 in 50", r)
		}
		if r := learn(4, 3); r < 0.9 {
			t.Fatalf("rate %v after one in four", r)
		}
	}
	rate := 0.0
	for range 30 {
		rate = learn(100, 40)
	}
	if rate < 0.55 || rate > 0.65 {
		t.Errorf("rate %v of six in ten", rate)
	}
	if a.of[0] > rateMemory+100 {
		t.Errorf("%v are remembered", a.of)
	}
}

// A source that does not hear is asked a few times, ever more rarely, and then no more. It is asked again once it answers somebody.
func TestAskInVain(t *testing.T) {
	o := object(t, "file", random(1, 50_000), small)
	f := newFeed(t, SendConfig{Requests: &Requests{}, Turns: 1, AnswerWait: time.Hour}, o)
	in := newInbox(t, t.TempDir(), InboxConfig{})
	k := newAsker(AskConfig{BackOff: 500 * time.Millisecond, Receivers: 1000, Last: 0.1}, newRand(1))
	var at []time.Duration
	for f.now < 10*time.Minute {
		p := f.next()
		h, _, err := parsePacket(p)
		if err != nil {
			t.Fatal(err)
		}
		if h.kind != kindData || h.block != 2 {
			in.Handle(p)
		}
		in.settle()
		if q := k.step(f.now, in); q != nil {
			at = append(at, f.now)
		}
	}
	for i := 2; i < len(at); i++ {
		if at[i]-at[i-1] < at[i-1]-at[i-2] && at[i]-at[i-1] < time.Second {
			t.Errorf("requests at %v", at)
		}
	}
	if len(at) != askTries {
		t.Errorf("%d requests, at %v, want %d", len(at), at, askTries)
	}
}

// A request is a few small packets, in a session that the carousel's listeners do not hear.
func TestRequestIsSmall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		packets, bytes := 0, 0
		w.fabric.SetDrop(func(from, _ netip.Addr, b []byte) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			if from == address(10) {
				packets++
				bytes += len(b)
				var p wire.Packet
				if p.Decode(b) == nil && (p.DestinationPort == 7500 || p.DestinationPort == 7501) {
					t.Errorf("%v under port %d", p.Type, p.DestinationPort)
				}
			}
			return false
		})
		requests := w.requests(1)
		l, err := transport.Listen("udp", group, w.silent(11))
		if err != nil {
			t.Fatal(err)
		}
		b := appendPacket(nil, head{kind: kindRequest, id: ID{1}}, appendNeeds(nil, []need{{1, 2}, {3, 4}}))
		if err := aside.Say(context.Background(), "udp", group, requestConfig(group, &transport.Config{Network: w.host(10)}), b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := requests.take(nil); len(got) != 1 || len(got[0].list) != 2 || got[0].id != (ID{1}) {
			t.Errorf("heard %+v", got)
		}
		packets, bytes = packets/3, bytes/3 // it was counted at three hosts, its own too
		t.Logf("%d packets, %d bytes", packets, bytes)
		if packets > 16 || bytes > 1500 {
			t.Errorf("%d packets and %d bytes for a request", packets, bytes)
		}
		if st := l.Stats(); st.Sources != 0 {
			t.Errorf("%+v", st)
		}
		l.Close()
		requests.Close()
	})
}
