package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
)

// teller tells what happens: lines for people on standard error, or one JSON object a line for programs. It may be used by several goroutines.
type teller struct {
	mu    sync.Mutex
	lines io.Writer // for people; nil with json
	json  io.Writer // nil without
	quiet bool      // people are told warnings and errors only
	width func() int
	above func(line string) bool // prints a line above the progress bar; false: there is none
	err   error                  // the first of writing
}

// fields are what an event says to programs. Keys are lower case with underscores; sizes are in bytes, rates in bits per second, times in seconds.
type fields map[string]any

// say tells something that a person may want to know.
func (t *teller) say(event, text string, f fields) { t.event(event, text, f, t.quiet) }

// warn tells what a person has to know.
func (t *teller) warn(event, text string, f fields) { t.event(event, text, f, false) }

// event tells programs everything, and people what is not skipped and has words for them.
func (t *teller) event(event, text string, f fields, skip bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.json != nil {
		t.object(event, text, f)
		return
	}
	if skip || text == "" {
		return
	}
	text = human.Wrap(text, max(t.width()-3, 18), "  ")
	if t.above != nil && t.above(text) {
		return
	}
	t.keep(fmt.Fprintln(t.lines, text))
}

// object writes an event for programs.
func (t *teller) object(event, text string, f fields) {
	o := map[string]any{"event": event, "time": time.Now().UTC().Format(time.RFC3339Nano)}
	for k, v := range f {
		o[k] = v
	}
	if text != "" {
		o["text"] = text
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: rmcast: event " + event + ": " + err.Error())
	}
	t.keep(t.json.Write(append(b, '\n')))
}

// keep notes the result of a write.
func (t *teller) keep(_ int, err error) {
	if err != nil && t.err == nil {
		t.err = err
	}
}

// failed returns why telling failed, or nil.
func (t *teller) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// barred puts a progress bar between the lines; nil takes it away.
func (t *teller) barred(above func(string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above = above
}

// logHandler makes lines of what the library logs, from warnings on.
type logHandler struct {
	tell  *teller
	attrs []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	text := strings.TrimPrefix(strings.TrimPrefix(r.Message, "rmcast: "), "carousel: ")
	f := fields{}
	add := func(a slog.Attr) bool {
		v := human.Clean(a.Value.String())
		f[strings.ReplaceAll(a.Key, " ", "_")] = v
		text += fmt.Sprintf(", %s %s", a.Key, v)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.tell.warn("warning", text, f)
	return nil
}

func (h *logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &logHandler{h.tell, append(h.attrs[:len(h.attrs):len(h.attrs)], a...)}
}

func (h *logHandler) WithGroup(string) slog.Handler { return h }
