package netem

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// SetQdisc makes the kernel's netem do what i says to the packets that leave through a device of the current thread's network
// namespace. It takes the place of whatever qdisc the device had; with a perfect i the device gets its default one back. What the
// kernel's netem cannot do is refused.
//
// The kernel's netem is not a [Link], though their words are the same:
//
//   - It counts those that wait for their Delay among the queued: it gets so much more of a Limit as packets of 1500 bytes find
//     room in Delay at Rate. Without a Rate it holds Limit packets, or 100,000.
//   - A packet that Reorder sends ahead goes before all that are held, and past Rate.
//   - What is lost and duplicated at once passes once. A duplicate meets the other settings anew.
//   - Correlations are its own: they narrow what they are applied to, and a small loss with one is next to none.
//   - Its distributions are our tables, cut to 4096 values that it draws from.
//   - A run of packets (UDP_SEGMENT, TCP with offloads) is one packet to it: cut runs before, as [Lab.SetQdisc] does.
//   - Packets of ARP and neighbour discovery are packets to it.
//   - Timers and processors take their time: nothing is early, everything is a little late.
func SetQdisc(device string, i Impairment) error {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("netem: %s: %w", device, err)
	}
	if err := setQdisc(ifi.Index, i, 0); err != nil {
		return fmt.Errorf("netem: %s: %w", device, err)
	}
	return nil
}

// SetQdisc makes the kernel's netem do what in says to all that a node is sent, and what out says to all that it sends, each with
// a qdisc of its own at one end of the node's link; see the function of this name for what the kernel does otherwise than a Link. It
// replaces what an earlier call has set; packets that were held are gone then. Runs are cut before, but for those that are shorter
// than a packet may be. It is an error to set out at the Sender of a Lab with a Rate: its shaper is there.
//
// From then on the sender and the receivers in question know each other's link addresses for good: a lost question of neighbour
// discovery would cost a second, and three a connection, which is not what is to be measured.
func (l *Lab) SetQdisc(n Node, in, out Impairment) error {
	up, down, err := l.devices(n)
	if err != nil {
		return err
	}
	if err := l.introduce(n); err != nil {
		return err
	}
	cut := l.cfg.MTU + frameHeader
	// With Wire, what a receiver is sent comes in packets.
	single := l.cfg.Wire && n != Sender
	for _, d := range []struct {
		device
		name string
		i    Impairment
		cut  int
		skip bool
	}{
		{down, "what it is sent", in, cutUnless(single, cut), false},
		{up, "what it sends", out, cut, n == Sender && l.cfg.Rate > 0},
	} {
		if d.skip {
			if !d.i.Perfect() {
				return fmt.Errorf("netem: %v: its link has a shaper already: use the Impairment's Rate in place of the Lab's", n)
			}
			continue
		}
		err := inside(d.ns, func() error {
			ifi, err := net.InterfaceByName(d.device.name)
			if err != nil {
				return err
			}
			return setQdisc(ifi.Index, d.i, d.cut)
		})
		if err != nil {
			return fmt.Errorf("netem: %v: %s: %w", n, d.name, err)
		}
	}
	return nil
}

// introduce tells the sender the link address of a receiver, or those of all receivers if n is the sender, and them that of the sender.
func (l *Lab) introduce(n Node) error {
	first, last := n, n
	if n == Sender {
		first, last = 0, Node(l.Receivers())-1
	}
	sender, err := l.openAcquaintance(Sender)
	if err != nil {
		return err
	}
	defer sender.h.Close()
	for r := first; r <= last; r++ {
		receiver, err := l.openAcquaintance(r)
		if err != nil {
			return err
		}
		err = errors.Join(sender.know(receiver), receiver.know(sender))
		receiver.h.Close()
		if err != nil {
			return fmt.Errorf("netem: rtnetlink: link addresses of the sender and %v: %w", r, err)
		}
	}
	return nil
}

// acquaintance is a node's interface, and what works on it.
type acquaintance struct {
	node  Node
	h     *netlink.Handle
	attrs *netlink.LinkAttrs
}

func (l *Lab) openAcquaintance(n Node) (a acquaintance, err error) {
	up, _, err := l.devices(n)
	if err != nil {
		return a, err
	}
	if a.h, err = netlink.NewHandleAt(up.ns, unix.NETLINK_ROUTE); err != nil {
		return a, fmt.Errorf("netem: %v: socket(AF_NETLINK, NETLINK_ROUTE): %w", n, err)
	}
	link, err := a.h.LinkByName(up.name)
	if err != nil {
		a.h.Close()
		return a, fmt.Errorf("netem: %v: rtnetlink: get %s: %w", n, up.name, err)
	}
	a.node, a.attrs = n, link.Attrs()
	return a, nil
}

