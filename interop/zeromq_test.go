//go:build interop && linux

package interop_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// needZeroMQ compiles the ZeroMQ program. Its library is a wish and no need: without it the test is skipped, required or not.
func needZeroMQ(t *testing.T) {
	t.Helper()
	needPeers(t)
	if err := compile("zmq_sub", "-l:libzmq.so.5"); err != nil {
		t.Skipf("skipped: no ZeroMQ (Debian: libzmq5): %v", err)
	}
}

// apduSizes are lengths of the packets that a stream of ZeroMQ's is cut into; parity fits beside each.
var apduSizes = []int{1384, 200, 1408, 64, 1300}

// apdus cuts messages into packets as a ZeroMQ publisher does: a stream of frames, each a length, a byte of flags and the body; each
// packet begins with the distance from its third byte to the first message that begins in it, 0xffff if none does.
func apdus(data []byte, messages []int) (packets [][]byte) {
	var stream []byte
	var starts []int
	for _, n := range messages {
		starts = append(starts, len(stream))
		if n+1 < 0xff {
			stream = append(stream, byte(n+1))
		} else {
			stream = binary.BigEndian.AppendUint64(append(stream, 0xff), uint64(n+1))
		}
		stream = append(append(stream, 0), data[:n]...)
		data = data[n:]
	}
	for at := 0; at < len(stream); {
		n := min(apduSizes[len(packets)%len(apduSizes)]-2, len(stream)-at)
		offset := 0xffff
		if i, _ := slices.BinarySearch(starts, at); i < len(starts) && starts[i] < at+n {
			offset = starts[i] - at
		}
		packets = append(packets, append(binary.BigEndian.AppendUint16(nil, uint16(offset)), stream[at:at+n]...))
		at += n
	}
	return packets
}

// A ZeroMQ subscriber gets every message from our source in a group whose other receivers are ours and use parity.
func TestZeroMQBesideParity(t *testing.T) {
	needZeroMQ(t)
	const ours = 2
	for _, f := range families {
		for _, mode := range parityModes {
			t.Run(f.name+"/"+mode.name, func(t *testing.T) {
				l := newLab(t, netem.LabConfig{Receivers: 1 + ours, Loss: heavyLoss, SenderLoss: loss, Wire: true})
				file := filepath.Join(t.TempDir(), "received")
				p := startPeer(t, l, 0, "zmq_sub", "-e", fmt.Sprintf("epgm://%s:%d", f.network(0), port), "-r", strconv.Itoa(rate/1000),
					"-b", strconv.Itoa(size), "-t", strconv.Itoa(int(patience/time.Second)), file)
				data := payload(size)
				messages := cut(size, []int{1, 100, 252, 253, 254, 255, 3000, 10, 70000, 1000})
				var want []byte
				packets := apdus(data, messages)
				for _, a := range packets {
					want = append(want, a...)
				}
				var receivers [ours]*receiving
				for i := range receivers {
					receivers[i] = receive(t, listen(t, l, netem.Node(1+i), &f), len(want), false)
				}
				cfg := config(t)
				cfg.FEC = mode.cfg
				s := dialWith(t, l, &f, cfg)
				start := time.Now()
				for _, a := range packets {
					if err := s.WriteMessage(a); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				numbers := p.expect("got", patience)
				t.Logf("%d bytes in %v", size, time.Since(start))
				p.end()
				if !slices.Equal(numbers, []int{len(messages), size}) {
					t.Errorf("ZeroMQ tells messages, bytes: %v, want %d, %d\n%s", numbers, len(messages), size, &p.stderr)
				}
				got, lengths := readAPDUs(t, file)
				wantBytes(t, "ZeroMQ's subscriber", got, data)
				if !slices.Equal(lengths, messages) {
					t.Errorf("ZeroMQ's subscriber got %d messages that are not the %d sent", len(lengths), len(messages))
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				wantLoss(t, l, 0)
				wantParity(t, s, receivers[:], want, mode.cfg)
			})
		}
	}
}
