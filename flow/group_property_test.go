package flow

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// check has what must hold of a Group at any time.
func (g *Group) check(t interface{ Fatalf(string, ...any) }) {
	if len(g.members) > g.cfg.Max || len(g.events) > groupEvents || len(g.gone) > groupEvicted || len(g.evicted) > groupEvicted || len(g.hosts) > len(g.members) {
		t.Fatalf("%d members, %d hosts, %d events, %d evicted", len(g.members), len(g.hosts), len(g.events), len(g.gone))
	}
	n, news, lates, hosts := 0, 0, 0, map[string]groupHost{}
	last := mono.Time(0)
	for m := g.order.head; m != nil; m = m.links[0].next {
		n++
		if m.late {
			lates++
		}
		h := hosts[m.key.from.String()]
		if h.members++; m.left {
			h.left++
		}
		hosts[m.key.from.String()] = h
		if g.members[m.key] != m || m.heard < last || m.left && m == g.acker || m.key.id == 0 || g.evicted[m.key.id] {
			t.Fatalf("member %+v, acker %v", m, m == g.acker)
		}
		last = m.heard
		if !(m.ratio >= 0 && m.ratio <= 1e6) || !(m.loss <= 1) || !(m.says <= 1) || m.rate < 0 || m.rate == Unlimited {
			t.Fatalf("ratio %v, loss %v and %v, rate %v", m.ratio, m.loss, m.says, m.rate)
		}
	}
	for m := g.news.head; m != nil; m = m.links[1].next {
		news++
		if !m.fresh || g.members[m.key] != m {
			t.Fatalf("new member %+v", m)
		}
	}
	fresh := 0
	for _, m := range g.members {
		if m.fresh {
			fresh++
		}
	}
	if n != len(g.members) || lates != g.lates || news != fresh || len(hosts) != len(g.hosts) {
		t.Fatalf("%d of %d members, %d late of %d, %d new of %d, %d hosts of %d", n, len(g.members), lates, g.lates, news, fresh, len(hosts), len(g.hosts))
	}
	for from, h := range g.hosts {
		if hosts[from.String()] != *h || h.members > groupPerAddr {
			t.Fatalf("host %v: %+v, want %+v", from, *h, hosts[from.String()])
		}
	}
	if g.acker != nil && (g.members[g.acker.key] != g.acker || !g.mayLead(g.acker)) {
		t.Fatalf("acker %+v", g.acker)
	}
	if g.tight != nil && !g.dirty && g.members[g.tight.key] != g.tight {
		t.Fatalf("the tightest is not known: %+v", g.tight)
	}
	for i := range g.line.n - 1 {
		if a, b := g.line.points[i], g.line.points[i+1]; !a.lead.Less(b.lead) || a.at >= b.at || a.bytes > b.bytes {
			t.Fatalf("points %+v and %+v", a, b)
		}
	}
}

