package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/wire"
)

func pingCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "ping", Usage: "who is there; does multicast work here", ArgsUsage: "[NAME|GROUP]",
		Flags: watchFlags(
			&cli.IntFlag{Name: "count", Value: 5, Usage: "ask `N` times; 0: until Ctrl-C"},
			&cli.DurationFlag{Name: "every", Value: time.Second, Usage: "`TIME` between"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			err := notNegative(c, "count")
			if err != nil {
				return err
			}
			p := pinger{count: c.Int("count"), w: newWatcher(), sources: map[string]*pinged{}}
			if p.every, err = everyOf(c); err != nil {
				return err
			}
			name := "rmcast ping" // of the group in which this machine is examined
			if c.Args().Len() > 0 {
				if name, err = one(c); err != nil {
					return err
				}
			}
			if p.access, err = reach(e, c, name); err != nil {
				return err
			}
			if c.Args().Len() == 0 {
				return p.examine(ctx)
			}
			return p.run(ctx)
		},
	}
}

// pinger asks who is in a group: members of the roster by its pings, and PGM sources of any kind by SPMRs, which they answer with an SPM.
type pinger struct {
	*access
	count int // rounds; 0: for ever
	every time.Duration

	roster *roster.Roster
	conn   dgram.Conn

	mu      sync.Mutex
	w       *watcher
	sources map[string]*pinged // by label
}

// pinged is how a source answers.
type pinged struct {
	asked   time.Time // zero: nothing is open
	rounds  int       // in which it was asked
	answers int
	times   []time.Duration // of the last maxTimes answers
}

const maxTimes = 101

// median is the round trip: an SPM that came by itself just after we asked looks like a quick answer, and must not count for it.
func (q *pinged) median() time.Duration {
	if len(q.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(q.times))
	return sorted[len(sorted)/2]
}

// run asks, and prints who answered.
func (p *pinger) run(ctx context.Context) (err error) {
	if p.conn, err = p.watch(ctx); err != nil {
		return err
	}
	p.w.group = p.to.group.Port()
	defer p.conn.Close()
	if p.roster, err = p.join(ctx, roster.Config{Role: rolePing, Pong: true}); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = listen(inner, p.conn, p.to.group, p.take) })
	err = p.rounds(ctx)
	cancel()
	running.Wait()
	p.roster.Leave()
	if err != nil && p.count != 0 {
		return err
	}
	return p.result(ctx)
}

// take enters a packet of the group.
func (p *pinger) take(h heard) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	packet, s, _, err := p.w.add(h)
	if err != nil || s == nil || packet.Type != wire.TypeSPM {
		return true
	}
	if q := p.sources[s.label]; q != nil && !q.asked.IsZero() {
		q.times = append(q.times, h.at.Sub(q.asked))
		q.times = q.times[max(0, len(q.times)-maxTimes):]
		q.asked = time.Time{}
		q.answers++
	}
	return true
}

// rounds asks again and again.
func (p *pinger) rounds(ctx context.Context) error {
	p.e.tell.say("ready", fmt.Sprintf("asking who is in %s on %s; Ctrl-C ends", p.to.full(), p.conn.Info().Interface), fields{"group": p.to.group.String(), "interface": p.conn.Info().Interface})
	known := map[string]bool{}
	pause := time.NewTicker(p.every)
	defer pause.Stop()
	for n := int64(1); p.count == 0 || n <= int64(p.count)+1; n++ { // once more than is counted: others have to be met first
		p.roster.Ping(n)
		p.ask()
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return ended(ctx)
			case <-pause.C:
				waiting = false
			case <-p.roster.Changed():
			}
			p.tellNew(known)
		}
	}
	return nil
}

// ask sends an SPMR to each source.
func (p *pinger) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range p.w.sessions {
		if !s.source.IsValid() || s.ended || s.reset {
			continue
		}
		q := p.sources[s.label]
		if q == nil {
			q = &pinged{}
			p.sources[s.label] = q
		}
		port := s.port
		if port == 0 {
			port = p.to.group.Port()
		}
		b := (&wire.Packet{Type: wire.TypeSPMR, SourcePort: s.dest, DestinationPort: s.tsi.Port, GSI: s.tsi.GSI}).Append(nil)
		q.rounds++
		q.asked = now
		_ = p.conn.WriteRun(b, 0, netip.AddrPortFrom(s.source, port), 0) // if it fails nobody answers
	}
}

// tellNew tells of members as they answer.
func (p *pinger) tellNew(known map[string]bool) {
	for _, m := range p.roster.Members() {
		if m.Pinged && !known[m.ID] {
			known[m.ID] = true
			p.e.tell.say("answer", fmt.Sprintf("%s (%s, %s) answers after %s", m.Host, m.Addr.WithZone(""), m.Role, human.Duration(m.RTT)), fields{"host": m.Host, "addr": m.Addr.String(), "role": m.Role, "rtt": m.RTT.Seconds()})
		}
	}
}

