package capture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// session sends 200 kB to one receiver that loses a tenth, in virtual time, and returns what both ends captured.
func session(t *testing.T, network, group string, cfg *Config) (source, receiver []byte) {
	t.Helper()
	var out, in bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		a, b := fabric.Host("10.0.0.1", "fd00::1"), fabric.Host("10.0.0.2", "fd00::2")
		b.SetIngress(netem.Impairment{Loss: 0.1})
		files := []*File{open(t, &out, cfg), open(t, &in, cfg)}
		quiet := slog.New(slog.DiscardHandler)
		l, err := transport.Listen(network, group, &transport.Config{Network: files[1].Network(b), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s, err := transport.Dial(network, group, &transport.Config{Network: files[0].Network(a), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 200e3)); err != nil {
			t.Error(err)
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		r, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != 200e3 || err != nil {
			t.Errorf("received %d bytes, %v", n, err)
		}
		for _, err := range []error{<-closed, r.Close(), l.Close(), files[0].Close(), files[1].Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return out.Bytes(), in.Bytes()
}

func open(t *testing.T, w io.Writer, cfg *Config) *File {
	t.Helper()
	f, err := New(w, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readBack(t *testing.T, b []byte) *contents {
	t.Helper()
	c, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Both ends of a session read back: what one sends and the network does not lose the other receives, in each of the two directions,
// under the addresses that both know.
func TestSession(t *testing.T) {
	for _, tt := range []struct{ network, group, source, receiver string }{
		{"udp", "[ff15::8000:1]:7500", "[fd00::1]:7500", "fd00::2"},
		{"udp", "239.192.0.9:7500", "10.0.0.1:7500", "10.0.0.2"},
		{"ip6:pgm", "ff15::8000:1", "[fd00::1]:0", "fd00::2"},
		{"ip4:pgm", "239.192.0.9", "10.0.0.1:0", "10.0.0.2"},
	} {
		t.Run(tt.network+" "+tt.group, func(t *testing.T) {
			a, b := session(t, tt.network, tt.group, nil)
			sent := tally(t, readBack(t, a), "source of ", tt.source, tt.receiver)
			got := tally(t, readBack(t, b), "receiver of ", tt.source, tt.receiver)
			lost := 0
			for what, n := range sent.down {
				if m := got.down[what]; m > n {
					t.Errorf("received %d times, sent %d: %.40q", m, n, what)
				} else {
					lost += n - m
				}
			}
			for what, n := range got.up {
				if sent.up[what] != n {
					t.Errorf("the receiver sent %d times, the source heard %d: %.40q", n, sent.up[what], what)
				}
			}
			for what := range got.down {
				if sent.down[what] == 0 {
					t.Errorf("received and not sent: %.40q", what)
				}
			}
			t.Logf("%d lost; %v and %v", lost, sent.types, got.types)
			if lost == 0 || sent.types[wire.TypeODATA] < 142 || sent.types[wire.TypeRDATA] == 0 || got.types[wire.TypeNAK] == 0 || sent.types[wire.TypeNAK] == 0 {
				t.Error("the captures miss a part of the session")
			}
		})
	}
}

// side is what one end's capture has, downstream and up, by addresses and payload.
type side struct {
	down, up map[string]int
	types    map[wire.Type]int
}

func tally(t *testing.T, c *contents, role, source, receiver string) side {
	t.Helper()
	if len(c.interfaces) != 1 || !strings.HasPrefix(c.interfaces[0], "eth0, "+role) {
		t.Fatalf("interfaces %q", c.interfaces)
	}
	if c.received[0] != uint64(len(c.packets)) || c.dropped[0] != 0 {
		t.Errorf("statistics of %d packets and %d drops, there are %d", c.received[0], c.dropped[0], len(c.packets))
	}
	s := side{map[string]int{}, map[string]int{}, map[wire.Type]int{}}
	for i, p := range c.packets {
		var w wire.Packet
		if err := w.Decode(p.payload); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		s.types[w.Type]++
		if i > 0 && p.at.Before(c.packets[i-1].at) {
			t.Errorf("packet %d is older than the one before", i)
		}
		down, key := p.from == netip.MustParseAddrPort(source), fmt.Sprint(p.from, p.to, string(p.payload))
		switch {
		case down && p.multicast && p.in == (role == "receiver of "):
			s.down[key]++
		case !down && p.from.Addr() == netip.MustParseAddr(receiver) && p.in == (role == "source of ") && (p.multicast || p.to == netip.MustParseAddrPort(source)):
			s.up[key]++
		default:
			t.Errorf("packet %d: %v from %v to %v, in %v", i, w.Type, p.from, p.to, p.in)
		}
	}
	return s
}

// With SnapBytes only so much of each packet is there, and its length is told.
func TestSnapBytes(t *testing.T) {
	a, _ := session(t, "udp", "[ff15::8000:1]:7500", &Config{SnapBytes: 120})
	c := readBack(t, a)
	long := 0
	for _, p := range c.packets {
		if p.length == 40+8+24+1408 {
			long++
		}
	}
	if most := len(c.packets) * (120 + 64); long < 141 || len(a) > most+1000 {
		t.Errorf("%d whole packets of data in %d bytes, want 141 in %d", long, len(a), most)
	}
}

// tshark finds every packet of both ends sound, down to PGM's checksum.
func TestTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip(err)
	}
	for _, group := range []string{"[ff15::8000:1]:7500", "239.192.0.9:7500"} {
		a, b := session(t, "udp", group, nil)
		for i, capture := range [][]byte{a, b} {
			name := filepath.Join(t.TempDir(), "session.pcapng")
			if err := os.WriteFile(name, capture, 0o600); err != nil {
				t.Fatal(err)
			}
			want := len(readBack(t, capture).packets)
			lines := strings.Split(strings.TrimSpace(tshark(t, name)), "\n")
			types := map[string]int{}
			for _, line := range lines {
				f := strings.Split(line, "|")
				if len(f) != 6 || f[1] != "" || f[2] != "1" || f[4] != "eth0" {
					t.Errorf("%s: %q", group, line)
					break
				}
				types[f[3]+" "+f[5]]++
			}
			t.Logf("%s, end %d: %v", group, i, types)
			if len(lines) != want {
				t.Errorf("%s, end %d: tshark saw %d packets, want %d", group, i, len(lines), want)
			}
		}
	}
}

func tshark(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "tshark", "-n", "-r", name, "-d", "udp.port==7500,pgm", "-Y", "pgm",
		"-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "pgm.check_checksum:TRUE",
		"-T", "fields", "-E", "separator=|", "-E", "occurrence=l", "-e", "frame.number", "-e", "_ws.expert.message", "-e", "udp.checksum.status",
		"-e", "pgm.hdr.type", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction")
	home := t.TempDir() // nobody's preferences
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "WIRESHARK_CONFIG_DIR="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	return string(out)
}

// A File passes on what goes wrong with the network that it wraps.
func TestOpenFails(t *testing.T) {
	f := open(t, io.Discard, nil)
	n := f.Network(netem.NewFabric(netem.FabricConfig{}).Host("fd00::1"))
	_, err := transport.DialContext(context.Background(), "udp", "239.192.0.9:7500", &transport.Config{Network: n})
	_, err2 := transport.ListenContext(context.Background(), "udp", "239.192.0.9:7500", &transport.Config{Network: n})
	if err == nil || err2 == nil {
		t.Errorf("errors %v and %v, want both: the host has no IPv4", err, err2)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