// Anything may be reported by anybody: no table grows, no list breaks, nothing leaves its range, whoever sets the pace may.
func TestGroupHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slow := Slow{Mode: SlowMode(rapid.IntRange(0, 4).Draw(t, "mode"))}
		if slow.Mode == FollowNamed {
			slow.Named = []uint64{1, 2}
		}
		g := NewGroup(GroupConfig{Slow: slow, Max: rapid.IntRange(1, 12).Draw(t, "max")})
		now := mono.Time(0)
		lead := seq.Num(rapid.Uint32().Draw(t, "lead"))
		some32 := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 100), rapid.Just[uint32](math.MaxUint32))
		honest := map[groupKey]Report{}
		report := func(t *rapid.T, r Report) {
			was := lead
			d, acker := g.Report(now, r)
			if d.Expected < 0 || d.Came < 0 || d.Bytes < 0 || d.Over < 0 || d.Held < 0 || d.Room < 0 || d != (Delivery{}) && d.Lead != r.Lead {
				t.Fatalf("%+v gives %+v", r, d)
			}
			if id, ok := g.Acker(); acker && (!ok || id != r.ID) {
				t.Fatalf("the acker's is a report of %d, the acker %d %v", r.ID, id, ok)
			}
			_ = was
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				g.check(t)
				if at := g.Deadline(); at <= now {
					g.Advance(now)
					if at = g.Deadline(); at <= now {
						t.Fatalf("Advance at %v leaves a deadline of %v", now, at)
					}
				}
				if s := g.Stats(); s.Heard != len(g.members) || s.Followed+s.Slow > s.Heard || s.RTTMin > s.RTTMax || !(s.WorstLoss >= 0 && s.WorstLoss <= 1) {
					t.Fatalf("stats %+v", s)
				}
				if slow := g.Slow(); slow < 0 {
					t.Fatalf("slow is below %v", slow)
				}
			},
			"garbage": func(t *rapid.T) {
				report(t, Report{
					ID: rapid.Uint64Range(0, 5).Draw(t, "id"), From: groupAddr(rapid.IntRange(0, 5).Draw(t, "from")),
					Lead: lead.Add(rapid.IntRange(-math.MaxInt32, 0).Draw(t, "lead")), Held: time.Duration(rapid.Int64().Draw(t, "held")),
					Clock: some32.Draw(t, "clock"), Bytes: some32.Draw(t, "bytes"), Heard: some32.Draw(t, "heard"),
					Room: rapid.Int().Draw(t, "room"), Behind: rapid.Bool().Draw(t, "behind"),
					Loss: rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN())).Draw(t, "loss"), RTT: time.Duration(rapid.Int64().Draw(t, "rtt")),
				})
			},
			"plausible": func(t *rapid.T) { // goes on from the one before, and leads into the depths of the policies
				k := groupKey{rapid.Uint64Range(1, 8).Draw(t, "id"), groupAddr(rapid.IntRange(0, 2).Draw(t, "from"))}
				r := honest[k]
				if r.ID == 0 {
					r = Report{ID: k.id, From: k.from, Lead: lead.Add(-5000), Loss: -1, Room: 100}
				}
				for range rapid.IntRange(1, 6).Draw(t, "reports") {
					n := rapid.IntRange(0, 300).Draw(t, "numbers")
					r.Lead = r.Lead.Add(n)
					if lead.Less(r.Lead) {
						lead = r.Lead
					}
					d := time.Duration(rapid.Int64Range(1, 200e6).Draw(t, "over"))
					now = now.Add(d)
					if n > 0 {
						r.Clock += uint32(d / time.Microsecond)
						r.Heard += uint32(rapid.IntRange(0, n).Draw(t, "came"))
						r.Bytes += uint32(rapid.IntRange(0, 30*n).Draw(t, "bytes"))
					}
					r.Behind, r.Room = rapid.Bool().Draw(t, "behind"), rapid.IntRange(0, 200).Draw(t, "room")
					report(t, r)
				}
				honest[k] = r
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Int64Range(0, 15e9)).Draw(t, "wait")))
			},
			"silent":  func(t *rapid.T) { g.Silent(now) },
			"blocked": func(t *rapid.T) { g.Room(now); g.Blocked(now) },
			"told": func(t *rapid.T) {
				g.SetSize(rapid.Float64Range(0, 1e15).Draw(t, "size"))
				g.SetPace(Rate(rapid.Int64Min(0).Draw(t, "pace")))
				g.Switched()
				g.Events(nil)
			},
		})
	})
}

