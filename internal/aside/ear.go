package aside

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rmcast/rmcast/transport"
)

// wait is how long a session has for its message.
const wait = 3 * time.Second

// Ear hears messages in a group. It sends nothing.
type Ear struct {
	listener *transport.Listener
	most     int
	hear     func(message []byte)
	failed   func(error)
	done     chan struct{}
}

// Listen begins to hear messages of at most that many bytes; longer ones are passed over. hear is called with each, by several goroutines at once, no more than
// cfg.MaxSources; the message is valid until it returns. failed is called, once, if nothing can be heard any more, for another reason than Close; nil: nobody
// is told.
func Listen(network, group string, cfg *transport.Config, most int, hear func(message []byte), failed func(error)) (*Ear, error) {
	c := *cfg
	c.ReceiveOnly = true
	l, err := transport.Listen(network, group, &c)
	if err != nil {
		return nil, err
	}
	e := &Ear{listener: l, most: most, hear: hear, failed: failed, done: make(chan struct{})}
	go e.accept()
	return e, nil
}

// Close ends hearing. It waits until hear and failed have returned, and are not called any more.
func (e *Ear) Close() error {
	err := e.listener.Close()
	<-e.done
	if errors.Is(err, net.ErrClosed) { // it failed
		err = nil
	}
	return err
}

// Where returns the group, without a zone, and the name of the interface by which it is heard.
func (e *Ear) Where() (group netip.Addr, iface string) {
	a := e.listener.Addr().(*transport.Addr)
	return a.Group().Addr().WithZone("").Unmap(), e.listener.Stats().Socket.Interface
}

func (e *Ear) accept() {
	defer close(e.done)
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		session, err := e.listener.AcceptReceiver()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // the socket is of no use any more
			e.listener.Close()
			if e.failed != nil {
				e.failed(err)
			}
			return
		}
		serving.Go(func() { e.serve(session) })
	}
}

// serve takes the message of a session.
func (e *Ear) serve(session *transport.Receiver) {
	defer session.Close()
	b := make([]byte, e.most)
	_ = session.SetReadDeadline(time.Now().Add(wait))
	if n, err := session.ReadMessage(b); err == nil {
		e.hear(b[:n])
	}
}
