package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/pcap"
	"github.com/rmcast/rmcast/wire"
)

func dumpCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "dump", Usage: "shows packets, live or of a capture", ArgsUsage: "NAME|GROUP|FILE|-",
		Flags: watchFlags(
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show ports, window and options too (-v)"},
			&cli.IntFlag{Name: "count", Usage: "end after `N` packets"},
			&cli.DurationFlag{Name: "for", Usage: "end after `TIME`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			name, err := one(c)
			if err == nil {
				err = notNegative(c, "count", "for")
			}
			if err != nil {
				return err
			}
			d := dumper{e: e, verbose: c.Bool("verbose"), most: c.Int("count"), w: newWatcher()}
			if file, ok, err := openCapture(e, name); err != nil || ok {
				if err != nil {
					return err
				}
				defer file.Close()
				return d.capture(ctx, file, name)
			}
			a, err := reach(e, c, name)
			if err != nil {
				return err
			}
			return d.live(ctx, a, c.Duration("for"))
		},
	}
}

// openCapture opens a file if that is what name is: "-", what exists, and what ends like a capture.
func openCapture(e *env, name string) (f io.ReadCloser, ok bool, err error) {
	if name == "-" {
		return io.NopCloser(e.in), true, nil
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil, false, nil
	case err == nil:
		f, err = os.Open(name)
		return f, true, explain("cannot read the capture", err)
	}
	switch filepath.Ext(name) {
	case ".pcap", ".pcapng", ".cap":
		return nil, false, explain("cannot read the capture", pathError(name, err))
	}
	return nil, false, nil
}

// dumper prints packets.
type dumper struct {
	e       *env
	verbose bool
	most    int // packets; 0: all
	w       *watcher
	n       int // packets so far
	broken  int // datagrams that are no sound PGM
	start   time.Time
	ports   map[uint16]bool // UDP ports on which PGM was seen
	strange int             // UDP that is not PGM
	wide    int             // characters of the widest address so far
}

