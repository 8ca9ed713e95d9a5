package transport

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// loopback returns the name of the loopback interface and a group on it whose port is free; it skips where multicast on
// loopback does not work (as by a firewall).
func loopback(t *testing.T) (name, group string) {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Skipf("no list of interfaces: %v", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			name = i.Name
		}
	}
	if name == "" {
		t.Skip("no loopback interface is up")
	}
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no UDP on loopback: %v", err)
	}
	defer c.Close()
	return name, fmt.Sprintf("239.192.77.9:%d", c.LocalAddr().(*net.UDPAddr).Port)
}

// TestLoopback sends over real sockets of the loopback interface, as an ordinary user can, to two receivers.
func TestLoopback(t *testing.T) {
	name, group := loopback(t)
	cfg := &Config{Interface: name, Rate: 200 * flow.Mbps, Logger: slog.New(slog.DiscardHandler)}
	sent := random(1, 4<<20)
	var wg sync.WaitGroup
	for i := range 2 {
		l, err := Listen("udp4", group, cfg)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer l.Close()
			if err := l.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Error(err)
			}
			r, err := l.AcceptReceiver()
			if err != nil {
				t.Errorf("receiver %d: %v", i, err)
				return
			}
			defer r.Close()
			var got bytes.Buffer
			if _, err := io.Copy(&got, r); err != nil {
				t.Errorf("receiver %d: %v", i, err)
			}
			same(t, got.Bytes(), sent)
			if st := r.Stats(); st.Socket.Interface != name || st.Socket.RecvBuffer <= 0 || st.Socket.MTU < 1500 {
				t.Errorf("receiver %d has interface %s, MTU %d, receive buffer %d", i, st.Socket.Interface, st.Socket.MTU, st.Socket.RecvBuffer)
			}
		})
	}
	s, err := Dial("udp4", group, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(s, bytes.NewReader(sent)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Nobody hears what NoLoopback sends on the loopback interface.
func TestNoLoopbackOnLoopback(t *testing.T) {
	name, group := loopback(t)
	_, err := Dial("udp4", group, &Config{Interface: name, NoLoopback: true})
	if err == nil {
		t.Fatal("Dial takes NoLoopback on " + name)
	}
	for _, word := range []string{"NoLoopback", "Interface", name} {
		if !bytes.Contains([]byte(err.Error()), []byte(word)) {
			t.Errorf("error %v, want one with %q", err, word)
		}
	}
}
