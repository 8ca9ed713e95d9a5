//go:build interop && linux

package interop_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"golang.org/x/sys/unix"
)

// capture writes the UDP packets that one node sends to a pcap file, seen at its interface: before any loss, and after
// segmentation in a Lab with Wire.
type capture struct {
	file string
	fd   int
	from netip.Addr
	stop chan struct{}
	done sync.WaitGroup
	err  error
}

// startCapture begins a capture at a node of what it sends from its address.
func startCapture(t *testing.T, l *netem.Lab, n netem.Node, from netip.Addr) *capture {
	t.Helper()
	c := &capture{file: filepath.Join(t.TempDir(), "sent.pcap"), from: from, stop: make(chan struct{})}
	err := l.Do(n, func() error {
		eth, err := net.InterfaceByName(netem.LabInterface)
		if err != nil {
			return err
		}
		all := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return os.NewSyscallError("socket(AF_PACKET)", err)
		}
		if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20) != nil {
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 32<<20)
		}
		return errors.Join(
			unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: eth.Index}),
			unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}))
	})
	if err != nil {
		t.Fatal(err)
	}
	c.done.Go(func() { c.err = c.write() })
	t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

// end stops the capture, which must have missed nothing, and returns its file.
func (c *capture) end(t *testing.T) string {
	t.Helper()
	close(c.stop)
	c.done.Wait()
	if c.err != nil {
		t.Fatal(c.err)
	}
	st, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatal(err)
	}
	if st.Drops > 0 {
		t.Logf("the capture missed %d packets", st.Drops)
	}
	return c.file
}

// write writes a pcap file of Ethernet frames in network order until stop is closed and nothing more comes.
func (c *capture) write() error {
	f, err := os.Create(c.file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	head := binary.BigEndian.AppendUint32(nil, 0xa1b2c3d4)
	head = append(head, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1)
	w.Write(head)
	b := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		switch {
		case err == unix.EAGAIN:
			select {
			case <-c.stop:
				return w.Flush()
			default:
				continue
			}
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("recvfrom(AF_PACKET)", err)
		}
		if !c.ours(b[:n]) {
			continue
		}
		now := time.Now()
		head = binary.BigEndian.AppendUint32(head[:0], uint32(now.Unix()))
		head = binary.BigEndian.AppendUint32(head, uint32(now.Nanosecond()/1000))
		head = binary.BigEndian.AppendUint32(head, uint32(n))
		head = binary.BigEndian.AppendUint32(head, uint32(n))
		w.Write(head)
		w.Write(b[:n]) // Flush tells of errors
	}
}

// ours reports whether a frame is UDP from the node's address.
func (c *capture) ours(b []byte) bool {
	const ethernet = 14
	switch {
	case len(b) >= ethernet+20 && b[12] == 0x08 && b[13] == 0x00:
		return b[ethernet+9] == unix.IPPROTO_UDP && netip.AddrFrom4([4]byte(b[ethernet+12:])) == c.from
	case len(b) >= ethernet+40 && b[12] == 0x86 && b[13] == 0xdd:
		return b[ethernet+6] == unix.IPPROTO_UDP && netip.AddrFrom16([16]byte(b[ethernet+8:])) == c.from
	}
	return false
}
