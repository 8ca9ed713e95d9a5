package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

func catCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "cat", Usage: "sends standard input, or writes what is sent", ArgsUsage: "NAME|GROUP",
		Flags: sessionFlags(
			&cli.BoolFlag{Name: "send", Usage: "send standard input; without it nothing is sent, also from a pipe"},
			&cli.IntFlag{Name: "receivers", Value: 1, Usage: "with -send: begin with `N` receivers; 0: do not wait (OpenPGM, ZeroMQ)"},
			&cli.DurationFlag{Name: "wait", Usage: "give up after `TIME` without the other end (default: wait)"},
			rateFlag("with -send: never faster than `RATE`, like 50M"),
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			name, err := one(c)
			if err == nil {
				err = notNegative(c, "receivers", "wait")
			}
			if err != nil {
				return err
			}
			rate, err := rateOf(c)
			if err != nil {
				return err
			}
			sending := c.Bool("send")
			for _, n := range []string{"receivers", "rate"} {
				if !sending && c.IsSet(n) {
					return misuse(fmt.Sprintf("rmcast cat -send -%s … %s sends.", n, quote(name)), "-%s is the sender's, and without -send nothing is sent", n)
				}
			}
			return enter(e, c, name, func(a *access) error {
				k := cat{access: a, wait: c.Duration("wait"), want: c.Int("receivers")}
				k.cfg.Rate = rate
				if sending {
					return k.send(ctx)
				}
				return k.receive(ctx)
			})
		},
	}
}

// cat is a stream, sent or received.
type cat struct {
	*access
	wait time.Duration // for the other end; 0: for ever
	want int           // receivers to wait for
}

// delivery bounds how long a sender waits for receivers to confirm the end.
const delivery = 30 * time.Second

// send sends the input to all, and waits until those who were there at the beginning, and still are, hold all of it.
func (k *cat) send(ctx context.Context) error {
	k.cfg.AmbientSPM = 250 * time.Millisecond
	s, err := k.dial(ctx, 0, k.cfg)
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			ctx, cancel := context.WithTimeout(context.Background(), goodbye)
			_ = s.CloseContext(ctx)
			cancel()
		}
	}()
	r, err := k.join(ctx, roster.Config{Role: roleCatSend, Pong: true})
	if err != nil {
		return err
	}
	defer func() {
		if !whole { // the session ends as one that is whole does: this is how receivers know
			r.Say(func(n *roster.Note) { n.State, n.Why = roster.Fail, "stopped" })
		}
		r.Leave()
	}()
	g := gathering{access: k.access, roster: r, role: roleCat, theirs: "rmcast cat " + quote(k.to.given), want: k.want, give: k.wait}
	if err := g.wait(ctx); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, m := range g.here() {
		there[m.ID] = true
	}
	began := time.Now()
	stop := context.AfterFunc(ctx, func() { _ = s.SetWriteDeadline(time.Unix(0, 1)) })
	defer stop()
	n, err := copyUntil(ctx, s, k.e.in)
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if err != nil {
		return explain("reading standard input", err)
	}
	var all transport.Quorum
	for _, m := range g.here() {
		if id := receiverID(m.ID); id != 0 && there[m.ID] {
			all.Of = append(all.Of, id)
		}
	}
	if err := k.delivered(ctx, s, all); err != nil {
		return err
	}
	whole = true
	if err := s.Close(); err != nil {
		return explain("sending to "+k.to.String(), err)
	}
	k.e.tell.say("done", fmt.Sprintf("sent %s in %s, %s", human.Bytes(n), human.Duration(max(time.Since(began), time.Millisecond)), confirmed(len(all.Of))), fields{"bytes": n, "receivers": len(all.Of)})
	return nil
}

// delivered waits until receivers confirm that they hold everything.
func (k *cat) delivered(ctx context.Context, s *transport.Source, all transport.Quorum) error {
	if len(all.Of) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, delivery)
	defer cancel()
	err := s.WaitDelivered(bounded, all)
	var undelivered *transport.UndeliveredError
	switch {
	case ctx.Err() != nil:
		return ended(ctx)
	case errors.As(err, &undelivered):
		return fail(err, "They may have been stopped, or lost what cannot be repaired any more: they say it themselves.", "%d of %d receivers have not confirmed that they hold everything", len(undelivered.Missing), len(all.Of))
	}
	return explain("sending to "+k.to.String(), err)
}

// receiverID is the id under which a member of the roster confirms; 0, which is nobody's, if it cannot.
func receiverID(member string) wire.ReceiverID {
	id, err := strconv.ParseUint(member, 16, 64)
	if err != nil {
		return 0
	}
	return wire.ReceiverID(id)
}

