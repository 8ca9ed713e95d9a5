package dgram

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// pickInterface finds the interface for a group: the one asked for in Options.Interface or by the group's zone, else the
// obvious one. prefer is the address that named it, if an address did.
func pickInterface(group netip.Addr, want string) (ifi *net.Interface, prefer netip.Addr, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, prefer, fmt.Errorf("dgram: cannot list the network interfaces: %w", err)
	}
	zone := group.Zone()
	switch {
	case want != "" && zone != "":
		if ifi, prefer, err = findInterface(all, want); err != nil {
			return nil, prefer, err
		}
		z, _, err := findInterface(all, zone)
		if err != nil {
			return nil, prefer, err
		}
		if z.Index != ifi.Index {
			return nil, prefer, fmt.Errorf("dgram: zone %q of group %v and Interface %q are different interfaces: drop one of them", zone, group, want)
		}
	case want != "" || zone != "":
		if ifi, prefer, err = findInterface(all, want+zone); err != nil {
			return nil, prefer, err
		}
	default:
		if ifi, err = defaultInterface(all, group); err != nil {
			return nil, prefer, err
		}
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, prefer, fmt.Errorf("dgram: interface %s is down", ifi.Name)
	}
	return ifi, prefer, nil
}

// findInterface finds an interface by name, address, or index.
func findInterface(all []net.Interface, want string) (*net.Interface, netip.Addr, error) {
	for i := range all {
		if all[i].Name == want {
			return &all[i], netip.Addr{}, nil
		}
	}
	if index, err := strconv.Atoi(want); err == nil {
		for i := range all {
			if all[i].Index == index {
				return &all[i], netip.Addr{}, nil
			}
		}
		return nil, netip.Addr{}, fmt.Errorf("dgram: no interface with index %d; there are %s", index, names(all))
	}
	addr, err := netip.ParseAddr(want)
	if err != nil {
		return nil, netip.Addr{}, fmt.Errorf("dgram: no interface %q; there are %s", want, names(all))
	}
	bare := addr.Unmap().WithZone("")
	for i := range all {
		if addr.Zone() != "" && addr.Zone() != all[i].Name && addr.Zone() != strconv.Itoa(all[i].Index) {
			continue
		}
		if slices.Contains(addresses(&all[i]), bare) {
			return &all[i], bare, nil
		}
	}
	return nil, netip.Addr{}, fmt.Errorf("dgram: no interface has the address %v; there are %s", addr, names(all))
}

func names(all []net.Interface) string {
	s := make([]string, len(all))
	for i := range all {
		s[i] = all[i].Name
	}
	return strings.Join(s, ", ")
}

// addresses lists an interface's addresses without zones. An interface that vanished has none.
func addresses(ifi *net.Interface) []netip.Addr {
	nets, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	var as []netip.Addr
	for _, n := range nets {
		if ipn, ok := n.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(ipn.IP); ok {
				as = append(as, a.Unmap())
			}
		}
	}
	return as
}

// defaultInterface picks an interface when nobody named one.
func defaultInterface(all []net.Interface, group netip.Addr) (*net.Interface, error) {
	loopback := slices.IndexFunc(all, func(i net.Interface) bool {
		return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0
	})
	if group.IsInterfaceLocalMulticast() {
		if loopback < 0 {
			return nil, fmt.Errorf("dgram: group %v stays on one interface, and the loopback interface is not up: name one, as in [%v%%eth0], or in Interface", group, group)
		}
		return &all[loopback], nil
	}
	var able []*net.Interface
	for i := range all {
		const need = net.FlagUp | net.FlagMulticast
		if all[i].Flags&need == need && all[i].Flags&net.FlagLoopback == 0 && hasFamily(&all[i], group.Is6()) {
			able = append(able, &all[i])
		}
	}
	// A link-local group means another network on every interface: guessing would hide the mistake.
	if group.Is6() && group.IsLinkLocalMulticast() {
		return nil, fmt.Errorf("dgram: group %v has link-local scope and needs an interface: write [%v%%eth0], or set Interface; there are %s", group, group, names(all))
	}
	switch len(able) {
	case 0:
		if loopback < 0 {
			return nil, errors.New("dgram: no network interface is up")
		}
		return &all[loopback], nil
	case 1:
		return able[0], nil
	}
	if name := defaultRoute(group.Is6()); name != "" {
		for _, ifi := range able {
			if ifi.Name == name {
				return ifi, nil
			}
		}
	}
	return able[0], nil
}

func hasFamily(ifi *net.Interface, v6 bool) bool {
	return slices.ContainsFunc(addresses(ifi), func(a netip.Addr) bool { return a.Is6() == v6 })
}

// ownAddresses lists the addresses a source may bind on an interface, best first: the one asked for, then global and unique
// local ones, stable before temporary, then link-local ones with their zone. Those known to be duplicates are left out.
func ownAddresses(ifi *net.Interface, v6 bool, prefer netip.Addr) []netip.Addr {
	var own []netip.Addr
	rank := map[netip.Addr]int{}
	states := addressStates(ifi)
	for _, a := range addresses(ifi) {
		if a.Is6() != v6 || a.IsMulticast() || a.IsUnspecified() || states[a]&stateDuplicate != 0 {
			continue
		}
		r := 0
		if a.IsLinkLocalUnicast() {
			r = 4
		}
		if states[a]&stateDeprecated != 0 {
			r += 2
		}
		if states[a]&stateTemporary != 0 {
			r++
		}
		if a == prefer {
			r = -1
		}
		if a.IsLinkLocalUnicast() && v6 {
			a = a.WithZone(ifi.Name)
		}
		rank[a] = r
		own = append(own, a)
	}
	slices.SortStableFunc(own, func(a, b netip.Addr) int { return rank[a] - rank[b] })
	return own
}

// addressState is what a system may know about an address beyond its value.
type addressState uint8

const (
	stateTemporary  addressState = 1 << iota // a privacy address that will be replaced
	stateDeprecated                          // at the end of its lifetime
	stateTentative                           // not usable yet: duplicate address detection is still running
	stateDuplicate                           // found to be another host's
)