// know sets the link address of another node's addresses for good.
func (a acquaintance) know(other acquaintance) error {
	for _, ip := range []netip.Addr{other.node.Addr4(), other.node.Addr6(), other.node.LinkLocal().WithZone("")} {
		err := a.h.NeighSet(&netlink.Neigh{
			LinkIndex: a.attrs.Index, State: netlink.NUD_PERMANENT, IP: ip.AsSlice(), HardwareAddr: other.attrs.HardwareAddr,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func cutUnless(single bool, cut int) int {
	if single {
		return 0
	}
	return cut
}

// QdiscStats returns what the qdiscs of [Lab.SetQdisc] have counted. A direction without one has zeros.
func (l *Lab) QdiscStats(n Node) (in, out QdiscStats, err error) {
	up, down, err := l.devices(n)
	if err != nil {
		return in, out, err
	}
	in, err = down.qdiscStats()
	if err == nil {
		out, err = up.qdiscStats()
	}
	if err != nil {
		return in, out, fmt.Errorf("netem: %v: qdisc counters: %w", n, err)
	}
	return in, out, nil
}

// qdiscStats looks for a netem among the device's qdiscs.
func (d device) qdiscStats() (s QdiscStats, err error) {
	h, err := netlink.NewHandleAt(d.ns, unix.NETLINK_ROUTE)
	if err != nil {
		return s, err
	}
	defer h.Close()
	link, err := h.LinkByName(d.name)
	if err != nil {
		return s, err
	}
	qdiscs, err := h.QdiscList(link)
	if err != nil {
		return s, err
	}
	for _, q := range qdiscs {
		if st := q.Attrs().Statistics; q.Type() == "netem" && st != nil && st.Basic != nil && st.Queue != nil {
			s = QdiscStats{
				Packets: uint64(st.Basic.Packets), Bytes: st.Basic.Bytes,
				Dropped: uint64(st.Queue.Drops), Queued: uint64(st.Queue.Qlen),
			}
		}
	}
	return s, nil
}

// QdiscAvailable returns nil if the kernel's netem can be used in a [Lab], and else an error that says what is missing. It finds
// out by setting one in a namespace made for that, once.
func QdiscAvailable() error { return qdiscAvailable() }

var qdiscAvailable = sync.OnceValue(func() error {
	if err := Available(); err != nil {
		return err
	}
	here, err := netns.Get()
	if err != nil {
		return fmt.Errorf("netem: open /proc/thread-self/ns/net: %w", err)
	}
	defer here.Close()
	return inside(here, func() error {
		ns, err := netns.New()
		if err != nil {
			return fmt.Errorf("netem: unshare(CLONE_NEWNET): %w", err)
		}
		defer ns.Close()
		err = SetQdisc("lo", Impairment{Loss: 0.1})
		if errors.Is(err, unix.ENOENT) {
			return errors.New("netem: the kernel has no sch_netem, neither built in nor as a module")
		}
		return err
	})
})

const (
	frameHeader   = 14                 // of Ethernet, which the kernel counts
	cutterRate    = 10_000_000_000 / 8 // bytes/s, as fast as it goes
	cutterHandle  = 1 << 16            // 1:
	netemHandle   = 2 << 16            // 2:
	cutterTxClass = cutterHandle | 1   // 1:1
)

// setQdisc replaces the device's qdisc. With cut above 0, runs that are longer than so many bytes are cut into packets first: by
// a token bucket in front that never waits, as that is the one qdisc that does it.
func setQdisc(index int, i Impairment, cut int) error {
	options, err := qdiscOptions(i)
	if err != nil {
		return err
	}
	// A netem that is changed and not deleted keeps what the new one does not name.
	if err := deleteQdisc(index); err != nil {
		return err
	}
	if i.Perfect() {
		return nil
	}
	parent := uint32(netlink.HANDLE_ROOT)
	if cut > 0 {
		if err := addQdisc(index, cutterHandle, parent, "tbf", cutterOptions(cut)); err != nil {
			return err
		}
		parent = cutterTxClass
	}
	return addQdisc(index, netemHandle, parent, "netem", options)
}

// deleteQdisc gives the device of the current thread's namespace its default qdisc back.
func deleteQdisc(index int) error {
	err := qdiscRequest(unix.RTM_DELQDISC, 0, index, 0, netlink.HANDLE_ROOT)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) { // there was none
		return fmt.Errorf("rtnetlink: delete the qdisc: %w", err)
	}
	return nil
}

// addQdisc adds a qdisc of a kind.
func addQdisc(index int, handle, parent uint32, kind string, options *nl.RtAttr) error {
	err := qdiscRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, handle, parent,
		nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(kind)), options)
	if err != nil {
		return fmt.Errorf("rtnetlink: add a qdisc of kind %s: %w", kind, err)
	}
	return nil
}

// qdiscRequest sends one message about a qdisc in the current thread's namespace.
func qdiscRequest(kind, flags, index int, handle, parent uint32, attributes ...*nl.RtAttr) error {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(index), Handle: handle, Parent: parent})
	for _, a := range attributes {
		req.AddData(a)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// cutterOptions are those of a token bucket whose bucket holds one packet of that many bytes.
func cutterOptions(bytes int) *nl.RtAttr {
	const tcaTBFBurst = 6 // linux/pkt_sched.h; bytes, where the bucket's time is rounded
	opt := nl.TcTbfQopt{Limit: defaultQueueBytes}
	opt.Rate.Rate = cutterRate
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_TBF_PARMS, opt.Serialize())
	options.AddRtAttr(tcaTBFBurst, nl.Uint32Attr(uint32(bytes)))
	return options
}