// What a receiver got between two reports is told exactly, whatever wrapped around, was lost or overtaken on the way.
func TestGroupCountersWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGroup(GroupConfig{Slow: Slow{Floor: -1}})
		var lead, clock, bytes, heard uint64 // as they would be without wrapping
		near := rapid.Uint64Range(1<<32-3000, 1<<32-1)
		lead, clock, bytes, heard = near.Draw(t, "lead"), near.Draw(t, "clock"), near.Draw(t, "bytes"), near.Draw(t, "heard")
		now := mono.Time(time.Second)
		type at struct{ lead, clock, bytes, heard uint64 }
		say := func(a at) (Delivery, bool) {
			return g.Report(now, Report{
				ID: 1, From: groupAddr(1), Lead: seq.Num(uint32(a.lead)), Clock: uint32(a.clock), Bytes: uint32(a.bytes), Heard: uint32(a.heard), Loss: -1,
			})
		}
		taken := at{lead, clock, bytes, heard}
		if d, acker := say(taken); !acker || d.Over != 0 || d.Expected != 0 || d.Bytes != 0 {
			t.Fatalf("the first: %+v %v", d, acker)
		}
		late := taken
		for range rapid.IntRange(1, 30).Draw(t, "reports") {
			n := rapid.Uint64Range(1, 5000).Draw(t, "numbers")
			over := rapid.Uint64Range(1, 3e6).Draw(t, "us")
			lead, clock = lead+n, clock+over
			heard += rapid.Uint64Range(0, n).Draw(t, "came")
			bytes += rapid.Uint64Range(0, 1000*n).Draw(t, "bytes")
			now = now.Add(time.Duration(over) * time.Microsecond)
			got := at{lead, clock, bytes, heard}
			switch rapid.IntRange(0, 3).Draw(t, "fate") {
			case 0: // lost
				late = got
				continue
			case 1: // overtaken
				if late.lead < taken.lead && late.heard <= taken.heard {
					if d, acker := say(late); acker || d != (Delivery{}) {
						t.Fatalf("overtaken by %+v: %+v gives %+v", taken, late, d)
					}
				}
			}
			d, acker := say(got)
			want := Delivery{
				Lead: seq.Num(uint32(lead)), Expected: int(lead - taken.lead), Came: int(heard - taken.heard), Bytes: int64(bytes-taken.bytes) * 64,
				Over: time.Duration(clock-taken.clock) * time.Microsecond,
			}
			if !acker || d != want {
				t.Fatalf("%+v, want %+v", d, want)
			}
			late, taken = taken, got
		}
		if s := g.Stats(); s.Odd != 0 {
			t.Fatalf("stats %+v", s)
		}
	})
}

// A line finds where the acker was at any number of the last seconds, within a small part of how long ago that is, however its rate
// changed, and holds little.
func TestGroupLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l groupLine
		all := []groupPoint{{lead: seq.Num(rapid.Uint32().Draw(t, "lead"))}}
		l.add(all[0])
		rate := rapid.SampledFrom([]int{1, 10, 100}).Draw(t, "rate")
		for range rapid.IntRange(1, 40).Draw(t, "stretches") {
			rate = min(max(rate*rapid.IntRange(1, 4).Draw(t, "up")/2, 1), 1000)
			for range rapid.IntRange(1, 60).Draw(t, "points") {
				p := all[len(all)-1]
				p.lead, p.at, p.bytes = p.lead.Add(rate), p.at+4*time.Millisecond, p.bytes+int64(rate)*1500
				all = append(all, p)
				l.add(p)
			}
		}
		end := all[len(all)-1]
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "at")]
		at, bytes, i := l.at(p.lead)
		age := end.at - p.at
		if age > groupSilence {
			return
		}
		if slack := age/4 + 4*time.Millisecond; i < 0 || (at-p.at).Abs() > slack {
			t.Fatalf("of %v ago: %v off, index %d of %d", age, at-p.at, i, l.n)
		}
		if bytes < 0 || bytes > end.bytes {
			t.Fatalf("%d bytes of %d", bytes, end.bytes)
		}
		if _, _, i := l.at(all[0].lead.Add(-1)); i >= 0 {
			t.Fatalf("before the beginning: index %d", i)
		}
		if at, bytes, i := l.at(end.lead.Add(5)); at != end.at || bytes != end.bytes || i != l.n-1 {
			t.Fatalf("after the end: %v, %d, %d", at, bytes, i)
		}
	})
}
