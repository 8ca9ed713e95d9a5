package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/transport"
)

func chatCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "chat", Usage: "a line to all, theirs to you", ArgsUsage: "NAME|GROUP",
		Flags: sessionFlags(
			&cli.StringFlag{Name: "as", Usage: "what you are called: `WHO` (default: user@host)"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			name, err := one(c)
			if err != nil {
				return err
			}
			who := human.Clean(c.String("as"))
			if who == "" {
				who = userName() + "@" + e.host
			}
			return enter(e, c, name, func(a *access) error {
				k := chat{access: a, who: who}
				return k.run(ctx)
			})
		},
	}
}

// userName is what the system calls who runs this.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}

// chat is many to many: each member is a source and a listener. A message is the member's name, a zero byte, and a line.
type chat struct {
	*access
	who string
}

const maxLine = 16 << 10 // bytes

// run talks and listens until the input ends.
func (k *chat) run(ctx context.Context) error {
	l, err := k.listen(ctx, 0, k.cfg)
	if err != nil {
		return err
	}
	s, err := k.dial(ctx, 0, k.cfg)
	if err != nil {
		l.Close()
		return err
	}
	r, err := k.join(ctx, roster.Config{Role: roleChat, What: k.who, Pong: true})
	if err != nil {
		l.Close()
		_ = s.Close()
		return err
	}
	k.e.tell.say("ready", fmt.Sprintf("you are %s in %s (%s); Ctrl-D ends", k.who, k.to, k.to.group), fields{"who": k.who, "group": k.to.group.String()})
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make(chan error, 1)
	running.Go(func() { k.hear(inner, l, s, &running, failed) })
	running.Go(func() { k.comeAndGo(inner, r) })
	lines := make(chan lineRead)
	go read(inner, k.e.in, lines)
	err = k.talk(ctx, s, lines, failed)
	cancel()
	l.Close()
	running.Wait()
	r.Leave()
	bounded, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	_ = s.CloseContext(bounded)
	cancel()
	return err
}

// lineRead is a line of the input, or why there is none.
type lineRead struct {
	b   []byte
	err error
}

// read reads lines until the input ends or nobody wants more.
func read(ctx context.Context, in io.Reader, lines chan<- lineRead) {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxLine)
	give := func(l lineRead) bool {
		select {
		case lines <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for sc.Scan() {
		if !give(lineRead{b: bytes.Clone(sc.Bytes())}) {
			return
		}
	}
	err := sc.Err()
	if err == nil {
		err = io.EOF
	}
	give(lineRead{err: err})
}

// talk sends lines until they end.
func (k *chat) talk(ctx context.Context, s *transport.Source, lines <-chan lineRead, failed <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return ended(ctx)
		case err := <-failed:
			return err
		case l := <-lines:
			switch {
			case l.err == io.EOF:
				return nil
			case errors.Is(l.err, bufio.ErrTooLong):
				return fail(l.err, "rmcast cat -send takes any length.", "a line is longer than %s", human.Bytes(maxLine))
			case l.err != nil:
				return explain("reading standard input", l.err)
			case len(l.b) == 0:
				continue
			}
			_ = s.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if err := s.WriteMessage(append([]byte(k.who+"\x00"), l.b...)); err != nil {
				return explain("sending to "+k.to.String(), err)
			}
		}
	}
}

// hear prints the lines of all others.
func (k *chat) hear(ctx context.Context, l *transport.Listener, own *transport.Source, running *sync.WaitGroup, failed chan<- error) {
	for {
		session, end, err := k.accept(l)
		if err != nil {
			return
		}
		if session.TSI() == own.TSI() {
			end()
			continue
		}
		running.Go(func() {
			defer end()
			if err := k.hearOne(ctx, session); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
}

// hearOne prints the lines of one other until there are no more. Its error is that of printing.
func (k *chat) hearOne(ctx context.Context, session *transport.Receiver) error {
	stop := context.AfterFunc(ctx, func() { _ = session.SetReadDeadline(time.Unix(0, 1)) })
	defer stop()
	b := make([]byte, 1<<16)
	for ctx.Err() == nil {
		n, err := session.ReadMessage(b)
		var loss *transport.LossError
		switch {
		case errors.As(err, &loss):
			k.e.tell.warn("loss", fmt.Sprintf("%s of %s %s lost: %s", human.Count(loss.Lost.Len(), "packet"), session.RemoteAddr(), plural(loss.Lost.Len(), "is", "are"), plain(err)), nil)
		case err != nil: // it has left, or fell silent: the roster tells
			return nil
		case !isLine(b[:n]):
			k.e.tell.warn("rival", fmt.Sprintf("something that is no chat is sent under the name %s, by %s: it is not shown. Take another name", k.to, session.RemoteAddr()), nil)
			return nil
		default:
			if err := k.print(b[:n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// isLine reports whether a message is a chat's: others may send files under the same name.
func isLine(b []byte) bool {
	who, text, ok := bytes.Cut(b, []byte{0})
	return ok && len(who) > 0 && len(who) <= 256 && utf8.Valid(who) && !bytes.ContainsRune(text, 0)
}

// print writes a message.
func (k *chat) print(b []byte) error {
	who, text, _ := bytes.Cut(b, []byte{0})
	name, line := human.Clean(string(who)), human.Clean(string(text))
	if k.e.json {
		k.e.tell.say("line", "", fields{"who": name, "line": line})
		return k.e.tell.failed()
	}
	_, err := fmt.Fprintf(k.e.out, "%s: %s\n", name, line)
	return err
}

// comeAndGo tells who comes and goes.
func (k *chat) comeAndGo(ctx context.Context, r *roster.Roster) {
	there := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Changed():
		}
		for _, m := range r.Members() {
			if m.Role != roleChat || there[m.ID] == !m.Gone {
				continue
			}
			there[m.ID] = !m.Gone
			word, event := "is here", "here"
			if m.Gone {
				word, event = "has left", "left"
			}
			k.e.tell.say(event, fmt.Sprintf("* %s %s", m.What, word), fields{"who": m.What, "host": m.Host})
		}
	}
}
