package netem

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// LabConfig describes a [Lab]. The zero value is one receiver on an unshaped, lossless link with offloads.
type LabConfig struct {
	// Receivers is the number of receiver nodes. 0 means 1; 4000 is the most.
	Receivers int
	// Rate shapes what the sender sends, in bits per second of Ethernet frames without checksum (IP packets plus 14 bytes).
	// 0 is unshaped.
	Rate int64
	// BurstBytes is what the shaper lets pass at once after a pause. It must hold a whole run of datagrams, or the shaper cuts
	// runs. 0 means 80 KiB, or 2 ms of Rate if that is more.
	BurstBytes int
	// QueueBytes is the shaper's queue. A socket whose send buffer is smaller blocks instead of losing packets. 0 means 16 MiB.
	QueueBytes int
	// Loss is the probability, 0 to 1, with which each packet that reaches a receiver is lost there, independently.
	Loss float64
	// SenderLoss is the same for what reaches the sender: NAKs, or TCP's acknowledgements.
	SenderLoss float64
	// Wire turns the offloads of the sender's link off, so that runs are cut into packets before the bridge as on a real wire.
	// Without it a run crosses as one unit, and Loss loses all of it.
	Wire bool
	// Snooping makes the bridge a switch that sends a group only to the nodes that have joined it, as their kernels say by MLD and IGMP. It stops
	// as soon as one says that it leaves ("fast leave"), or has not answered for 260 s; it asks every 125 s. As on such a switch, 224.0.0.0/24 and
	// ff02::1 go to all, and reports end at the bridge: nobody, and so no source, hears another's. False: every group goes to all.
	Snooping bool
	// LinkLocalOnly leaves the nodes without IPv4 and without any IPv6 address but the link-local one.
	LinkLocalOnly bool
	// MTU of all links in bytes. 0 means 1500.
	MTU int
}

// Node is a node of a Lab: Sender, or a receiver by its number from 0.
type Node int

// Sender is the node whose link is shaped.
const Sender Node = -1

// LabInterface is the name of every node's interface.
const LabInterface = "eth0"

// NeedLabEnv is an environment variable: if it is not empty, [NeedLab] fails where it would skip. For continuous integration.
const NeedLabEnv = "RMCAST_NEED_LAB"

const (
	maxReceivers      = 4000
	defaultBurstBytes = 80 << 10
	defaultQueueBytes = 16 << 20

	// Of the shaper of SetRate.
	linkBurst   = 2 * time.Millisecond
	linkQueue   = 20 * time.Millisecond
	linkPackets = 32
)

func (n Node) String() string {
	if n == Sender {
		return "sender"
	}
	return "receiver " + strconv.Itoa(int(n))
}

// Addr4 returns the node's IPv4 address: 10.77.0.1 is the sender. None is assigned in a LinkLocalOnly Lab.
func (n Node) Addr4() netip.Addr {
	h := n.host()
	return netip.AddrFrom4([4]byte{10, 77, byte(h >> 8), byte(h)})
}

// Addr6 returns the node's unique local IPv6 address: fd77::1 is the sender. None is assigned in a LinkLocalOnly Lab.
func (n Node) Addr6() netip.Addr { return n.in6(0xfd77) }

// LinkLocal returns the node's link-local IPv6 address, with the interface as its zone.
func (n Node) LinkLocal() netip.Addr { return n.in6(0xfe80).WithZone(LabInterface) }

func (n Node) in6(prefix uint16) netip.Addr {
	h := n.host()
	return netip.AddrFrom16([16]byte{0: byte(prefix >> 8), 1: byte(prefix), 14: byte(h >> 8), 15: byte(h)})
}

// solicitedNode returns the group in which whoever has addr hears neighbours that look for it.
func solicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// host is the node's number in addresses.
func (n Node) host() int {
	if n == Sender {
		return 1
	}
	return 0x100 + int(n)
}

// LabCounters is what a node's interface and packet filter have counted since the Lab was made.
type LabCounters struct {
	// Of the interface. Bytes are those of Ethernet frames without checksum; a run that crosses whole is one packet with one header.
	RxPackets, RxBytes, TxPackets, TxBytes, RxDropped, TxDropped uint64
	// QueueDrops counts packets that full queues of shapers dropped: the sender's, and that of [Lab.SetRate].
	QueueDrops uint64
	// Offered counts the packets to which a loss above 0 was applied, Lost those of them that it lost. ICMP, ICMPv6, IGMP
	// and ARP are never lost.
	Offered, Lost uint64
}

func (c LabConfig) withDefaults() (LabConfig, error) {
	switch {
	case c.Receivers < 0 || c.Receivers > maxReceivers:
		return c, fmt.Errorf("netem: %d receivers in a Lab: 1 to %d are possible", c.Receivers, maxReceivers)
	case c.Rate < 0 || c.BurstBytes < 0 || c.QueueBytes < 0 || c.QueueBytes > math.MaxInt32:
		return c, fmt.Errorf("netem: Rate %d, BurstBytes %d or QueueBytes %d is out of range", c.Rate, c.BurstBytes, c.QueueBytes)
	case c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535):
		return c, fmt.Errorf("netem: MTU %d: IPv6 needs 1280 to 65535", c.MTU)
	}
	for _, p := range []float64{c.Loss, c.SenderLoss} {
		if err := (Impairment{Loss: p}).Validate(); err != nil {
			return c, err
		}
	}
	if c.Receivers == 0 {
		c.Receivers = 1
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.BurstBytes == 0 {
		c.BurstBytes = max(defaultBurstBytes, int(c.Rate/8/500))
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	return c, nil
}

// NeedLab skips the test with the reason if no Lab can be made here, or fails it if [NeedLabEnv] is set. t is a *testing.T or B.
func NeedLab(t interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}) {
	t.Helper()
	err := Available()
	switch {
	case err == nil:
	case os.Getenv(NeedLabEnv) != "":
		t.Fatalf("%v (and %s is set)", err, NeedLabEnv)
	default:
		t.Skipf("skipped: %v", err)
	}
}
