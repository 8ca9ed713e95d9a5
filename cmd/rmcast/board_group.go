package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/dgram"
)

// groupBoard shows the sessions of a group, by their packets as they come here; nothing is sent for it.
type groupBoard struct {
	*access
	conn    dgram.Conn
	people  *roster.Roster // nil: receivers are not counted
	began   time.Time
	stop    context.CancelFunc
	failed  chan error
	running sync.WaitGroup

	mu sync.Mutex
	w  *watcher
}

// openGroupBoard begins to listen.
func openGroupBoard(ctx context.Context, a *access) (*groupBoard, error) {
	conn, err := a.watch(ctx)
	if err != nil {
		return nil, err
	}
	g := &groupBoard{access: a, conn: conn, began: time.Now(), failed: make(chan error, 1), w: newWatcher()}
	g.w.group = a.to.group.Port()
	g.people, _ = a.join(ctx, roster.Config{Role: roleTop, Silent: true})
	ctx, g.stop = context.WithCancel(ctx)
	g.running.Go(func() {
		g.failed <- listen(ctx, conn, a.to.group, func(h heard) bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			_, _, _, _ = g.w.add(h)
			return true
		})
	})
	return g, nil
}

// close ends listening.
func (g *groupBoard) close() {
	g.stop()
	g.conn.Close()
	g.running.Wait()
	if g.people != nil {
		g.people.Leave()
	}
}

func (g *groupBoard) look(_ context.Context, now time.Time) error {
	select {
	case err := <-g.failed:
		return explain("listening to "+g.to.String(), err)
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.w.tick(now)
	return nil
}

// head is the longest that fits: what matters less goes.
func (g *groupBoard) head(now time.Time, width int) string {
	iface, took := g.conn.Info().Interface, clock(now.Sub(g.began).Truncate(time.Second))
	for _, h := range []string{fmt.Sprintf("%s on %s, %s", g.to.full(), iface, took), fmt.Sprintf("%s on %s, %s", g.to, iface, took), fmt.Sprintf("%s on %s", g.to, iface)} {
		if utf8.RuneCountInString(h) <= width {
			return h
		}
	}
	return g.to.String()
}

func (g *groupBoard) rows(now time.Time) (rows []row) {
	g.mu.Lock()
	defer g.mu.Unlock()
	people := listeners(g.people)
	for _, s := range slices.Backward(g.w.sessions) { // the newest first
		r := row{
			label: s.label, source: s.source.WithZone("").String(), kind: s.whose(), state: s.state(now), rate: "-", packets: human.Number(int64(s.packets)),
			loss: s.lossText(), repairs: human.Number(int64(s.repairs)), receivers: "?",
		}
		if !s.source.IsValid() {
			r.source = "?"
		}
		if (r.state == "sends" || r.state == "idle") && now.Sub(s.since) >= rateAfter {
			r.rate = human.Rate(s.rate)
		}
		if people > 0 {
			r.receivers = human.Number(int64(people))
		} else if s.size > 0 {
			r.receivers = "~" + human.Number(int64(s.size))
		}
		rows = append(rows, r)
	}
	return rows
}

// listeners counts who receives, as far as they say.
func listeners(people *roster.Roster) (n int) {
	if people == nil {
		return 0
	}
	for _, m := range people.Members() {
		if !m.Gone && (m.Role == roleRecv || m.Role == roleCat || m.Role == roleChat) {
			n++
		}
	}
	return n
}

func (g *groupBoard) fields(now time.Time) (list []fields) {
	g.mu.Lock()
	defer g.mu.Unlock()
	people := listeners(g.people)
	for _, s := range g.w.sessions {
		list = append(list, fields{
			"session": s.label, "tsi": s.tsi.String(), "source": s.source.String(), "kind": s.whose(), "state": s.state(now), "rate": int64(s.rate), "packets": s.packets,
			"bytes": s.data, "missed": s.missed(), "loss": s.lossValue(), "repairs": s.repairs, "naks_confirmed": s.ncfs, "receivers": people, "group_size": s.size, "grtt": s.grtt.Seconds(),
		})
	}
	return list
}
