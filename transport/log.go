package transport

import (
	"context"
	"log/slog"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/session"
)

// maxEvents bounds how many events of one round under the lock are logged; more of them say nothing new.
const maxEvents = 16

// logged are the events that are logged.
var logged = map[session.EventKind]struct {
	level slog.Level
	text  string
}{
	session.EventAccepted:   {slog.LevelDebug, "rmcast: source accepted"},
	session.EventRefused:    {slog.LevelWarn, "rmcast: source refused, too many are open or wait for Accept"},
	session.EventReset:      {slog.LevelInfo, "rmcast: source reset the session"},
	session.EventSourceLost: {slog.LevelInfo, "rmcast: source lost, nothing heard from it for too long"},
	session.EventSlow:       {slog.LevelInfo, "rmcast: a receiver is too slow, and does not set the rate any more"},
	session.EventRecovered:  {slog.LevelInfo, "rmcast: a receiver that was too slow may set the rate again"},
	session.EventEvicted:    {slog.LevelWarn, "rmcast: a receiver that was too slow is not served any more"},
	session.EventJump:       {slog.LevelDebug, "rmcast: a packet with a number far ahead was not believed"},
}

// trace is the engine's Trace: it keeps what is to be logged after the round and passes everything on to the user's. It
// runs under mu.
func (e *endpoint) trace(ev session.Event) {
	if ev.Kind == session.EventAccepted {
		e.accepted = true
	}
	if l, ok := logged[ev.Kind]; ok && len(e.events) < maxEvents && e.log.Enabled(context.Background(), l.level) {
		e.events = append(e.events, ev)
	}
	if e.userTrace != nil {
		e.userTrace(ev)
	}
}

// logEvent writes what trace kept. mu is not held.
func (e *endpoint) logEvent(ev session.Event) {
	l := logged[ev.Kind]
	attrs := []slog.Attr{slog.Any("tsi", ev.TSI), slog.String("group", e.info.GroupAddr.String())}
	if ev.ID != 0 {
		attrs = append(attrs, slog.String("receiver", ev.ID.String()))
	} else {
		attrs = append(attrs, slog.Any("range", ev.Range))
	}
	e.log.LogAttrs(context.Background(), l.level, l.text, attrs...)
}

// logSource tells an operator what about a source's socket is not as it should be.
func logSource(log *slog.Logger, info *dgram.Info, cfg *Config) {
	if cfg.Fixed && cfg.Rate == 0 {
		log.Info("rmcast: Config.Fixed is set and Config.Rate is not; sending at the default", "rate", defaultRate.String())
	}
	if info.PortTaken {
		log.Warn("rmcast: another process has the group's port on our address; receivers that are not of this library cannot ask for repairs",
			"interface", info.Interface, "port", info.Port, "own port", info.OwnPort)
	}
	if info.LinkLocalOnly {
		log.Warn("rmcast: the interface has link-local IPv6 addresses only; receivers that are not of this library cannot ask for repairs",
			"interface", info.Interface)
	}
}

// logReceiver does it for a Listener's.
func logReceiver(log *slog.Logger, info *dgram.Info) {
	if info.RecvBuffer < dgram.DefaultRecvBuffer {
		log.Warn("rmcast: the receive buffer is smaller than asked for; fast sources will overflow it (Linux: raise net.core.rmem_max)",
			"interface", info.Interface, "bytes", info.RecvBuffer, "asked", dgram.DefaultRecvBuffer)
	}
}
