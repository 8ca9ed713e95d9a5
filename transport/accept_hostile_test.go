package transport

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// Two hosts, one of them the sender's own, send 5,000 damaged packets a second to the group and to the source: captures, and
// the session's own packets, with a byte changed or the end cut off, the checksum mended half of the time; empty datagrams too.
// No good packet is lost by that.
func TestLabBadInput(t *testing.T) {
	l := newLab(t, netem.LabConfig{Receivers: 2, Wire: true})
	l.cfg.Rate, l.cfg.Linger = 20*flow.Mbps, 200*time.Millisecond
	size := 6 << 20
	if invariant.Enabled {
		size = 2 << 20
	}
	l.sent = random(1, size)
	group := netip.MustParseAddrPort(l.group)
	source := netip.AddrPortFrom(netem.Sender.Addr6(), group.Port())

	li, err := l.listen(0)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &spoiler{seeds: captured(), rng: rand.New(rand.NewPCG(1, 1)), forge: true}
	neighbour := &spoiler{seeds: captured(), rng: rand.New(rand.NewPCG(2, 2))}
	stop := make(chan struct{})
	var bad, reading sync.WaitGroup
	for node, sp := range map[netem.Node]*spoiler{1: stranger, netem.Sender: neighbour} {
		var out, tap *net.UDPConn
		err := l.lab.Do(node, func() (err error) {
			if out, err = net.ListenUDP("udp6", nil); err != nil || node == netem.Sender {
				return err
			}
			ifi, err := net.InterfaceByName(netem.LabInterface)
			if err == nil {
				tap, err = net.ListenMulticastUDP("udp6", ifi, net.UDPAddrFromAddrPort(group))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if tap != nil {
			reading.Go(func() { listen(tap, stranger, neighbour) })
			defer reading.Wait()
			defer tap.Close()
		}
		defer out.Close()
		bad.Go(func() { sp.send(t, out, 2500, stop, group, source) })
	}

	s := l.dial()
	reading.Go(func() { l.receiveFrom(li, s) })
	if _, err := s.Write(l.sent); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	bad.Wait()
	sp, st := s.Stats(), li.Stats()
	t.Logf("%d and %d bad packets; source: undecodable %v, empty %d, %d NAKs, %d repairs, refused %+v", stranger.sent, neighbour.sent,
		sp.Socket.Undecodable, sp.Socket.Empty, sp.NAKs, sp.Repairs, sp.Refused)
	for _, x := range []SocketStats{sp.Socket, st.Socket} {
		if x.Undecodable[wire.ErrChecksum] == 0 || x.Undecodable[wire.ErrTruncated] == 0 || x.Empty == 0 {
			t.Errorf("undecodable by reason: %v; %d empty", x.Undecodable, x.Empty)
		}
	}
}

// receiveFrom takes s among all that li accepts, and expects l.sent whole, without a gap on the way.
func (l *lab) receiveFrom(li *Listener, s *Source) {
	t := l.t
	defer li.Close()
	strangers := 0
	for {
		r, err := li.AcceptReceiver()
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		if a := r.RemoteAddr().(*Addr); a.TSI() != s.TSI() || a.Host().Addr() != s.LocalAddr().(*Addr).Host().Addr() {
			strangers++
			continue // nobody reads what damaged packets found
		}
		if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		got := make([]byte, 0, len(l.sent))
		for b := make([]byte, 64<<10); ; {
			n, err := r.Read(b)
			if got = append(got, b[:n]...); err != nil {
				if len(got) != len(l.sent) {
					t.Error(err)
				}
				break
			}
		}
		same(t, got, l.sent)
		st := r.Stats()
		if st.Lost != 0 || st.LossErrors != 0 || st.Missing > 0 && st.Socket.KernelDrops == 0 {
			t.Errorf("%d good packets were lost, %d missing, %d dropped by the kernel", st.Lost, st.Missing, st.Socket.KernelDrops)
		}
		t.Logf("receiver: %d other sources before; undecodable %v, refused %+v", strangers, st.Socket.Undecodable, li.Stats().Refused)
		return
	}
}

// captured is all packets of the captures.
func captured() (seeds [][]byte) {
	for _, c := range testvec.Captures() {
		for _, d := range c.Datagrams {
			seeds = append(seeds, d.Payload)
		}
	}
	return seeds
}

// spoiler sends damaged packets.
type spoiler struct {
	rng   *rand.Rand
	forge bool // may mend the checksums of the session's own packets too; who does that from the source's address is believed
	sent  int

	mu    sync.Mutex
	seeds [][]byte
	own   [][]byte // heard in the group
}

// listen gives the first packets that it hears to all spoilers, until c is closed.
func listen(c *net.UDPConn, all ...*spoiler) {
	b := make([]byte, 64<<10)
	for heard := 0; ; heard++ {
		n, _, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if heard >= 2000 {
			continue
		}
		for _, sp := range all {
			sp.mu.Lock()
			sp.own = append(sp.own, bytes.Clone(b[:n]))
			sp.mu.Unlock()
		}
	}
}

// send sends rate packets a second until stop is closed.
func (sp *spoiler) send(t *testing.T, c *net.UDPConn, rate int, stop chan struct{}, to ...netip.AddrPort) {
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(rate)); sp.sent < due; sp.sent++ {
			if _, err := c.WriteToUDPAddrPort(sp.spoil(), to[sp.sent%len(to)]); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// spoil returns a damaged packet.
func (sp *spoiler) spoil() []byte {
	sp.mu.Lock()
	seed, mended := sp.seeds[sp.rng.IntN(len(sp.seeds))], sp.rng.IntN(2) == 0
	if len(sp.own) > 0 && sp.rng.IntN(2) == 0 {
		seed = sp.own[sp.rng.IntN(len(sp.own))]
		mended = mended && sp.forge
	}
	sp.mu.Unlock()
	if sp.rng.IntN(50) == 0 || len(seed) == 0 {
		return nil
	}
	b := bytes.Clone(seed)
	if sp.rng.IntN(2) == 0 {
		b = b[:sp.rng.IntN(len(b))]
	} else {
		b[sp.rng.IntN(len(b))] ^= byte(1 + sp.rng.IntN(255))
	}
	if mended && len(b) >= wire.HeadCommon {
		b[6], b[7] = 0, 0
		sum := ^wire.Sum(b)
		if sum == 0 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(b[6:], sum)
	}
	return b
}
