package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
)

func topCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "shows who sends, how fast, what gets lost", ArgsUsage: "NAME|GROUP",
		Flags: watchFlags(
			&cli.DurationFlag{Name: "every", Value: time.Second, Usage: "look every `TIME`"},
			&cli.DurationFlag{Name: "for", Usage: "end after `TIME`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			name, err := one(c)
			if err == nil {
				err = notNegative(c, "for")
			}
			if err != nil {
				return err
			}
			t := top{limit: c.Duration("for"), w: newWatcher()}
			if t.every, err = everyOf(c); err != nil {
				return err
			}
			if t.access, err = reach(e, c, name); err != nil {
				return err
			}
			t.w.group = t.to.group.Port()
			return t.run(ctx)
		},
	}
}

// top shows the sessions of a group.
type top struct {
	*access
	every time.Duration
	limit time.Duration // 0: none
	iface string
	began time.Time

	mu sync.Mutex
	w  *watcher
}

func (t *top) run(ctx context.Context) error {
	conn, err := t.watch(ctx)
	if err != nil {
		return err
	}
	t.iface, t.began = conn.Info().Interface, time.Now()
	inner, cancel := within(ctx, t.limit)
	defer cancel()
	people, err := t.join(ctx, roster.Config{Role: roleTop, Silent: true})
	if err == nil { // without, receivers are not counted
		defer people.Leave()
	}
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		failed <- listen(inner, conn, t.to.group, func(h heard) bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			_, _, _, _ = t.w.add(h)
			return true
		})
	})
	defer running.Wait()
	defer conn.Close()
	screen := t.e.outTTY && !t.e.json
	if screen {
		if err := t.e.print("\x1b[?1049h\x1b[?25l"); err != nil { // another screen, no cursor
			return err
		}
	}
	err = t.loop(ctx, inner, people, screen, failed)
	if screen {
		width, _ := t.e.size()
		last := t.table(time.Now(), people, width, 1000)
		if e := t.e.print("\x1b[?25h\x1b[?1049l" + last); err == nil {
			err = e
		}
	}
	return err
}

// loop shows the table until it ends.
func (t *top) loop(ctx, inner context.Context, people *roster.Roster, screen bool, failed <-chan error) error {
	ticks := time.NewTicker(t.every)
	defer ticks.Stop()
	for {
		if screen {
			width, height := t.e.size()
			text := t.table(time.Now(), people, width, height-1)
			if err := t.e.print("\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"); err != nil {
				return err
			}
		}
		select {
		case <-inner.Done():
			if ctx.Err() != nil {
				return ended(ctx)
			}
			return nil
		case err := <-failed:
			if inner.Err() != nil {
				continue
			}
			return explain("listening to "+t.to.String(), err)
		case <-ticks.C:
		}
		switch {
		case screen:
		case t.e.json:
			t.json(people)
			if err := t.e.tell.failed(); err != nil {
				return err
			}
		default:
			width, _ := t.e.size()
			if err := t.e.print(t.table(time.Now(), people, max(width, 80), 1000) + "\n"); err != nil {
				return err
			}
		}
	}
}

// row is what is shown of a session.
type row struct{ label, source, kind, state, rate, packets, loss, repairs, receivers string }

// columns are shown as far as there is room, in this order of importance; the order on the screen is that of the list.
var columns = []struct {
	title string
	width int
	of    func(*row) string
	rank  int
}{
	{"", 2, func(r *row) string { return r.label }, 0},
	{"SOURCE", 15, func(r *row) string { return r.source }, 1},
	{"KIND", 6, func(r *row) string { return r.kind }, 8},
	{"STATE", 6, func(r *row) string { return r.state }, 5},
	{"RATE", 11, func(r *row) string { return r.rate }, 2},
	{"PACKETS", 11, func(r *row) string { return r.packets }, 6},
	{"LOSS", 6, func(r *row) string { return r.loss }, 3},
	{"REPAIRS", 9, func(r *row) string { return r.repairs }, 4},
	{"RECEIVERS", 9, func(r *row) string { return r.receivers }, 7},
}

// table is the screen, of at most height lines of width characters.
func (t *top) table(now time.Time, people *roster.Roster, width, height int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.w.tick(now)
	head := fmt.Sprintf("%s  %s on %s, %s", t.to, t.to.group, t.iface, human.Duration(now.Sub(t.began)))
	if t.to.name == "" {
		head = fmt.Sprintf("%s on %s, %s", t.to.group, t.iface, human.Duration(now.Sub(t.began)))
	}
	lines := []string{human.Cut(head, width)}
	if len(t.w.sessions) == 0 {
		lines = append(lines, human.Cut("nobody sends here yet", width))
		return strings.Join(lines, "\n") + "\n"
	}
	shown := fit(width)
	var b strings.Builder
	for _, c := range shown {
		fmt.Fprintf(&b, "%-*s ", columns[c].width, columns[c].title)
	}
	lines = append(lines, strings.TrimRight(b.String(), " "))
	for i := len(t.w.sessions) - 1; i >= 0 && len(lines) < height; i-- { // the newest first
		r := t.row(t.w.sessions[i], now, people)
		b.Reset()
		for _, c := range shown {
			fmt.Fprintf(&b, "%-*s ", columns[c].width, human.Cut(columns[c].of(&r), columns[c].width))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return strings.Join(lines, "\n") + "\n"
}

// fit returns the columns that fit a width, the most important of them, in the order of the screen.
func fit(width int) (shown []int) {
	used := 0
	take := map[int]bool{}
	for rank := range len(columns) {
		for i, c := range columns {
			if c.rank == rank && used+c.width <= width {
				take[i] = true
				used += c.width + 1
			}
		}
	}
	for i := range columns {
		if take[i] {
			shown = append(shown, i)
		}
	}
	return shown
}

// row is what there is to show of a session.
func (t *top) row(s *watched, now time.Time, people *roster.Roster) row {
	r := row{
		label: s.label, source: s.source.WithZone("").String(), kind: s.whose(), state: s.state(now), rate: "-", packets: human.Number(int64(s.packets)),
		loss: human.Percent(s.loss()), repairs: human.Number(int64(s.repairs)), receivers: "?",
	}
	if !s.source.IsValid() {
		r.source = "?"
	}
	if r.state == "sends" || r.state == "idle" {
		r.rate = human.Rate(s.rate)
	}
	if n := listeners(people); n > 0 {
		r.receivers = human.Number(int64(n))
	} else if s.size > 0 {
		r.receivers = "~" + human.Number(int64(s.size))
	}
	return r
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

// json tells of each session.
func (t *top) json(people *roster.Roster) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.w.tick(now)
	for _, s := range t.w.sessions {
		t.e.tell.say("session", "", fields{
			"session": s.label, "tsi": s.tsi.String(), "source": s.source.String(), "kind": s.whose(), "state": s.state(now), "rate": int64(s.rate), "packets": s.packets,
			"bytes": s.data, "missed": s.missed(), "loss": s.loss(), "repairs": s.repairs, "naks_confirmed": s.ncfs, "receivers": listeners(people), "group_size": s.size, "grtt": s.grtt.Seconds(),
		})
	}
}
