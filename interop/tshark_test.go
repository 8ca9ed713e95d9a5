//go:build interop && linux

package interop_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// dissection is what tshark makes of a capture.
type dissection struct {
	// types counts packets that are PGM, by type: "ODATA". Those under the port of parity are "parity ODATA", and each counts for
	// what it has of "FRAGMENT", "PARITY_PRM" and "VAR_PKTLEN" too: "parity ODATA FRAGMENT".
	types  map[string]int
	data   int      // 16 bytes that it does not take for PGM: SPMRs
	faults []string // one for each packet that is not sound
}

// dissect has tshark read a capture and check every checksum.
func dissect(t *testing.T, file string) dissection {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		skip(t, "%v", err)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", "-n", "-r", file, "-d", fmt.Sprintf("udp.port==%d,pgm", port),
		"-o", "pgm.check_checksum:TRUE", "-T", "fields",
		"-e", "frame.number", "-e", "frame.protocols", "-e", "udp.length", "-e", "pgm.hdr.type", "-e", "pgm.hdr.cksum.status",
		"-e", "_ws.expert.message", "-e", "pgm.hdr.sport", "-e", "pgm.hdr.dport", "-e", "pgm.hdr.opts.parity", "-e", "pgm.hdr.opts.varlen",
		"-e", "pgm.genopts.type")
	home := t.TempDir() // nobody's preferences
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "WIRESHARK_CONFIG_DIR="+home)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("tshark: %v\n%s", err, exit.Stderr)
	}
	d := dissection{types: make(map[string]int)}
	for line := range strings.Lines(string(out)) {
		d.add(strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return d
}

// add judges one packet by tshark's fields.
func (d *dissection) add(f []string) {
	if len(f) != 11 {
		d.faults = append(d.faults, fmt.Sprintf("tshark wrote %q", f))
		return
	}
	number, protocols, length, typ, sum, expert := f[0], f[1], f[2], f[3], f[4], f[5]
	switch code, err := strconv.ParseUint(typ, 0, 8); {
	case typ == "" && protocols[strings.LastIndexByte(protocols, ':')+1:] == "data" && length == "24":
		d.data++ // an SPMR: tshark 4.0 wants 18 bytes of each PGM packet
	case err != nil:
		d.faults = append(d.faults, fmt.Sprintf("packet %s is no PGM: %s, UDP length %s", number, protocols, length))
	case sum[strings.LastIndexByte(sum, ',')+1:] != "1": // 0 is bad, 2 unverified; other fields of that name come before it
		d.faults = append(d.faults, fmt.Sprintf("packet %s, type %s: checksum status %q", number, typ, sum))
	case expert != "":
		d.faults = append(d.faults, fmt.Sprintf("packet %s, type %s: %s", number, typ, expert))
	default:
		if fault := d.count(wire.Type(code), f[6:]); fault != "" {
			d.faults = append(d.faults, fmt.Sprintf("packet %s, type %s: %s", number, typ, fault))
		}
	}
}

// count books a sound packet by tshark's fields sport, dport, parity, varlen, options. It says what is wrong with the port: under the
// session's own there is no parity, under that of parity nothing else.
func (d *dissection) count(typ wire.Type, f []string) (fault string) {
	port16 := f[1] // data-destination port
	if typ.Upstream() {
		port16 = f[0]
	}
	name, parity := typ.String(), port16 == strconv.Itoa(port+1)
	if flagged := f[2] == "1"; flagged != (parity && typ != wire.TypeSPM) {
		return fmt.Sprintf("parity flag %v under data-destination port %s", flagged, port16)
	}
	if parity {
		name = "parity " + name
		for _, x := range strings.Split(f[4], ",") {
			if o, err := strconv.ParseUint(x, 0, 8); err == nil {
				switch o := wire.Option(o & 0x7f); o {
				case wire.OptFragment, wire.OptParityPRM:
					d.types[name+" "+o.String()]++
				}
			}
		}
		if f[3] == "1" {
			d.types[name+" VAR_PKTLEN"]++
		}
	}
	d.types[name]++
	return ""
}

// wantDissected checks that tshark finds each packet of a capture sound, and packets of all types among them.
func wantDissected(t *testing.T, file string, types ...string) dissection {
	t.Helper()
	d := dissect(t, file)
	t.Logf("tshark: %v, %d times 16 bytes (SPMR)", d.types, d.data)
	for i, fault := range d.faults {
		t.Error(fault)
		if i == 9 {
			t.Errorf("… %d faults in all", len(d.faults))
			break
		}
	}
	for _, typ := range types {
		if d.types[typ] == 0 {
			t.Errorf("tshark saw no %s", typ)
		}
	}
	return d
}

// tshark takes every packet of both our ends for sound PGM: a session with loss, stream and fragmented messages and a regular end,
// and one that is reset.
func TestDissect(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Loss: 0.05, SenderLoss: loss, Wire: true})
			down := startCapture(t, l, netem.Sender, f.addr(netem.Sender))
			up := startCapture(t, l, 0, f.addr(0))
			ln := listen(t, l, 0, &f)
			data := payload(2 << 20)
			r := receive(t, ln, len(data), false)
			s := dial(t, l, &f)
			messages := send(t, s, data)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			got := r.wait(t)
			wantBytes(t, "our receiver", got.data, data)
			wantSuffix(t, "our receiver", got.messages, messages)
			reset(t, dial(t, l, &f))
			logSource(t, s)
			logReceiver(t, &got.stats)

			file := down.end(t)
			d := wantDissected(t, file, "SPM", "ODATA", "RDATA", "NCF")
			if d.data > 0 {
				t.Errorf("our source sent %d packets of 16 bytes", d.data)
			}
			wantDissected(t, up.end(t), "NAK", "ACK")
			wantFault(t, file)
		})
	}
}

