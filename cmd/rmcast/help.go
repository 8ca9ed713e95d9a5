package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
)

// helpWidth and helpHeight are the screen that every help fits.
const (
	helpWidth  = 80
	helpHeight = 24
)

// page is a command's help beyond its options.
type page struct{ text, example string }

// pages are the helps, by command. Examples work as pasted into a shell, on one machine.
var pages = map[string]page{
	"send": {
		`Sends files and directories, once, to all who run "rmcast recv" with the same
NAME. It waits for a receiver, and ends when all have everything, verified.
Who comes late, or was interrupted, gets what it lacks.`,
		"date > now.txt; rmcast send now.txt demo & rmcast recv demo inbox",
	},
	"recv": {
		`Receives into DIR (default: here) what is sent to NAME, and ends. Each byte is
verified before a file gets its name. Interrupted, it goes on where it was when
the same command is run again. It may be started before the sender or after.`,
		"date > now.txt; rmcast send now.txt demo & rmcast recv demo inbox",
	},
	"loop": {
		`Sends files and directories over and over: receivers come when they like and
leave when they have everything. They need not send one packet (recv -silent),
so it serves one-way links and any number of receivers.`,
		"date > now.txt; rmcast loop now.txt demo -for 5s & rmcast recv demo inbox",
	},
	"cat": {
		`Writes what is sent to NAME to standard output; with -send it sends standard
input. The stream is reliable: each byte comes, in order, or the command fails.
It ends when the sender's input does.`,
		"rmcast cat demo & sleep 1; date | rmcast cat -send demo",
	},
	"chat": {
		`Talks: each line you type goes to all who chat under the same NAME, and theirs
come to you. Ctrl-D ends it. With pipes it is a bus for lines.`,
		"(sleep 2; echo hello) | rmcast chat -as ann demo & rmcast chat demo",
	},
	"ping": {
		`Says who is in a group, and how well packets get there and back: loss and round
trip time of each rmcast and of each PGM source (OpenPGM, ZeroMQ). Without a
NAME, or if nobody answers, it looks for what keeps multicast from working here.`,
		"rmcast ping",
	},
	"dump": {
		`Shows PGM packets, one a line: of a group as they come, or of a capture (pcap,
pcapng). Of a group it sees what is sent to all; what receivers ask of a source
is seen in captures only.`,
		"rmcast dump demo -for 5s & sleep 1; date | rmcast cat -send -receivers 0 demo",
	},
	"top": {
		`Shows who sends in a group now: rates, loss, repairs, receivers. Packets are
counted here, so loss is what this machine misses. OpenPGM and ZeroMQ too.
Of http://ADDR, where a command has -metrics ADDR, it shows what that counts.`,
		"rmcast top demo -for 5s & sleep 1; date | rmcast cat -send -receivers 0 demo",
	},
}

// exampleOf is what the help of a command has to try.
func exampleOf(command string) string { return pages[command].example }

const rootText = `rmcast - one machine sends, any number receive

  rmcast recv demo             on each machine that wants it
  rmcast send photos demo      on the machine that has it

"demo" is a name that both ends agree on. Nothing is set up; all machines are in
one network. The sender sends once, whatever their number (multicast, PGM), and
what gets lost is repaired. Anybody in the network can receive: encrypt secrets.

`

// rootHelp is the help without a command.
func rootHelp(r *cli.Command) string {
	var b strings.Builder
	b.WriteString(rootText)
	for _, c := range r.VisibleCommands() {
		fmt.Fprintf(&b, "  %-6s %-24s %s\n", c.Name, c.ArgsUsage, c.Usage)
	}
	b.WriteString("\nrmcast help COMMAND has an example of each; rmcast ping says if it can work.\n")
	return b.String()
}

// commandHelp is a command's help.
func commandHelp(c *cli.Command) string {
	var b strings.Builder
	p := pages[c.Name]
	fmt.Fprintf(&b, "rmcast %s - %s\n\n  rmcast %s [options] %s\n\n%s\n\n", c.Name, c.Usage, c.Name, c.ArgsUsage, p.text)
	var others []string
	for _, f := range c.VisibleFlags() {
		switch category(f) {
		case "":
			b.WriteString(flagLine(f))
		default:
			if f.Names()[0] != "help" {
				others = append(others, "-"+f.Names()[0])
			}
		}
	}
	fmt.Fprintf(&b, "  %s\n      (rmcast help options)\n", strings.Join(others, " "))
	switch try := "\nTry: "; {
	case p.example == "":
	case len(try)+len(p.example) > helpWidth:
		b.WriteString("\nTry:\n  " + p.example + "\n")
	default:
		b.WriteString(try + p.example + "\n")
	}
	return b.String()
}

// category is that of an option; empty for those that its own command explains.
func category(f cli.Flag) string {
	if c, ok := f.(cli.CategorizableFlag); ok {
		return c.GetCategory()
	}
	return ""
}

// flagLine is an option's line: two where it is long.
func flagLine(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || f.Names()[0] == "help" {
		return ""
	}
	usage := d.GetUsage()
	value, plainUsage := "", usage
	if i := strings.IndexByte(usage, '`'); i >= 0 {
		j := strings.IndexByte(usage[i+1:], '`') + i + 1
		value = " " + usage[i+1:j]
		plainUsage = usage[:i] + usage[i+1:j] + usage[j+1:]
	}
	name := "-" + f.Names()[0] + value
	return fmt.Sprintf("  %-16s ", name) + human.Wrap(plainUsage, helpWidth-19, strings.Repeat(" ", 19)) + "\n"
}

const exitText = `Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nobody was there (-wait),
130 Ctrl-C, 143 terminated, 141 closed pipe. Names are text that both ends write
alike; groups are written 239.192.0.9:7500 or [ff15::8000:1%eth0]:7500.
Completion for bash, zsh, fish, pwsh: source <(rmcast completion bash)
`

// optionsHelp explains the options that many commands have.
func optionsHelp() string {
	var b strings.Builder
	b.WriteString("Options that many commands have; the help of each says which:\n\n")
	for _, f := range sessionFlags() {
		b.WriteString(flagLine(f))
	}
	b.WriteString("\n" + exitText)
	return b.String()
}

func helpCommand(e *env, r *cli.Command) *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "shows how a command is used", ArgsUsage: "[COMMAND|options]",
		Action: func(_ context.Context, c *cli.Command) error {
			switch name := c.Args().First(); {
			case name == "":
				return e.print(rootHelp(r))
			case name == "options":
				return e.print(optionsHelp())
			case r.Command(name) == nil:
				return unknown(r, name)
			default:
				return e.print(commandHelp(r.Command(name)))
			}
		},
	}
}

// helpOnce has the library's --help print ours; its printer is a global variable.
var helpOnce = sync.OnceFunc(func() {
	cli.HelpPrinter = func(w io.Writer, _ string, data any) {
		c, ok := data.(*cli.Command)
		switch {
		case !ok:
		case c.Root() == c, c.Name == "help":
			fmt.Fprint(w, rootHelp(c.Root()))
		case slices.Contains(c.Path(), "completion"):
			fmt.Fprintln(w, "rmcast completion bash|zsh|fish|pwsh prints a script. For bash: source <(rmcast completion bash)")
		default:
			fmt.Fprint(w, commandHelp(c))
		}
	}
})
