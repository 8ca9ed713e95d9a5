package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shell runs what a POSIX shell would, as far as the examples need it: commands with ; & | > and parentheses, of which rmcast is ours, and date, echo and sleep
// are built in. All runs on one machine of a world, in its virtual time, so that no example is late.
type shell struct {
	w    *world
	jobs sync.WaitGroup // what & began
	date string         // what date wrote last

	mu   sync.Mutex
	ran  []string // rmcast commands that ended
	said buffer   // what they told
}

// list runs commands separated by ; and &.
func (sh *shell) list(words []string, in io.Reader, out io.Writer) {
	for len(words) > 0 {
		n := sh.find(words, ";", "&")
		pipeline, background := words[:n], n < len(words) && words[n] == "&"
		words = words[min(n+1, len(words)):]
		if background {
			sh.jobs.Go(func() { sh.pipeline(pipeline, strings.NewReader(""), out) })
		} else {
			sh.pipeline(pipeline, in, out)
		}
	}
}

// pipeline runs commands separated by |, all at once, and waits for them.
func (sh *shell) pipeline(words []string, in io.Reader, out io.Writer) {
	n := sh.find(words, "|")
	if n == len(words) {
		sh.command(words, in, out)
		return
	}
	r, w := io.Pipe()
	var first sync.WaitGroup
	first.Go(func() {
		sh.command(words[:n], in, w)
		w.Close()
	})
	sh.pipeline(words[n+1:], r, out)
	r.Close()
	first.Wait()
}

// find returns where the first of the marks is outside of parentheses, or the end.
func (sh *shell) find(words []string, marks ...string) int {
	depth := 0
	for i, word := range words {
		switch word {
		case "(":
			depth++
		case ")":
			depth--
		}
		for _, m := range marks {
			if depth == 0 && word == m {
				return i
			}
		}
	}
	return len(words)
}

// command runs one command, whose output may go to a file.
func (sh *shell) command(words []string, in io.Reader, out io.Writer) {
	if n := sh.find(words, ">"); n < len(words) {
		f, err := os.Create(words[n+1])
		if err != nil {
			sh.w.t.Error(err)
			return
		}
		defer f.Close()
		words, out = words[:n], f
	}
	switch words[0] {
	case "(":
		sh.list(words[1:len(words)-1], in, out)
	case "date":
		sh.date = time.Now().Format(time.UnixDate) + "\n"
		io.WriteString(out, sh.date)
	case "echo":
		fmt.Fprintln(out, strings.Join(words[1:], " "))
	case "sleep":
		d, err := time.ParseDuration(words[1] + "s")
		if err != nil {
			sh.w.t.Error(err)
		}
		time.Sleep(d)
	case "rmcast":
		e := sh.w.env(1)
		e.in, e.out, e.err = in, out, &sh.said
		code := run(e, words[1:])
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.ran = append(sh.ran, words[1])
		if code != exitOK {
			sh.w.t.Errorf("%q ends with %d:\n%s", words, code, &sh.said)
		}
	default:
		sh.w.t.Errorf("%q is no command that is known here", words)
	}
}

// split makes words of a line.
func split(t *testing.T, line string) []string {
	t.Helper()
	if strings.ContainsAny(line, "'\"`$\\<*?~{") {
		t.Errorf("%q has what is not understood here", line)
	}
	for _, mark := range []string{";", "&", "|", ">", "(", ")"} {
		line = strings.ReplaceAll(line, mark, " "+mark+" ")
	}
	return strings.Fields(line)
}

