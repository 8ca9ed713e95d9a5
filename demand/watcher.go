package demand

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/rmcast/rmcast/internal/aside"
)

// ErrClosed is returned by methods of a closed Watcher.
var ErrClosed = errors.New("demand: closed")

// Stats is what a Watcher counted.
type Stats struct {
	Heard   uint64 // messages that something is wanted,
	Left    uint64 // or not any more
	Reports uint64 // IGMP and MLD records about the group
	Invalid uint64 // messages that are none
	Hosts   int    // that are on the group by their reports
	Starts  uint64 // times that it was wanted anew
}

// Watcher knows whether somebody wants what a group's sources have. Its methods may be called by several goroutines.
type Watcher struct {
	cfg     Config
	ear     *aside.Ear
	reports *reports // nil: not heard

	mu      sync.Mutex
	until   time.Time // it is wanted until then, by messages
	hosts   map[netip.Addr]time.Time
	wanted  bool
	closed  bool
	ended   error // why nothing is heard any more: ErrClosed, or the network's
	changed chan struct{}
	timer   *time.Timer
	stats   Stats
}

const (
	mostHosts  = 4096
	reportTime = 260 * time.Second // RFC 3810, 9.4; RFC 3376, 8.4
)

// Watch begins to watch a group. network, group and cfg.Transport are those of its sources. What is wanted already it hears with the next message
// of who wants it: within one and a half Intervals.
func Watch(network, group string, cfg *Config) (*Watcher, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Watcher{cfg: c, hosts: map[netip.Addr]time.Time{}, changed: make(chan struct{})}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
	if w.ear, err = listen(network, group, &c, w.hear, w.bad, w.end); err != nil {
		return nil, err
	}
	if c.Reports {
		group, iface := w.ear.Where()
		if w.reports, err = listenReports(group, iface, w.report); err != nil {
			return nil, errors.Join(err, w.ear.Close())
		}
	}
	return w, nil
}

// Close ends watching: nothing is wanted any more, and Wait returns ErrClosed.
func (w *Watcher) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	w.end(ErrClosed)
	err := w.ear.Close()
	if w.reports != nil {
		err = errors.Join(err, w.reports.close())
	}
	return err
}

// end ends watching, once.
func (w *Watcher) end(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return
	}
	w.ended, w.wanted = why, false
	w.timer.Stop()
	close(w.changed)
}

// Wanted reports whether somebody wants what the group's sources have.
func (w *Watcher) Wanted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}

// Changed returns a channel that is closed when Wanted changes, or the Watcher is closed or has failed: Wait says so.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// Wait returns nil once it is wanted, ErrClosed once the Watcher is closed, transport's error once it has failed and hears nothing any more, or the
// context's error.
func (w *Watcher) Wait(ctx context.Context) error {
	for {
		w.mu.Lock()
		wanted, ended, changed := w.wanted, w.ended, w.changed
		w.mu.Unlock()
		switch {
		case ended != nil:
			return ended
		case wanted:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stats returns what was counted so far.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Hosts = len(w.hosts)
	return s
}

func (w *Watcher) bad() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Invalid++
}

// hear takes a receiver's message.
func (w *Watcher) hear(k kind, _ uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if k == want {
		w.stats.Heard++
		w.until = now.Add(w.cfg.timeout())
	} else {
		w.stats.Left++
		if end := now.Add(w.cfg.Interval / 2); w.until.After(end) {
			w.until = end
		}
	}
	w.update(now)
}

// report takes what a host's report says of the group.
func (w *Watcher) report(host netip.Addr, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.stats.Reports++
	if _, known := w.hosts[host]; !on {
		delete(w.hosts, host)
	} else if known || len(w.hosts) < mostHosts { // of so many the rest makes no difference
		w.hosts[host] = now.Add(reportTime)
	}
	w.update(now)
}

// look is called when something times out.
func (w *Watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.update(time.Now())
}

// update brings wanted up to date, and sets the timer.
func (w *Watcher) update(now time.Time) {
	if w.ended != nil {
		return
	}
	next := w.until
	for host, until := range w.hosts {
		if !until.After(now) {
			delete(w.hosts, host)
		} else if until.After(next) {
			next = until // nothing changes before the last one times out
		}
	}
	wanted := next.After(now)
	if wanted {
		w.timer.Reset(next.Sub(now))
	}
	if wanted == w.wanted {
		return
	}
	if w.wanted = wanted; wanted {
		w.stats.Starts++
	}
	close(w.changed)
	w.changed = make(chan struct{})
}
