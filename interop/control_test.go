//go:build interop && linux

package interop_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/netem"
)

// bare is a Network whose sources send what is about parity under the session's own data-destination port, as the RFC has it.
type bare struct{ dgram.Network }

type bareConn struct {
	dgram.Conn
	buf []byte
}

func (n bare) OpenSource(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := n.Network.OpenSource(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	return &bareConn{Conn: c}, nil
}

func (c *bareConn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	c.buf = append(c.buf[:0], b...)
	if segment <= 0 {
		segment = len(b)
	}
	for rest := c.buf; len(rest) > 0; rest = rest[min(segment, len(rest)):] {
		destination, sum := rest[2:4], rest[6:8]
		if binary.BigEndian.Uint16(destination) != port+1 {
			continue
		}
		binary.BigEndian.PutUint16(destination, port)
		// RFC 1624: the sum of all words is smaller by 1, so its complement is greater by 1.
		x := uint32(binary.BigEndian.Uint16(sum)) + 1
		binary.BigEndian.PutUint16(sum, uint16(x+x>>16))
	}
	return c.Conn.WriteRun(c.buf, segment, to, hopLimit)
}

// An OpenPGM receiver that does hear parity ends, hangs or loses: that it does not in TestBesideParity is due to the port.
func TestParityHarms(t *testing.T) {
	needPeers(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Loss: heavyLoss, SenderLoss: loss, Wire: true})
			p, _ := startReceiver(t, l, 0, &f, size)
			cfg := config(t)
			cfg.FEC = fec.Config{Proactive: 4}
			cfg.Network = bare{dgram.Kernel}
			s := dialWith(t, l, &f, cfg)
			data := payload(size)
			sendSizes(t, s, data, paritySizes)
			last := ""
			for timeout := time.After(10 * time.Second); p.lines != nil; {
				select {
				case line, ok := <-p.lines:
					if !ok {
						p.lines = nil
						last += fmt.Sprintf(" (%v)", p.wait())
						continue
					}
					last = line
				case <-timeout:
					p.lines, last = nil, "nothing for 10 s"
				}
			}
			logSource(t, s)
			t.Logf("OpenPGM's receiver: %s", last)
			var apdus, n, resets int
			if _, err := fmt.Sscanf(last, "got %d %d %d", &apdus, &n, &resets); err == nil && n == size && resets == 0 {
				t.Error("OpenPGM's receiver takes no harm from parity")
			}
		})
	}
}
