package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// fanOut is a connection to each receiver, and how far each has acknowledged.
type fanOut struct {
	conns []net.Conn // nil: gone

	mu     sync.Mutex
	acked  []int // messages
	want   int   // messages that a quorum is to have acknowledged
	quorum int
	ready  chan struct{} // holds a token when it has
}

// count reports how many have acknowledged want messages. mu is held.
func (f *fanOut) count() (n int) {
	for _, a := range f.acked {
		if a >= f.want {
			n++
		}
	}
	return n
}

// listen takes the acknowledgements of one connection: the number of messages read so far, each as 8 bytes.
func (f *fanOut) listen(i int) {
	r := bufio.NewReader(f.conns[i])
	var b [8]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return
		}
		f.mu.Lock()
		before := f.count()
		f.acked[i] = int(binary.LittleEndian.Uint64(b[:]))
		told := before < f.quorum && f.count() >= f.quorum
		f.mu.Unlock()
		if told {
			f.ready <- struct{}{}
		}
	}
}

// sendTCP writes each message to all connections and waits until a quorum has acknowledged it.
func (j *Job) sendTCP(s *says, lines <-chan struct{}, rep *Report) error {
	f := &fanOut{conns: make([]net.Conn, j.Receivers), acked: make([]int, j.Receivers), quorum: j.Quorum, ready: make(chan struct{}, 1)}
	for i, a := range j.Addresses {
		c, err := net.Dial("tcp", a)
		if err != nil {
			return err
		}
		f.conns[i] = c
	}
	for i := range f.conns {
		go f.listen(i)
	}
	_, err := j.write(s, lines, rep, func(b []byte) error {
		f.mu.Lock()
		f.want++
		f.mu.Unlock()
		alive := 0
		for i, c := range f.conns {
			if c == nil {
				continue
			}
			if _, err := c.Write(b); err != nil {
				c.Close()
				f.conns[i] = nil
				continue
			}
			alive++
		}
		if alive < j.Quorum {
			return fmt.Errorf("%d connections are left", alive)
		}
		<-f.ready
		return nil
	})
	for _, c := range f.conns {
		if c != nil {
			err = errors.Join(err, c.(*net.TCPConn).CloseWrite())
		}
	}
	return err
}

// receiveTCP reads messages and acknowledges each.
func (j *Job) receiveTCP(s *says, rep *Report) error {
	l, err := net.Listen("tcp", j.Addresses[0])
	if err != nil {
		return err
	}
	s.event(Event{Ready: true})
	c, err := l.Accept()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 64<<10)
	var ack [8]byte
	return j.read(rep, func(b []byte) (int, error) { return io.ReadFull(r, b) }, func(i int) error {
		binary.LittleEndian.PutUint64(ack[:], uint64(i+1))
		_, err := c.Write(ack[:])
		return err
	})
}