// live prints what comes to a group.
func (d *dumper) live(ctx context.Context, a *access, limit time.Duration) error {
	conn, err := a.watch(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	to := a.to
	d.e.tell.say("ready", fmt.Sprintf("listening to %s on %s; Ctrl-C ends", to.full(), conn.Info().Interface), fields{"group": to.group.String(), "interface": conn.Info().Interface})
	inner, cancel := within(ctx, limit)
	defer cancel()
	var printErr error
	err = listen(inner, conn, to.group, func(h heard) bool {
		printErr = d.show(h)
		return printErr == nil && !d.enough()
	})
	if printErr != nil {
		return printErr
	}
	if err != nil {
		return explain("listening to "+to.String(), err)
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	d.e.tell.say("done", d.sum(), fields{"packets": d.n, "broken": d.broken, "sessions": len(d.w.sessions)})
	return nil
}

// enough reports whether it has shown as many as it should.
func (d *dumper) enough() bool { return d.most > 0 && d.n >= d.most }

// capture prints the PGM packets of a file.
func (d *dumper) capture(ctx context.Context, f io.Reader, name string) error {
	r, err := pcap.NewReader(f)
	d.ports = map[uint16]bool{}
	for err == nil && ctx.Err() == nil && !d.enough() {
		var p pcap.Packet
		if p, err = r.Next(); err == nil {
			if !d.pgm(p) {
				d.strange++
				continue
			}
			if err := d.show(heard{p.At, p.From, p.To, p.Payload, p.IPBytes}); err != nil {
				return err
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return ended(ctx)
	case errors.Is(err, pcap.ErrFormat):
		return fail(err, "Captures are made by tcpdump -w FILE or Wireshark; for a live group give its NAME.", "%s cannot be read: %v", name, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		d.e.tell.warn("cut", "the file ends in the middle of a packet: what is before that is shown", nil)
	case err != nil && err != io.EOF:
		return explain("cannot read "+name, err)
	}
	s := r.Stats()
	text := d.sum()
	if left := s.Other + d.strange; left > 0 {
		text += fmt.Sprintf("; %s are something else", human.Number(int64(left)))
	}
	if s.Cut+s.Fragments > 0 {
		text += fmt.Sprintf("; %s are cut or fragments (capture with tcpdump -s 0)", human.Number(int64(s.Cut+s.Fragments)))
	}
	d.e.tell.say("done", text, fields{"packets": d.n, "broken": d.broken, "other": s.Other + d.strange, "cut": s.Cut, "fragments": s.Fragments, "sessions": len(d.w.sessions)})
	return nil
}

// pgm reports whether a datagram of a capture is PGM. UDP has no mark for it: a port on which one packet with a right checksum was seen carries PGM.
func (d *dumper) pgm(p pcap.Packet) bool {
	if p.To.Port() == 0 {
		return true
	}
	if d.ports[p.To.Port()] || d.ports[p.From.Port()] {
		return true
	}
	var w wire.Packet
	b := p.Payload
	if w.Decode(b) == nil && len(b) >= wire.HeadCommon && (b[6] != 0 || b[7] != 0) {
		d.ports[p.To.Port()] = true
		return true
	}
	return false
}

// sum says how much was shown.
func (d *dumper) sum() string {
	text := fmt.Sprintf("%s of %s", human.Count(d.n, "packet"), human.Count(len(d.w.sessions), "session"))
	if d.broken > 0 {
		text += fmt.Sprintf(", and %d broken", d.broken)
	}
	return text
}

// show prints a datagram.
func (d *dumper) show(h heard) error {
	if d.start.IsZero() {
		d.start = h.at
	}
	p, s, isNew, err := d.w.add(h)
	at := h.at.Sub(d.start).Seconds()
	switch {
	case err != nil:
		d.broken++
		if d.e.json {
			d.e.tell.say("broken", "", fields{"at": at, "from": h.from.String(), "to": h.to.String(), "bytes": len(h.b), "why": plain(err)})
			return d.e.tell.failed()
		}
		return d.e.print(d.line(at, "?", from(h).String(), fmt.Sprintf("broken: %s (%d B)", plain(err), len(h.b))))
	case s == nil:
		return nil // more sessions than are watched
	}
	d.n++
	if d.e.json {
		f := fields{"at": at, "session": s.label, "tsi": s.tsi.String(), "from": h.from.String(), "to": h.to.String(), "type": p.Type.String(), "sqn": uint32(p.Sqn), "bytes": len(p.Payload), "text": describe(p)}
		if d.verbose {
			f["details"] = details(p)
		}
		d.e.tell.say("packet", "", f)
		return d.e.tell.failed()
	}
	var b strings.Builder
	if isNew {
		b.WriteString(d.fold("", "  ", s.String()))
	}
	b.WriteString(d.line(at, s.label, from(h).String(), describe(p)))
	if d.verbose {
		indent := strings.Repeat(" ", 15)
		if d.narrow() {
			indent = "    "
		}
		for _, l := range details(p) {
			b.WriteString(d.fold(indent, indent+"  ", l))
		}
	}
	return d.e.print(b.String())
}

// line is that of a packet. A narrow terminal has no room for its address.
func (d *dumper) line(at float64, label, from, text string) string {
	d.wide = max(d.wide, 15, len(from))
	head := fmt.Sprintf("%11.6f %-2s %-*s ", at, label, d.wide, from)
	if d.narrow() {
		head = fmt.Sprintf("%8.3f %-2s ", at, label)
	}
	return d.fold(head, strings.Repeat(" ", len(head)), text)
}

// narrow reports whether somebody looks at a screen on which the lines of packets would not fit.
func (d *dumper) narrow() bool { return d.e.outTTY && d.e.width() < d.wide+56 }

// fold writes a line, on a terminal in as many as it takes.
func (d *dumper) fold(head, indent, text string) string {
	if d.e.outTTY {
		text = human.Wrap(text, max(d.e.width()-max(len(head), len(indent)), 12), indent)
	}
	return head + text + "\n"
}

// from is the address that a datagram came from.
func from(h heard) netip.Addr { return h.from.Addr().WithZone("") }
