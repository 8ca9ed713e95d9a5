package session

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// TestScripts runs the protocol stories of testdata/*.txt: each command's expectation is the trace of packets it caused. Run
// with -rewrite to write them anew, and read the diff.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		var s script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.do(t, d)
		})
	})
}

// script is a network with names.
type script struct {
	n       *network
	sources map[string]*Source
	peers   map[string]*Peers
	open    map[string]*Receiver
	written int
	waits   []*Confirmation
	rules   []rule
	trace   strings.Builder
	hide    map[wire.Type]bool
}

// rule drops matching packets.
type rule struct {
	typ    wire.Type
	sqn    seq.Num
	any    bool
	parity bool
	to     string
	times  int
}

func (s *script) do(t *testing.T, d *datadriven.TestData) string {
	s.trace.Reset()
	arg := func(i int) string {
		if i >= len(d.CmdArgs) {
			d.Fatalf(t, "%s wants %d arguments", d.Cmd, i+1)
		}
		return d.CmdArgs[i].Key
	}
	switch d.Cmd {
	case "network":
		*s = script{n: newNetwork(t, 1), sources: map[string]*Source{}, peers: map[string]*Peers{}, open: map[string]*Receiver{}, hide: map[wire.Type]bool{}}
		s.n.drop, s.n.spy = s.dropped, s.spy
	case "source":
		s.addSource(t, d)
	case "receiver":
		s.addReceiver(t, d)
	case "hide":
		for _, a := range d.CmdArgs {
			s.hide[typeNamed(t, d, a.Key)] = true
		}
	case "show":
		for _, a := range d.CmdArgs {
			delete(s.hide, typeNamed(t, d, a.Key))
		}
	case "drop": // drop TYPE [SQN] [parity] [to=NAME] [times=N]
		s.addRule(t, d)
	case "clear":
		s.rules = nil
	case "write": // write SOURCE BYTES
		n, _ := strconv.Atoi(arg(1))
		b := pattern(uint64(s.written), n)
		s.written += n
		fmt.Fprintf(&s.trace, "took %d\n", s.sources[arg(0)].Write(s.n.now, b))
	case "message":
		n, _ := strconv.Atoi(arg(1))
		fmt.Fprintf(&s.trace, "took %v\n", s.sources[arg(0)].WriteMessage(s.n.now, pattern(uint64(s.written), n)))
	case "loss": // loss SOURCE SHARE: what receivers report, until the source believes it
		share, _ := strconv.ParseFloat(arg(1), 64)
		for range 8 {
			s.sources[arg(0)].parity.control.Loss(share)
		}
	case "await": // await SOURCE COUNT [ID …]
		q := Quorum{}
		q.Count, _ = strconv.Atoi(arg(1))
		for _, a := range d.CmdArgs[2:] {
			id, _ := strconv.ParseUint(a.Key, 10, 64)
			q.Of = append(q.Of, wire.ReceiverID(id))
		}
		s.waits = append(s.waits, s.sources[arg(0)].Await(s.n.now, q))
	case "waits": // waits SOURCE: how far each of its waits is
		for i, w := range s.waits {
			fmt.Fprintf(&s.trace, "%d: %d of %d, missing %v\n", i+1, len(w.Got()), w.Want(), s.sources[arg(0)].Lacking(w))
		}
	case "finish":
		s.sources[arg(0)].Finish(s.n.now)
	case "reset":
		s.sources[arg(0)].Reset(s.n.now, 7)
	case "pause", "resume":
		for _, nd := range s.n.nodes {
			if nd.name == arg(0) {
				nd.paused = d.Cmd == "pause"
			}
		}
	case "forge":
		s.forge(t, d)
	case "advance":
		by, err := time.ParseDuration(arg(0))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.n.run(s.n.now.Add(by), never)
	case "read":
		s.read(arg(0))
	case "tally": // reads, and sums up
		s.read(arg(0))
		s.tally()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	if s.trace.Len() == 0 {
		return "ok\n"
	}
	return s.trace.String()
}

func (s *script) addSource(t *testing.T, d *datadriven.TestData) {
	nd, src := s.n.source(func(c *SourceConfig) {
		c.TSI.Port += uint16(len(s.sources))
		for _, a := range d.CmdArgs[1:] {
			switch a.Key {
			case "slots":
				c.Slots, _ = strconv.Atoi(a.Vals[0])
			case "first":
				first, _ := strconv.ParseUint(a.Vals[0], 10, 32)
				c.First = seq.Num(first)
			case "parity":
				k, _ := strconv.Atoi(a.Vals[0])
				c.Parity = fec.Config{GroupSize: k, Goal: fec.LeastBytes}.WithDefaults()
			case "proactive": // after parity
				h, _ := strconv.Atoi(a.Vals[0])
				c.Parity = fec.Config{GroupSize: c.Parity.GroupSize, Proactive: h}.WithDefaults()
			case "rate":
				c.Rate, _ = flow.ParseRate(a.Vals[0])
			case "age":
				c.WindowAge, _ = time.ParseDuration(a.Vals[0])
			case "adapts": // starts at this rate
				start, _ := flow.ParseRate(a.Vals[0])
				c.Congestion = &CongestionConfig{Start: start}
			case "linger":
				c.Linger, _ = time.ParseDuration(a.Vals[0])
			default:
				d.Fatalf(t, "unknown source setting %s", a.Key)
			}
		}
	})
	nd.name = d.CmdArgs[0].Key
	s.sources[nd.name] = src
}

func (s *script) addReceiver(t *testing.T, d *datadriven.TestData) {
	nd, ps := s.n.peers(func(c *PeersConfig) {
		for _, a := range d.CmdArgs[1:] {
			switch a.String() {
			case "join=now":
				c.Join = JoinNow
			case "join=trail":
				c.Join = JoinTrail
			case "unordered":
				c.Unordered = true
			case "receive-only":
				c.ReceiveOnly = true
			case "no-parity":
				c.NoParity = true
			default:
				switch a.Key {
				case "max-delay":
					c.MaxDelay, _ = time.ParseDuration(a.Vals[0])
				case "id":
					id, _ := strconv.ParseUint(a.Vals[0], 10, 64)
					c.ID, c.Confirm = wire.ReceiverID(id), true
				case "window":
					c.MaxWindow, _ = strconv.Atoi(a.Vals[0])
				case "expiry":
					c.Expiry, _ = time.ParseDuration(a.Vals[0])
				default:
					d.Fatalf(t, "unknown receiver setting %s", a)
				}
			}
		}
	})
	nd.name = d.CmdArgs[0].Key
	s.peers[nd.name] = ps
}

func typeNamed(t *testing.T, d *datadriven.TestData, name string) wire.Type {
	for typ := wire.Type(0); typ < 16; typ++ {
		if strings.EqualFold(typ.String(), name) {
			return typ
		}
	}
	d.Fatalf(t, "no packet type %s", name)
	return 0
}

func (s *script) addRule(t *testing.T, d *datadriven.TestData) {
	r := rule{typ: typeNamed(t, d, d.CmdArgs[0].Key), any: true, times: 1 << 30}
	for _, a := range d.CmdArgs[1:] {
		switch a.Key {
		case "to":
			r.to = a.Vals[0]
		case "times":
			r.times, _ = strconv.Atoi(a.Vals[0])
		case "parity":
			r.parity = true
		default:
			n, err := strconv.ParseUint(a.Key, 10, 32)
			if err != nil {
				d.Fatalf(t, "drop what? %s", a)
			}
			r.sqn, r.any = seq.Num(n), false
		}
	}
	s.rules = append(s.rules, r)
}

func (s *script) dropped(_, to *node, p *wire.Packet) bool {
	for i := range s.rules {
		r := &s.rules[i]
		if r.typ == p.Type && r.parity == (p.Flags&wire.FlagParity != 0) && (r.any || r.sqn == p.Sqn) && (r.to == "" || r.to == to.name) && r.times > 0 {
			r.times--
			if !s.hide[p.Type] {
				fmt.Fprintf(&s.trace, "  lost on the way to %s: %v %d\n", to.name, p.Type, p.Sqn)
			}
			return true
		}
	}
	return false
}

// spy writes one packet into the trace.
func (s *script) spy(from *node, p *wire.Packet) {
	if s.hide[p.Type] {
		return
	}
	fmt.Fprintf(&s.trace, "%.6f %s %v", float64(s.n.now)/1e9, from.name, p.Type)
	if p.DestinationPort == testPort+1 || p.SourcePort == testPort+1 {
		s.trace.WriteString(" parity")
	}
	switch p.Type {
	case wire.TypeSPM:
		fmt.Fprintf(&s.trace, " %d window %v", p.Sqn, seq.Range{From: p.Trail, To: p.Lead.Add(1)})
	case wire.TypeODATA, wire.TypeRDATA:
		fmt.Fprintf(&s.trace, " %d trail %d, %d bytes", p.Sqn, p.Trail, len(p.Payload))
	case wire.TypeNAK, wire.TypeNCF:
		fmt.Fprintf(&s.trace, " %v", p.Numbers(nil))
	}
	o := &p.Options
	if o.Set.Has(wire.OptPeer) && p.Type == wire.TypeSPM && o.Peer.Pace.Confirm != 0 {
		fmt.Fprintf(&s.trace, " to confirm all before %d", o.Peer.Pace.Mark)
	}
	if o.Set.Has(wire.OptPeer) && p.Type.Upstream() && o.Peer.Flags&peerConfirms != 0 {
		fmt.Fprintf(&s.trace, " %d holds [%d,%d)", uint64(o.Peer.Report.ID), o.Peer.Report.Start, o.Peer.Report.Front)
	}
	if o.Set.Has(wire.OptParityPRM) {
		fmt.Fprintf(&s.trace, " of %d, hold %v, %d ahead", o.ParityPRM.GroupSize, decodeHold(o.Peer.Hold).Round(10*time.Microsecond), o.Peer.Ahead)
	}
	if o.Set.Has(wire.OptCurrTGSize) {
		fmt.Fprintf(&s.trace, ", group of %d", o.CurrTGSize)
	}
	if p.Flags&wire.FlagVarPktLen != 0 {
		s.trace.WriteString(", lengths vary")
	}
	if o.Set.Has(wire.OptJoin) {
		fmt.Fprintf(&s.trace, " join %d", o.Join)
	}
	if o.Set.Has(wire.OptFIN) {
		s.trace.WriteString(" fin")
	}
	if o.Set.Has(wire.OptRST) {
		fmt.Fprintf(&s.trace, " reset %d", o.Reset.Code)
	}
	if o.Set.Has(wire.OptFragment) && p.Flags&wire.FlagParity != 0 {
		s.trace.WriteString(", parts of messages")
	} else if o.Set.Has(wire.OptFragment) {
		fmt.Fprintf(&s.trace, ", part of %d at %d of %d", o.Fragment.First, o.Fragment.Offset, o.Fragment.Length)
	}
	s.spyPace(&o.Peer)
	s.trace.WriteByte('\n')
}

// spyPace writes what concerns the rate.
func (s *script) spyPace(o *wire.Peer) {
	if q := &o.Pace; q.Every != 0 {
		fmt.Fprintf(&s.trace, ", acker %d, every %v", uint64(q.Acker), flow.DecodeGRTT(q.Every).Round(100*time.Microsecond))
		if q.Told != 0 {
			fmt.Fprintf(&s.trace, ", evicts %d", uint64(q.Told))
		}
	}
	if q := &o.Report; q.Heard != 0 {
		fmt.Fprintf(&s.trace, ", %d got %d up to %d, room %d", uint64(q.ID), q.Heard, q.Lead, q.Room)
		if o.Flags&peerBehind != 0 {
			s.trace.WriteString(", behind")
		}
	}
}

// forge sends a packet in the name of a source: forge SOURCE TYPE SQN [trail=N] [lead=N].
func (s *script) forge(t *testing.T, d *datadriven.TestData) {
	src := s.sources[d.CmdArgs[0].Key]
	n, _ := strconv.ParseUint(d.CmdArgs[2].Key, 10, 32)
	p := wire.Packet{
		Type: typeNamed(t, d, d.CmdArgs[1].Key), GSI: src.cfg.TSI.GSI, SourcePort: src.cfg.TSI.Port, DestinationPort: testPort,
		Sqn: seq.Num(n), Path: src.cfg.Path, Source: src.cfg.Path, Group: testGroup,
	}
	for _, a := range d.CmdArgs[3:] {
		v, _ := strconv.ParseUint(a.Vals[0], 10, 32)
		switch a.Key {
		case "trail":
			p.Trail = seq.Num(v)
		case "lead":
			p.Lead = seq.Num(v)
		}
	}
	if p.Type == wire.TypeODATA {
		p.Payload = []byte("forged")
	}
	for _, nd := range s.n.nodes {
		if nd.engine == engine(src) {
			tr := Transmit{B: p.Append(nil)}
			tr.Segment = len(tr.B)
			s.n.send(nd, &tr)
		}
	}
}

// tally makes one line of what was read: messages, then losses and the end as they stand.
func (s *script) tally() {
	messages, bytes := 0, 0
	var rest []string
	for line := range strings.Lines(s.trace.String()) {
		n := 0
		if _, err := fmt.Sscanf(line, "message of %d bytes", &n); err == nil {
			messages, bytes = messages+1, bytes+n
		} else {
			rest = append(rest, strings.TrimSpace(line))
		}
	}
	s.trace.Reset()
	fmt.Fprintf(&s.trace, "%d messages, %d bytes; %s\n", messages, bytes, strings.Join(rest, "; "))
}

// read reads messages from a receiver until it would block or ends.
func (s *script) read(name string) {
	r := s.open[name]
	if r == nil {
		if r = s.peers[name].Accept(); r == nil {
			s.trace.WriteString("nothing to accept\n")
			return
		}
		s.open[name] = r
	}
	buf := make([]byte, 1<<20)
	for {
		n, err := r.ReadMessage(s.n.now, buf)
		var loss *LossError
		switch {
		case err == nil:
			fmt.Fprintf(&s.trace, "message of %d bytes\n", n)
		case errors.As(err, &loss):
			fmt.Fprintf(&s.trace, "lost %v: %v\n", loss.Lost, loss.Reason)
		default:
			fmt.Fprintf(&s.trace, "%v\n", err)
			return
		}
	}
}