// confirmed says how many receivers have it.
func confirmed(n int) string {
	if n == 0 {
		return "nobody has confirmed it"
	}
	return human.Count(n, "receiver") + plural(n, " has", " have") + " it"
}

// copyUntil copies until the input or the context ends. A read that waits goes on behind our back then.
func copyUntil(ctx context.Context, to io.Writer, from io.Reader) (int64, error) {
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := io.Copy(to, from)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-ctx.Done():
		return 0, ended(ctx)
	}
}

// receive writes the stream of the first sender to the output.
func (k *cat) receive(ctx context.Context) error {
	k.unread()
	r, err := k.join(ctx, roster.Config{Role: roleCat, Pong: true})
	if err != nil {
		return err
	}
	defer r.Leave()
	k.cfg.ReceiverID = receiverID(r.Me().ID)
	l, err := k.listen(ctx, 0, k.cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	session, end, err := k.first(ctx, l, r)
	if err != nil {
		return err
	}
	defer end()
	go k.others(l, session)
	stop := context.AfterFunc(ctx, func() { _ = session.SetReadDeadline(time.Unix(0, 1)) })
	defer stop()
	if err := k.write(ctx, session); err != nil {
		return err
	}
	from := session.RemoteAddr().(*transport.Addr).Host().Addr()
	for _, m := range r.Members() {
		if m.Role == roleCatSend && m.State == roster.Fail && m.Addr == from && m.Gone && time.Since(m.Seen) < roster.Expiry {
			return fail(nil, "Start the sender again for the whole of it.", "the stream is cut off: its sender, %s, was stopped", m.Host)
		}
	}
	return nil
}

// first waits for the first sender.
func (k *cat) first(ctx context.Context, l *transport.Listener, r *roster.Roster) (session *transport.Receiver, end func(), err error) {
	if k.wait > 0 {
		_ = l.SetDeadline(time.Now().Add(k.wait))
	}
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(0, 1)) })
	defer stop()
	hint := time.AfterFunc(hintSoon, func() {
		k.e.doubts(k.to, r)
		k.waiting("rmcast cat -send")
	})
	defer hint.Stop()
	session, end, err = k.accept(l)
	switch {
	case err == nil:
		_ = l.SetDeadline(time.Time{})
	case ctx.Err() != nil:
		err = ended(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = k.noSender("rmcast cat -send", k.wait)
	default:
		err = explain("listening to "+k.to.String(), err)
	}
	return session, end, err
}

// unread says that a pipe on the input is not read.
func (k *cat) unread() {
	f, ok := k.e.in.(*os.File)
	if !ok {
		return
	}
	if info, err := f.Stat(); err == nil && (info.Mode()&os.ModeNamedPipe != 0 || info.Mode().IsRegular() && info.Size() > 0) {
		k.e.tell.warn("unread", "receiving; standard input is not read: rmcast cat -send "+quote(k.to.given)+" sends it", nil)
	}
}

// others tells of senders that are not written.
func (k *cat) others(l *transport.Listener, first *transport.Receiver) {
	for {
		s, err := l.AcceptReceiver()
		if err != nil {
			return
		}
		k.e.tell.warn("rival", fmt.Sprintf("another sender uses the name %s: %s; only the first, %s, is written. If that is not meant, stop one and take another name", k.to, s.RemoteAddr(), first.RemoteAddr()), nil)
		s.Close()
	}
}

// write copies the session to the output until it ends.
func (k *cat) write(ctx context.Context, session *transport.Receiver) error {
	b := make([]byte, 1<<16)
	total, lost := int64(0), 0
	for {
		n, err := session.Read(b)
		total += int64(n)
		if n > 0 {
			if _, err := k.e.out.Write(b[:n]); err != nil {
				if errors.Is(err, syscall.EPIPE) {
					return err
				}
				return explain("writing standard output", err)
			}
		}
		var loss *transport.LossError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ended(ctx)
		case errors.As(err, &loss):
			lost += loss.Lost.Len()
			k.e.tell.warn("loss", fmt.Sprintf("%s %s missing after %s: %s%s", human.Count(loss.Lost.Len(), "packet"), plural(loss.Lost.Len(), "is", "are"), human.Bytes(total), plain(err), noData(total, lost)), fields{"packets": loss.Lost.Len(), "after": total})
		case err == io.EOF && lost > 0:
			return incomplete(total, lost)
		case err == io.EOF:
			k.e.tell.say("done", "received "+human.Bytes(total), fields{"bytes": total})
			return nil
		default:
			return explain(fmt.Sprintf("the stream broke off after %s", human.Bytes(total)), err)
		}
	}
}