// The tables of who is there: members of the roster, and sources.
var (
	memberColumns = []column{{title: "WHO", least: 8}, {title: "ADDRESS", rank: 3, least: 15}, {title: "DOES", rank: 4}, {title: "RTT", rank: 1, right: true}, {title: "LOSS TO", rank: 2, right: true}, {title: "LOSS FROM", rank: 5, right: true}}
	sourceColumns = []column{{title: "SOURCE", least: 15}, {title: "KIND", rank: 3}, {title: "RTT", rank: 1, right: true}, {title: "LOSS", rank: 2, right: true}, {title: "TSI", rank: 4, least: 15}}
)

// result prints who is there.
func (p *pinger) result(ctx context.Context) error {
	members, sources := p.members(), p.answers()
	switch {
	case len(members)+len(sources) == 0:
		return p.nobody(ctx)
	case p.e.json:
		return p.e.tell.failed()
	}
	var blocks []string
	width := p.e.width()
	for _, lines := range [][]string{layout(width, memberColumns, members), layout(width, sourceColumns, sources)} {
		if len(lines) > 1 {
			blocks = append(blocks, strings.Join(lines, "\n")+"\n")
		}
	}
	return p.e.print(strings.Join(blocks, "\n"))
}

// nobody looks for the reason of silence.
func (p *pinger) nobody(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	p.e.tell.say("nobody", fmt.Sprintf("nobody answers in %s. What there is to say about this machine:", p.to.full()), nil)
	if err := p.examine(ctx); err != nil {
		return err
	}
	return &failure{exitNobody, "nobody answered in " + p.to.String(), fmt.Sprintf("Run rmcast ping %s on another machine at the same time: two of them find each other. If they do not, what is said above holds for that one too; "+
		"then look at what is between: a firewall there (allow UDP to %s), another network or VLAN (-hops), Wi-Fi with client isolation, a switch that snoops without a querier.", quote(p.to.given), p.to.group.Addr().WithZone("")), nil}
}

// members are the rows of the roster.
func (p *pinger) members() (rows [][]string) {
	for _, m := range p.roster.Members() {
		if m.Gone && !m.Pinged {
			continue
		}
		does := m.Role
		if m.Gone {
			does = "left"
		}
		rtt, to := "-", "-"
		f := fields{"host": m.Host, "addr": m.Addr.String(), "role": m.Role, "gone": m.Gone, "state": m.State, "rtt": nil, "answers": m.Pinged, "loss_to": nil, "loss_from": m.Missed}
		if m.Pinged {
			rtt, to = human.Duration(m.Least), human.Percent(m.Lost)
			f["rtt"], f["loss_to"] = m.Least.Seconds(), m.Lost
		}
		rows = append(rows, []string{m.Host, m.Addr.WithZone("").String(), does, rtt, to, human.Percent(m.Missed)})
		p.json("member", f)
	}
	return rows
}

// answers are the rows of the sources.
func (p *pinger) answers() (rows [][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.w.sessions {
		if !s.source.IsValid() {
			continue
		}
		q := p.sources[s.label]
		if q == nil {
			q = &pinged{}
		}
		rtt := "no answer"
		f := fields{"tsi": s.tsi.String(), "addr": s.source.String(), "kind": s.whose(), "rtt": nil, "answers": q.answers, "asked": q.rounds, "loss": s.lossValue(), "packets": s.packets}
		switch {
		case q.answers > 0:
			rtt = human.Duration(q.median())
			f["rtt"] = q.median().Seconds()
		case s.ended:
			rtt = "ended"
		case q.rounds == 0:
			rtt = "not asked"
		}
		rows = append(rows, []string{s.source.WithZone("").String(), s.whose(), rtt, s.lossText(), s.tsi.String()})
		p.json("source", f)
	}
	return rows
}

// json tells something to programs alone.
func (p *pinger) json(event string, f fields) {
	if p.e.json {
		p.e.tell.say(event, "", f)
	}
}

// examine looks at this machine and says what it finds.
func (p *pinger) examine(ctx context.Context) error {
	f := p.gather(ctx)
	if ctx.Err() != nil {
		return ended(ctx)
	}
	bad := 0
	var b strings.Builder
	width := max(p.e.width()-1, 30)
	if p.e.json {
		for _, i := range f.ifaces {
			p.json("interface", fields{"name": i.name, "up": i.up, "multicast": i.multicast, "loopback": i.loopback, "mtu": i.mtu, "addrs": i.addrs, "chosen": i.name == f.chosen})
		}
	} else {
		b.WriteString(f.table(width))
	}
	for _, x := range f.diagnose() {
		if x.level == broken {
			bad++
		}
		if p.e.json {
			p.json("finding", fields{"level": x.level.String(), "what": x.what, "do": x.do})
			continue
		}
		text := x.what
		if x.do != "" {
			text += ". " + x.do
		}
		b.WriteString(x.level.mark() + " " + human.Wrap(text, width-5, "     ") + "\n")
	}
	if err := p.e.print(b.String()); err != nil {
		return err
	}
	if bad > 0 {
		return fail(nil, "", "multicast does not work on this machine: see above")
	}
	return nil
}
