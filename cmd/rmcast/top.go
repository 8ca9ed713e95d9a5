package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
)

func topCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "shows who sends, how fast, what gets lost", ArgsUsage: "NAME|GROUP|URL",
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
			t := top{e: e, limit: c.Duration("for")}
			if t.every, err = everyOf(c); err != nil {
				return err
			}
			if strings.HasPrefix(name, "http://") {
				t.board = newInsideBoard(e, name)
				return t.run(ctx)
			}
			a, err := reach(e, c, name)
			if err != nil {
				return err
			}
			group, err := openGroupBoard(ctx, a)
			if err != nil {
				return err
			}
			defer group.close()
			t.board = group
			return t.run(ctx)
		},
	}
}

// top shows sessions, again and again.
type top struct {
	e     *env
	every time.Duration
	limit time.Duration // 0: none
	board board
}

// board is where what is shown comes from.
type board interface {
	look(ctx context.Context, now time.Time) error // brings it up to date; errOver: there will be no more
	head(now time.Time, width int) string          // one that fits the width, if there is any
	rows(now time.Time) []row
	fields(now time.Time) []fields // the same for programs
}

// errOver is of a board that has nothing more to show.
var errOver = errors.New("over")

// run shows the board until it is over, or the time is.
func (t *top) run(ctx context.Context) error {
	inner, cancel := within(ctx, t.limit)
	defer cancel()
	screen := t.e.outTTY && !t.e.json
	if screen {
		if err := t.e.print("\x1b[?1049h\x1b[?25l"); err != nil { // another screen, no cursor
			return err
		}
	}
	err := t.loop(inner, screen)
	if screen {
		width, _ := t.e.size()
		if e := t.e.print("\x1b[?25h\x1b[?1049l" + t.table(time.Now(), width, 1000)); err == nil {
			err = e
		}
	}
	switch {
	case ctx.Err() != nil:
		return ended(ctx)
	case inner.Err() != nil:
		return nil
	case errors.Is(err, errOver):
		t.e.tell.say("done", "there is no more to show: the command has ended", nil)
		return nil
	}
	return err
}

// loop shows what there is until it ends: on a screen at once, elsewhere after the first pause.
func (t *top) loop(ctx context.Context, screen bool) error {
	ticks := time.NewTicker(t.every)
	defer ticks.Stop()
	for first := true; ; first = false {
		now := time.Now()
		if err := t.board.look(ctx, now); err != nil {
			return err
		}
		if screen || !first {
			if err := t.show(now, screen); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			if screen || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			now = time.Now()
			if err := t.board.look(ctx, now); err != nil {
				return err
			}
			return t.show(now, screen) // the last, and with a short -for the only one
		case <-ticks.C:
		}
	}
}

// show shows it once.
func (t *top) show(now time.Time, screen bool) error {
	width, height := t.e.size()
	switch {
	case screen:
		return t.e.print("\x1b[H" + strings.ReplaceAll(t.table(now, width, height-1), "\n", "\x1b[K\n") + "\x1b[J")
	case t.e.json:
		for _, f := range t.board.fields(now) {
			t.e.tell.say("session", "", f)
		}
		return t.e.tell.failed()
	}
	return t.e.print(t.table(now, max(width, 80), 1000) + "\n")
}

// row is what is shown of a session.
type row struct{ label, source, kind, state, rate, packets, loss, repairs, receivers string }

// columns are shown as far as there is room.
var columns = []column{
	{title: "", width: 1}, {title: "SOURCE", rank: 1, width: 12, least: 15}, {title: "KIND", rank: 8, width: 6}, {title: "STATE", rank: 5, width: 6}, {title: "RATE", rank: 2, right: true, width: 11},
	{title: "PACKETS", rank: 6, right: true, width: 9}, {title: "LOSS", rank: 3, right: true, width: 6}, {title: "REPAIRS", rank: 4, right: true, width: 7}, {title: "RECEIVERS", rank: 7, right: true},
}

func (r *row) cells() []string {
	return []string{r.label, r.source, r.kind, r.state, r.rate, r.packets, r.loss, r.repairs, r.receivers}
}

// table is the screen, of at most height lines of width characters.
func (t *top) table(now time.Time, width, height int) string {
	lines := []string{human.Cut(t.board.head(now, width), width)}
	rows := t.board.rows(now)
	if len(rows) == 0 {
		lines = append(lines, human.Cut("nobody sends here yet", width))
		return strings.Join(lines, "\n") + "\n"
	}
	var cells [][]string
	for i := range rows[:min(len(rows), max(height-2, 0))] {
		cells = append(cells, rows[i].cells())
	}
	lines = append(lines, layout(width, columns, cells)...)
	return strings.Join(lines, "\n") + "\n"
}
