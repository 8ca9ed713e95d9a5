// Package trace writes the events inside protocol engines as JSON lines: what was found missing, asked for, repaired and lost, who came, was too slow
// and went, each with its instant. For finding out afterwards what a session did; jq and bug reports read it.
//
//	t, err := trace.Create("session.jsonl", nil)
//	…
//	source, err := transport.Dial("udp", group, &transport.Config{Trace: t.Hook("feed")})
//	…
//	err = t.Close() // after the source's
//
// A line is a Record:
//
//	{"time":"2026-11-30T09:30:12.123456789Z","name":"feed","at":1.503220417,"event":"nak","tsi":"27.234.7.6.40.190.35776","from":812,"to":815}
//
// Events are those of session.EventKind: losses and decisions, not packets. Where nothing is lost there are next to none. Package capture has the packets.
//
// The engine is not held up: events wait in a queue, of Config.Queue, for one goroutine that writes. What has no room there is dropped, and
// counted: the next line says how many in "dropped", or a last one, "end". At Config.MaxBytes the trace ends, with a line that says so.
package trace
