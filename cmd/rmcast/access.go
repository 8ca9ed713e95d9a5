package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// The roles of members of the roster. They are on the wire: who changes them is not understood by other versions.
const (
	roleSend    = "send"
	roleLoop    = "loop"
	roleRecv    = "recv"
	roleCat     = "cat"
	roleCatSend = "cat -send"
	roleChat    = "chat"
	rolePing    = "ping"
	roleTop     = "top"
)

// access is a command's way to a group: all its sessions are opened here, so that what looks inside (inside.go) sees each of them.
type access struct {
	e       *env
	command string
	to      *target
	cfg     transport.Config // what the options of the network ask for
	inside  *inside
	hide    [flow.MaxLayers]func() // takes the last listener of a layer out of the metrics
}

// reach reads the options and the name of a command that only looks on.
func reach(e *env, c *cli.Command, name string) (*access, error) {
	o, err := network(c)
	if err != nil {
		return nil, err
	}
	to, err := o.target(e, name)
	if err != nil {
		return nil, err
	}
	return &access{e: e, command: c.Name, to: to, cfg: o.transport(e)}, nil
}

// enter reads the options and the name of a command that holds sessions, and runs it. While it runs, those look inside who were asked to.
func enter(e *env, c *cli.Command, name string, run func(*access) error) error {
	a, err := reach(e, c, name)
	if err != nil {
		return err
	}
	if a.inside, err = look(e, c); err != nil {
		return err
	}
	defer a.inside.close()
	return run(a)
}

// dial opens a source of a layer; 0 is the group itself.
func (a *access) dial(ctx context.Context, layer int, cfg transport.Config) (*transport.Source, error) {
	s, err := transport.DialContext(ctx, a.to.network, layerGroup(a.to.group, layer).String(), a.inside.config(a.id(layer), cfg))
	if err != nil {
		return nil, explain("cannot send to "+a.to.String(), err)
	}
	a.inside.metrics.AddSource(a.id(layer), s)
	return s, nil
}

// listen opens a listener of a layer; it takes the place of the one before.
func (a *access) listen(ctx context.Context, layer int, cfg transport.Config) (*transport.Listener, error) {
	l, err := transport.ListenContext(ctx, a.to.network, layerGroup(a.to.group, layer).String(), a.inside.config(a.id(layer), cfg))
	if err != nil {
		return nil, explain("cannot listen to "+a.to.String(), err)
	}
	if hide := a.hide[layer]; hide != nil {
		hide()
	}
	a.hide[layer] = a.inside.metrics.AddListener(a.id(layer), l)
	return l, nil
}

// accept takes the next session of a listener. end closes it.
func (a *access) accept(l *transport.Listener) (session *transport.Receiver, end func(), err error) {
	if session, err = l.AcceptReceiver(); err != nil {
		return nil, nil, err
	}
	hide := a.inside.metrics.AddReceiver(a.command, session)
	return session, func() {
		session.Close()
		hide()
	}, nil
}

// id tells sessions apart where somebody looks inside.
func (a *access) id(layer int) string {
	if layer == 0 {
		return a.command
	}
	return fmt.Sprintf("%s layer %d", a.command, layer)
}

// join enters the roster, as what cfg says.
func (a *access) join(ctx context.Context, cfg roster.Config) (*roster.Roster, error) {
	cfg.Network, cfg.Group, cfg.Transport, cfg.Host = a.to.network, a.to.group, a.cfg, a.e.host
	r, err := roster.Join(ctx, cfg)
	return r, explain("cannot listen to "+a.to.String(), err)
}

// watch opens the receiving end of the group for watching: nothing is sent by it.
func (a *access) watch(ctx context.Context) (dgram.Conn, error) {
	conn, err := carrier(a.e).OpenReceiver(ctx, a.to.network, a.to.group, a.options())
	return conn, explain("cannot listen to "+a.to.String(), err)
}

// options are cfg for who opens Conns himself.
func (a *access) options() dgram.Options {
	return dgram.Options{Interface: a.cfg.Interface, HopLimit: a.cfg.HopLimit, Logger: a.cfg.Logger}
}

// carrier is the network that Conns are opened of.
func carrier(e *env) dgram.Network {
	if e.network == nil {
		return dgram.Kernel
	}
	return e.network
}

// waiting tells who waits for a sender what has to run elsewhere: sender, without the name.
func (a *access) waiting(sender string) {
	a.e.tell.say("waiting", fmt.Sprintf("waiting for a sender: run on another machine: %s %s", sender, quote(a.to.given)), fields{"group": a.to.group.String()})
}

// noSender is the error of having waited for one for too long.
func (a *access) noSender(sender string, after time.Duration) error {
	return &failure{exitNobody, fmt.Sprintf("no sender was heard within %s", human.Duration(after)),
		fmt.Sprintf("Start one: %s %s, %s", sender, quote(a.to.given), a.apart()), nil}
}

// apart is how to find out why two ends do not hear each other.
func (a *access) apart() string {
	return "in the same network; rmcast ping " + quote(a.to.given) + " on both ends says what keeps them apart."
}

// within bounds a context; 0 is no bound.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}
