package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/rmcast/rmcast/transport"
)

// config is the library's defaults but for what the cell is about.
func (j *Job) config() *transport.Config {
	logger := slog.New(slog.DiscardHandler)
	if j.Verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	cfg := &transport.Config{Interface: j.Interface, Rate: j.Rate, Fixed: j.Rate != 0, Logger: logger, Network: j.network}
	if j.Send { // receivers do what the source says
		cfg.FEC, _ = j.Scheme.fec()
	}
	return cfg
}

// sendRmcast sends the payload, or the messages, once to the group and serves repairs until the parent says Stop.
func sendRmcast(ctx context.Context, j *Job, c *control) (rep Report, err error) {
	src, err := transport.DialContext(ctx, "udp6", j.Group, j.config())
	if err != nil {
		return rep, err
	}
	defer func() {
		gone, now := context.WithCancel(context.Background())
		now()
		_ = src.CloseContext(gone) // closed before, as a rule
		rep.Rmcast, rep.Stats, err = sourceInfo(src.Stats(), err)
	}()
	defer context.AfterFunc(ctx, func() { src.SetWriteDeadline(time.Unix(1, 0)) })()
	if err := c.await(ctx); err != nil {
		return rep, err
	}
	if j.Messages != nil {
		queues, hash := pace(ctx, j.Messages, 1)
		err = sendMessages(ctx, queues[0], messageWriter{src}, c)
		rep.SHA256 = <-hash
	} else {
		err = send(ctx, src, j.payload, c)
	}
	rep.End, rep.Bytes = monotonic(), c.bytes.Load()
	if err != nil {
		return rep, err
	}
	rep.Complete = true
	if err := src.CloseContext(ctx); err != nil && ctx.Err() == nil {
		return rep, err
	}
	<-ctx.Done()
	return rep, nil
}

// messageWriter sends each Write as a message.
type messageWriter struct{ *transport.Source }

func (w messageWriter) Write(b []byte) (int, error) { return len(b), w.WriteMessage(b) }

// receiveRmcast reads the first source it hears to its end.
func receiveRmcast(ctx context.Context, j *Job, c *control) (rep Report, err error) {
	l, err := transport.ListenContext(ctx, "udp6", j.Group, j.config())
	if err != nil {
		return rep, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })()
	if err := c.await(ctx); err != nil {
		return rep, err
	}
	r, err := l.AcceptReceiver()
	if err != nil {
		return rep, stopped(ctx, err)
	}
	defer func() {
		rep.Rmcast, rep.Stats, err = receiverInfo(r.Stats(), err)
		r.Close()
	}()
	defer context.AfterFunc(ctx, func() { r.SetDeadline(time.Unix(1, 0)) })()
	if j.Messages != nil {
		return rep, receiveMessages(ctx, j.Messages, r.ReadMessage, c, &rep, isLoss)
	}
	return rep, receive(ctx, onlyReader{r}, c, &rep, isLoss)
}

// onlyReader hides every other method.
type onlyReader struct{ io.Reader }

// isLoss reports whether err tells of a gap behind which reading goes on.
func isLoss(err error) bool {
	var loss *transport.LossError
	return errors.As(err, &loss)
}

func sourceInfo(s transport.SourceStats, err error) (*RmcastInfo, json.RawMessage, error) {
	raw, jerr := json.Marshal(s)
	return &RmcastInfo{
		Packets: s.Packets + s.Repairs + s.Ahead + s.SPMs + s.NCFs, IPBytes: s.IPBytes, Data: s.Packets, Repairs: s.Repairs,
		Parity: s.Parity, Ahead: s.Ahead,
		NAKs: s.NAKs, NAKed: s.NAKNumbers, Drops: socketDrops(s.Socket), RecvBuffer: s.Socket.RecvBuffer,
	}, raw, errors.Join(err, jerr)
}

func receiverInfo(s transport.ReceiverStats, err error) (*RmcastInfo, json.RawMessage, error) {
	raw, jerr := json.Marshal(s)
	return &RmcastInfo{
		Packets: s.NAKs + s.SPMRs + s.ACKs, Data: s.Packets, Repairs: s.Repairs, NAKs: s.NAKs, NAKed: s.NAKNumbers,
		Suppressed: s.Suppressed, Lost: s.Lost, Drops: socketDrops(s.Socket), RecvBuffer: s.Socket.RecvBuffer,
	}, raw, errors.Join(err, jerr)
}

// socketDrops counts what an endpoint's sockets lost on the way in and could not bring out.
func socketDrops(s transport.SocketStats) uint64 {
	return s.KernelDrops + s.QueueDrops + s.Refused.Total()
}
