package netem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// queryResponse is how long nodes may take to answer a query. For so long after the first the bridge sends every group to all.
	queryResponse = 100 * time.Millisecond
	clockTick     = 10 * time.Millisecond // USER_HZ, in which netlink counts

	// Of linux/if_bridge.h.
	mdbaMDB          = 1
	mdbaMDBEntry     = 1
	mdbaMDBEntryInfo = 1
	portMessage      = 8  // struct br_port_msg
	mdbEntry         = 28 // struct br_mdb_entry
)

// snoop makes the bridge ask the nodes, which are all up, what they have joined, and waits until it knows and sends groups to no others. h is of the
// bridge's namespace.
//
// A bridge that knows of no querier sends every group to all; for IPv6 it is one only if it has an address. The nodes have said what they have joined
// before, perhaps to a port that was not up yet: it asks them once all are.
func (l *Lab) snoop(h *netlink.Handle) error {
	err := inside(l.bridge, func() error {
		conf := "net/ipv6/conf/" + bridgeName
		return errors.Join(sysctl(conf+"/accept_dad", "0"), sysctl(conf+"/addr_gen_mode", "1"), sysctl(conf+"/router_solicitations", "0"),
			sysctl(conf+"/disable_ipv6", "0"))
	})
	if err != nil {
		return err
	}
	bridge, err := h.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("rtnetlink: get %s: %w", bridgeName, err)
	}
	own := netip.MustParseAddr("fe80::ff") // no node's: see Node.host
	if err := h.AddrAdd(bridge, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(own, 64)), Flags: unix.IFA_F_NODAD}); err != nil {
		return fmt.Errorf("rtnetlink: add address %v: %w", own, err)
	}
	return inside(l.bridge, func() error {
		index := bridge.Attrs().Index
		// Within one message the kernel would become querier first.
		err := setBridge(index, bridgeOption{unix.IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, nl.Uint64Attr(uint64(queryResponse / clockTick))},
			bridgeOption{unix.IFLA_BR_MCAST_IGMP_VERSION, nl.Uint8Attr(3)}, bridgeOption{unix.IFLA_BR_MCAST_MLD_VERSION, nl.Uint8Attr(2)})
		if err == nil {
			err = setBridge(index, bridgeOption{unix.IFLA_BR_MCAST_QUERIER, nl.Uint8Attr(1)})
		}
		if err != nil {
			return fmt.Errorf("rtnetlink: make %s a querier: %w", bridgeName, err)
		}
		asked := time.Now()
		if err := l.awaitReports(h); err != nil {
			return err
		}
		time.Sleep(time.Until(asked.Add(queryResponse + 2*clockTick)))
		return nil
	})
}

// awaitReports waits until the bridge knows that each node hears who looks for it: what a node joins later it says at once.
func (l *Lab) awaitReports(h *netlink.Handle) error {
	missing := map[member]Node{}
	for i := range l.nodes {
		n := Node(i - 1)
		port, err := h.LinkByName(portName(n))
		if err != nil {
			return fmt.Errorf("rtnetlink: get %s: %w", portName(n), err)
		}
		missing[member{port.Attrs().Index, solicitedNode(n.LinkLocal())}] = n
	}
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		members, err := bridgeMembers()
		if err != nil {
			return err
		}
		for _, m := range members {
			delete(missing, m)
		}
		if len(missing) == 0 {
			return nil
		}
		if time.Since(start) > 5*time.Second {
			for m, n := range missing {
				return fmt.Errorf("%v has not said within 5 s that it is in %v", n, m.group)
			}
		}
	}
}

// bridgeOption is an attribute of a link of kind bridge.
type bridgeOption struct {
	kind  int
	value []byte
}

// setBridge changes a bridge in the current thread's namespace.
func setBridge(index int, options ...bridgeOption) error {
	link := nl.NewIfInfomsg(unix.AF_UNSPEC)
	link.Index = int32(index)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	for _, o := range options {
		data.AddRtAttr(o.kind, o.value)
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	req.AddData(link)
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// member is a port, by the index of its interface, behind which somebody is in a group.
type member struct {
	port  int
	group netip.Addr
}

// bridgeMembers returns what the bridges in the current thread's namespace know of groups of IPv6.
func bridgeMembers() (all []member, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETMDB, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
	messages, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: list groups: %w", err)
	}
	for _, b := range messages {
		if len(b) < portMessage {
			continue
		}
		entries, err := nested([][]byte{b[portMessage:]}, mdbaMDB, mdbaMDBEntry, mdbaMDBEntryInfo)
		if err != nil {
			return nil, fmt.Errorf("rtnetlink: list groups: %w", err)
		}
		for _, e := range entries {
			if m, ok := parseMember(e); ok {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// nested returns the values of attributes in attributes of the given kinds.
func nested(values [][]byte, kinds ...uint16) ([][]byte, error) {
	for _, kind := range kinds {
		var inner [][]byte
		for _, v := range values {
			attributes, err := nl.ParseRouteAttr(v)
			if err != nil {
				return nil, err
			}
			for _, a := range attributes {
				if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
					inner = append(inner, a.Value)
				}
			}
		}
		values = inner
	}
	return values, nil
}

// parseMember reads a struct br_mdb_entry; false if it is about no group of IPv6.
func parseMember(b []byte) (m member, ok bool) {
	if len(b) < mdbEntry || binary.BigEndian.Uint16(b[24:]) != etherIPv6 {
		return m, false
	}
	return member{int(binary.NativeEndian.Uint32(b)), netip.AddrFrom16([16]byte(b[8:]))}, true
}
