package demand

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rmcast/rmcast/transport"
)

// messageWait is how long a session has for its message.
const messageWait = 3 * time.Second

// ear hears messages in a group.
type ear struct {
	listener *transport.Listener
	hear     func(k kind, who uint64) // called by several goroutines
	bad      func()
	done     chan struct{}
}

func newEar(network, group string, cfg *transport.Config, hear func(kind, uint64), bad func()) (*ear, error) {
	c := *cfg
	c.ReceiveOnly = true
	l, err := transport.Listen(network, group, &c)
	if err != nil {
		return nil, err
	}
	e := &ear{listener: l, hear: hear, bad: bad, done: make(chan struct{})}
	go e.accept()
	return e, nil
}

func (e *ear) close() error {
	err := e.listener.Close()
	<-e.done
	if errors.Is(err, net.ErrClosed) { // it failed
		err = nil
	}
	return err
}

func (e *ear) accept() {
	defer close(e.done)
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		session, err := e.listener.AcceptReceiver()
		if err != nil {
			e.listener.Close()
			return
		}
		serving.Go(func() { e.serve(session) }) // no more than MaxSources
	}
}

func (e *ear) serve(session *transport.Receiver) {
	defer session.Close()
	b := make([]byte, messageBytes)
	_ = session.SetReadDeadline(time.Now().Add(messageWait))
	n, err := session.ReadMessage(b)
	if err != nil {
		return
	}
	if k, who, err := parseMessage(b[:n]); err != nil {
		e.bad()
	} else {
		e.hear(k, who)
	}
}
