//go:build interop && linux

package interop_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// peers are the OpenPGM programs, compiled once.
var peers struct {
	once    sync.Once
	dir     string
	missing string // why they cannot be had
	err     error  // why they should be had and are not
}

// needPeers compiles the OpenPGM programs, or skips the test where that is not possible.
func needPeers(t *testing.T) {
	t.Helper()
	peers.once.Do(compilePeers)
	if peers.missing != "" {
		skip(t, "%s", peers.missing)
	}
	if peers.err != nil {
		t.Fatal(peers.err)
	}
}

func compilePeers() {
	for _, tool := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			peers.missing = err.Error()
			return
		}
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "openpgm-5.3").Output()
	if err != nil {
		peers.missing = "pkg-config knows no openpgm-5.3 (Debian: libpgm-dev)"
		return
	}
	if peers.dir, peers.err = os.MkdirTemp("", "interop"); peers.err != nil {
		return
	}
	for _, name := range []string{"pgm_tx", "pgm_rx"} {
		if peers.err = compile(name, strings.Fields(string(flags))...); peers.err != nil {
			return
		}
	}
}

// compile makes a program of testdata in the peers' directory.
func compile(name string, flags ...string) error {
	args := []string{"-O1", "-Wall", "-o", filepath.Join(peers.dir, name), filepath.Join("testdata", name+".c")}
	if out, err := exec.Command("cc", append(args, flags...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("cc %s.c: %w\n%s", name, err, out)
	}
	return nil
}

// peer is a running OpenPGM program.
type peer struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // of its standard output; closed at its end
	stderr bytes.Buffer
	once   sync.Once
	err    error
}

// startPeer starts a program in a node and waits until it is connected.
func startPeer(t *testing.T, l *netem.Lab, n netem.Node, name string, args ...string) *peer {
	t.Helper()
	p := &peer{t: t, name: name, lines: make(chan string, 16)}
	p.cmd = exec.Command(filepath.Join(peers.dir, name), args...)
	p.cmd.Stderr = &p.stderr
	// Pipes of our own: Wait would close that of StdoutPipe before all was read.
	in, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.stdin = in, out, stdin
	err = l.Start(n, p.cmd)
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.lines)
		defer stdout.Close()
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	p.expect("ready", 20*time.Second)
	return p
}

// expect waits for the next line, which must begin with word, and returns the numbers after it.
func (p *peer) expect(word string, within time.Duration) []int {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s: no %q, it ended: %v\n%s", p.name, word, p.wait(), &p.stderr)
		}
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != word {
			p.t.Fatalf("%s: got %q, want %q", p.name, line, word)
		}
		var numbers []int
		for _, f := range fields[1:] {
			n, err := strconv.Atoi(f)
			if err != nil {
				p.t.Fatalf("%s: got %q: %v", p.name, line, err)
			}
			numbers = append(numbers, n)
		}
		return numbers
	case <-time.After(within):
		p.t.Fatalf("%s: no %q after %v", p.name, word, within)
	}
	return nil
}

// end closes the program's standard input and waits for its end, which must be a good one.
func (p *peer) end() {
	p.t.Helper()
	p.stdin.Close()
	if err := p.wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.name, err, &p.stderr)
	}
}

func (p *peer) wait() error {
	p.once.Do(func() { p.err = p.cmd.Wait() })
	return p.err
}

func (p *peer) kill() {
	p.stdin.Close()
	p.cmd.Process.Kill()
	p.wait()
}

// family is what differs between IPv4 and IPv6.
type family struct {
	name  string
	group netip.Addr
	addr  func(netem.Node) netip.Addr
	// mtu is one with which OpenPGM's fragments, of so many bytes, are a multiple of 16: see testdata/pgm_tx.c.
	mtu, fragment int
}

const port = 7500

var families = []family{
	{"IPv4", netip.MustParseAddr("239.192.0.9"), netem.Node.Addr4, 1496, 1424},
	{"IPv6", netip.MustParseAddr("ff15::8000:9"), netem.Node.Addr6, 1500, 1408},
}

// network is the group as OpenPGM wants it, for a node.
func (f *family) network(n netem.Node) string { return fmt.Sprintf("%v;%v", f.addr(n), f.group) }

// groupPort is the group as transport wants it.
func (f *family) groupPort() string { return netip.AddrPortFrom(f.group, port).String() }

// startReceiver starts an OpenPGM receiver of size bytes, which writes to the file it returns.
func startReceiver(t *testing.T, l *netem.Lab, n netem.Node, f *family, size int) (p *peer, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "received")
	p = startPeer(t, l, n, "pgm_rx", "-n", f.network(n), "-u", strconv.Itoa(port), "-p", strconv.Itoa(port),
		"-m", "1500", "-b", strconv.Itoa(size), "-t", strconv.Itoa(int(patience/time.Second)), file)
	return p, file
}

// startSource starts an OpenPGM source of a file. It sends when its standard input gets a line.
func startSource(t *testing.T, l *netem.Lab, f *family, data []byte, apdus []int, more ...string) *peer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sent")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", f.network(netem.Sender), "-u", strconv.Itoa(port), "-p", strconv.Itoa(port),
		"-m", strconv.Itoa(f.mtu), "-r", strconv.Itoa(int(rate) / 8),
		"-a", strings.Trim(strings.ReplaceAll(fmt.Sprint(apdus), " ", ","), "[]")}
	return startPeer(t, l, netem.Sender, "pgm_tx", append(append(args, more...), file)...)
}

// readAPDUs reads the file of an OpenPGM receiver: its bytes, and the length of each APDU.
func readAPDUs(t *testing.T, file string) (data []byte, lengths []int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			t.Fatal(errors.New("the receiver's file is cut"))
		}
		n := int(binary.BigEndian.Uint32(b))
		data = append(data, b[4:4+n]...)
		lengths = append(lengths, n)
		b = b[4+n:]
	}
	return data, lengths
}
