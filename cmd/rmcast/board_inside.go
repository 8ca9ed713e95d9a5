package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/flow"
)

// insideBoard shows the sessions of a command that has -metrics, as it counts them itself.
type insideBoard struct {
	url    string
	client http.Client
	met    bool // it has answered
	things []*counted
	meters map[string]*meter // by key; of those that are there
}

// counted is a session as package metrics tells it.
type counted struct {
	Kind, ID, Group, TSI string
	Values               map[string]any

	rate flow.Rate
}

const (
	answerTime = 5 * time.Second
	maxAnswer  = 16 << 20 // bytes
)

// newInsideBoard makes one of the URL that -metrics tells, with a path or without.
func newInsideBoard(e *env, url string) *insideBoard {
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	return &insideBoard{url: "http://" + host, client: http.Client{Timeout: answerTime, Transport: &http.Transport{DialContext: e.dial, DisableKeepAlives: true}}, meters: map[string]*meter{}}
}

func (b *insideBoard) look(ctx context.Context, now time.Time) error {
	things, err := b.ask(ctx)
	switch {
	case err == nil:
	case b.met: // the command has ended
		return errOver
	default:
		return fail(err, "Another rmcast has to run there, with -metrics and that address.", "%s does not answer as rmcast does: %v", b.url, cause(err))
	}
	b.met, b.things = true, things
	meters := map[string]*meter{}
	for _, c := range things {
		key := c.Kind + "\x00" + c.ID + "\x00" + c.TSI
		m := b.meters[key]
		if m == nil {
			m = &meter{}
		}
		meters[key] = m
		c.rate = m.add(now, int64(c.bytes()))
	}
	b.meters = meters
	return nil
}

// ask asks for the sessions, and returns those that are shown: sources, and listeners, which have what all their receivers count.
func (b *insideBoard) ask(ctx context.Context) (things []*counted, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/debug/vars", nil)
	if err != nil {
		return nil, err
	}
	answer, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %s", answer.Status)
	}
	var vars struct{ Rmcast []*counted }
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&vars); err != nil {
		return nil, err
	}
	if len(vars.Rmcast) == 0 {
		return nil, errors.New("there is no rmcast in it")
	}
	for _, c := range vars.Rmcast {
		if c != nil && (c.Kind == "source" || c.Kind == "listener") {
			things = append(things, c)
		}
	}
	return things, nil
}

// number is a value; 0 if there is none.
func (c *counted) number(name string) float64 {
	x, _ := c.Values[name].(float64)
	return x
}

// bytes is what its rate is of: all that a source sends, the data that a listener gets.
func (c *counted) bytes() float64 {
	if c.Kind == "source" {
		return c.number("ip_bytes_total")
	}
	return c.number("payload_bytes_total") + c.number("repair_payload_bytes_total")
}

// loss is what the worst receiver of a source reports, or what a listener misses, 0 to 1.
func (c *counted) loss() float64 {
	if c.Kind == "source" {
		return c.number("worst_loss_ratio")
	}
	all := c.number("packets_total") + c.number("repair_packets_total")
	if all == 0 {
		return 0
	}
	return min(c.number("missing_packets_total")/all, 1)
}

func (b *insideBoard) head(time.Time, int) string { return "as counted at " + b.url }

func (b *insideBoard) rows(time.Time) (rows []row) {
	for i, c := range b.things {
		r := row{
			label: label(i), source: human.Clean(c.ID), kind: "source", state: "idle", rate: human.Rate(c.rate), packets: human.Number(int64(c.number("packets_total"))),
			loss: human.Percent(c.loss()), repairs: human.Number(int64(c.number("repair_packets_total"))), receivers: "?",
		}
		if c.rate > 0 {
			r.state = "sends"
		}
		if c.Kind == "source" {
			r.receivers = "~" + human.Number(int64(c.number("group_size")))
		} else {
			r.kind = "recv"
			if c.rate > 0 {
				r.state = "gets"
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func (b *insideBoard) fields(time.Time) (list []fields) {
	for i, c := range b.things {
		list = append(list, fields{
			"session": label(i), "id": c.ID, "kind": c.Kind, "group": c.Group, "tsi": c.TSI, "rate": int64(c.rate), "packets": c.number("packets_total"), "loss": c.loss(),
			"repairs": c.number("repair_packets_total"),
		})
	}
	return list
}