// Each example does what the help above it says: pasted into a shell on one machine, in an empty directory.
func TestExamples(t *testing.T) {
	arrived := func(t *testing.T, sh *shell, _ string) {
		if b, err := os.ReadFile("inbox/now.txt"); err != nil || sh.date == "" || string(b) != sh.date {
			t.Errorf("received %q, %v; want %q", b, err, sh.date)
		}
	}
	shows := func(texts ...string) func(*testing.T, *shell, string) {
		return func(t *testing.T, _ *shell, out string) {
			for _, text := range texts {
				if !strings.Contains(out, text) {
					t.Errorf("it shows no %q:\n%s", text, out)
				}
			}
		}
	}
	checks := map[string]func(t *testing.T, sh *shell, out string){
		"send": arrived, "recv": arrived, "loop": arrived,
		"cat": func(t *testing.T, sh *shell, out string) {
			if sh.date == "" || out != sh.date {
				t.Errorf("received %q, want %q", out, sh.date)
			}
		},
		"chat": shows("ann: hello\n"),
		"ping": shows("ok   sending to a group and hearing it works"),
		"dump": shows("session a: rmcast source 10.0.0.1, TSI ", " ODATA ", ", ends"),
		"top":  shows("SOURCE", "10.0.0.1", "ended"),
	}
	for command, page := range pages {
		t.Run(command, func(t *testing.T) {
			check := checks[command]
			if check == nil {
				t.Fatal("nobody has said what this example should do")
			}
			if sh, err := exec.LookPath("sh"); err == nil {
				if said, err := exec.Command(sh, "-n", "-c", page.example).CombinedOutput(); err != nil {
					t.Errorf("sh does not understand %s: %s", page.example, said)
				}
			}
			t.Chdir(t.TempDir())
			inWorld(t, func(t *testing.T, w *world) {
				sh := &shell{w: w}
				var out buffer
				terminal, keyboard := io.Pipe()
				shown := make(chan struct{})
				go func() {
					defer close(shown)
					sh.list(split(t, page.example), terminal, &out)
				}()
				synctest.Wait() // what & begins has begun
				sh.jobs.Wait()
				time.Sleep(time.Second)
				keyboard.Close() // Ctrl-D
				select {
				case <-shown:
				case <-time.After(time.Hour):
					t.Fatalf("it does not end:\n%s%s", &out, &sh.said)
				}
				check(t, sh, out.String())
				if want := strings.Count(page.example, "rmcast "+command); len(sh.ran) < max(want, 1) {
					t.Errorf("of it ran %q", sh.ran)
				}
			})
		})
	}
}

// shown returns the commands of a text that begin with a prefix, in a text with fences within those, without what is said of them on the same line.
func shown(text, prefix string) (commands []string) {
	fenced := strings.Contains(text, "```")
	inside := !fenced
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			inside = !inside
		}
		if command, ok := strings.CutPrefix(line, prefix+"rmcast "); ok && inside {
			command, _, _ = strings.Cut(command, "#")
			command, _, _ = strings.Cut(command, "    ")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// What the first screen and the manual show does what they say, with two machines, of which one has photos.
func TestFirstCommands(t *testing.T) {
	manual, err := os.ReadFile("../../docs/rmcast.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		commands []string
		least    int
	}{{"help", shown(rootText, "  "), 2}, {"manual", shown(string(manual), ""), 5}} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.commands) < c.least {
				t.Fatalf("found %q", c.commands)
			}
			t.Chdir(t.TempDir())
			inWorld(t, func(t *testing.T, w *world) {
				w.file("photos/a.jpg", 30_000)
				if err := os.CopyFS("photos", os.DirFS(w.path("photos"))); err != nil {
					t.Fatal(err)
				}
				var recv *proc // it ends after the next send
				inbox := ""
				for i, command := range c.commands {
					args := split(t, command)
					withWeb := func(e *env) { e.web = newWeb().listen }
					if args[0] == "recv" {
						inbox = w.path(fmt.Sprint("inbox", i)) // it has a directory of its own
						recv = w.startWith(2, withWeb, append([]string{"recv", args[1], inbox}, args[2:]...)...)
						continue
					}
					p := w.startWith(1, withWeb, args...)
					w.wait(p, exitOK)
					if args[0] == "send" {
						w.wait(recv, exitOK)
						sameTree(t, inbox+"/photos", "photos")
					}
					if args[0] == "dump" && !strings.Contains(p.out.String(), " ODATA ") {
						t.Errorf("%s shows\n%s", command, &p.out)
					}
				}
			})
		})
	}
}