// tshark takes every packet of both our ends for sound PGM where they use parity: of full groups and of such that a pause closed, of
// payloads as long as each other and not, of fragments.
func TestDissectParity(t *testing.T) {
	modes := []struct {
		name  string
		cfg   fec.Config
		types []string // of parity, as tshark tells them
	}{
		{"on demand", fec.Config{Goal: fec.LeastBytes}, []string{"parity RDATA", "parity RDATA FRAGMENT", "parity RDATA VAR_PKTLEN"}},
		{"proactive", fec.Config{Proactive: 4}, []string{"parity ODATA", "parity ODATA FRAGMENT", "parity ODATA VAR_PKTLEN"}},
	}
	for _, f := range families {
		for _, mode := range modes {
			t.Run(f.name+"/"+mode.name, func(t *testing.T) {
				l := newLab(t, netem.LabConfig{Receivers: 2, Loss: 2 * heavyLoss, SenderLoss: loss, Wire: true})
				down := startCapture(t, l, netem.Sender, f.addr(netem.Sender))
				up := startCapture(t, l, 0, f.addr(0))
				data := payload(2 << 20)
				var receivers [2]*receiving
				for i := range receivers {
					receivers[i] = receive(t, listen(t, l, netem.Node(i), &f), len(data), i == 0)
				}
				cfg := config(t)
				cfg.FEC = mode.cfg
				s := dialWith(t, l, &f, cfg)
				messages := cut(len(data)/2, paritySizes)
				pauses := len(messages)
				messages = append(messages, cut(len(data)-len(data)/2, []int{1384})...)
				rest := data
				for i, n := range messages {
					if err := s.WriteMessage(rest[:n]); err != nil {
						t.Fatal(err)
					}
					if rest = rest[n:]; i < pauses && i%16 == 15 {
						drain(t, s)
						time.Sleep(15 * time.Millisecond) // the group is closed
					}
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				wantParity(t, s, receivers[:], data, mode.cfg)
				wantSuffix(t, "our receiver", receivers[1].got.messages, messages)

				file := down.end(t)
				types := append(mode.types, "SPM", "ODATA", "RDATA", "NCF", "parity SPM", "parity SPM PARITY_PRM", "parity NCF")
				d := wantDissected(t, file, types...)
				if data := mode.types[0]; d.types[data] == d.types[data+" VAR_PKTLEN"] {
					t.Errorf("no %s is over payloads of one length", data)
				}
				typ := wire.TypeRDATA
				if mode.cfg.Proactive > 0 {
					typ = wire.TypeODATA
				}
				for _, typ := range []wire.Type{wire.TypeSPM, typ} { // tshark shows it in words only
					closed := count(t, file, func(p *wire.Packet) bool {
						return p.Type == typ && p.Options.Set.Has(wire.OptCurrTGSize) && p.Options.CurrTGSize > 0
					})
					t.Logf("%d %v tell of a group that was closed", closed, typ)
					if closed == 0 {
						t.Errorf("no %v tells of a group that was closed", typ)
					}
				}
				wantDissected(t, up.end(t), "NAK", "parity NAK")
			})
		}
	}
}

// drain waits until a source has sent what was written.
func drain(t *testing.T, s *transport.Source) {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); s.Stats().Unsent > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d packets are still not sent", s.Stats().Unsent)
		}
	}
}

// reset ends a session in the middle: its SPMs carry OPT_RST.
func reset(t *testing.T, s *transport.Source) {
	t.Helper()
	if err := s.WriteMessage(payload(5000)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.CloseContext(ctx) // its error says that it was cut short, if it was
}

// wantFault damages the last packet of a capture and checks that tshark is found to see it: else the rest proves nothing.
func wantFault(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := 24 + 16 + int(binary.BigEndian.Uint32(b[24+8:])) // after the file's head and the first packet
	b = b[:first]
	b[len(b)-1] ^= 0x40
	bad := file + ".bad"
	if err := os.WriteFile(bad, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := dissect(t, bad); len(d.faults) != 1 {
		t.Errorf("tshark says %+v of a packet with a flipped bit, want one fault", d)
	}
}
