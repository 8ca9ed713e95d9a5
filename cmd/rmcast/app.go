package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// run runs a command line and returns its exit code.
func run(e *env, args []string) int {
	if e.tell == nil {
		e.prepare()
	}
	err := root(e).Run(e.ctx, append([]string{"rmcast"}, digits(args)...))
	if err == nil && e.tell.failed() != nil {
		err = e.tell.failed()
	}
	return e.report(err)
}

// digits writes -4 and -6 as --4 and --6: the library takes what begins with a digit for an argument.
func digits(args []string) []string {
	list := make([]string, len(args))
	copy(list, args)
	for i, a := range list {
		switch a {
		case "--":
			return list
		case "-4", "-6":
			list[i] = "-" + a
		}
	}
	return list
}

// root makes the tree of commands.
func root(e *env) *cli.Command {
	r := &cli.Command{
		Name:                  "rmcast",
		Usage:                 "one machine sends, any number receive",
		Version:               version(),
		Writer:                e.out,
		ErrWriter:             e.err,
		Reader:                e.in,
		EnableShellCompletion: true,
		Suggest:               true,
		Commands: []*cli.Command{
			sendCommand(e), recvCommand(e), loopCommand(e), catCommand(e), chatCommand(e), pingCommand(e), dumpCommand(e), topCommand(e),
		},
		HideHelpCommand: true,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // report does it
		Action: func(_ context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return unknown(c, name)
			}
			return e.print(rootHelp(c))
		},
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = true
		},
	}
	r.Commands = append(r.Commands, helpCommand(e, r))
	for _, c := range r.Commands {
		finish(e, c)
	}
	r.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return usageError("", err) }
	helpOnce()
	return r
}

// finish gives a command what all have.
func finish(e *env, c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return usageError(c.Name, err) }
	c.HideHelpCommand = true
	action := c.Action
	c.Action = func(ctx context.Context, c *cli.Command) error {
		e.json, e.quiet = c.Bool("json"), c.Bool("quiet")
		e.prepare()
		if c.Name == "cat" && e.json { // its output is data
			e.tell.json = e.err
		}
		return action(ctx, c)
	}
}

// unknown is the error for a command that there is not.
func unknown(c *cli.Command, name string) error {
	do := "rmcast help shows the commands."
	if s := cli.SuggestCommand(c.VisibleCommands(), name); s != "" {
		do = fmt.Sprintf("Did you mean rmcast %s? %s", s, do)
	}
	return misuse(do, "there is no command %q", name)
}

// print writes text to standard output.
func (e *env) print(text string) error {
	_, err := io.WriteString(e.out, text)
	return err
}

// version is that of the module, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return "devel"
}

// isCancel tells whether an error is only the end of a context.
func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
