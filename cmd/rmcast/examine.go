package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/transport"
)

// facts is what was found out about this machine. diagnose makes sentences of it, and knows nothing else.
type facts struct {
	group     netip.AddrPort
	ifaces    []ifaceFacts
	chosen    string // the interface that would be used
	named     bool   // the user named it
	openErr   error  // why nothing could be opened
	heard     bool   // what was sent came back
	refused   dgram.WriteErrors
	rmemMax   int64    // bytes; 0: not known
	reverse   bool     // strict reverse path filter on the chosen interface
	noQuerier []string // bridges that snoop and have no querier of their own
	system    string
}

// ifaceFacts is what the system says of an interface.
type ifaceFacts struct {
	name                    string
	up, multicast, loopback bool
	wireless                bool
	noLink                  bool // up, and its cable is not
	mtu                     int
	addrs                   []string
}

// level is how bad a finding is.
type level uint8

const (
	good level = iota
	hint
	broken
)

func (l level) String() string { return [...]string{"ok", "hint", "bad"}[l] }
func (l level) mark() string   { return [...]string{"ok  ", "hint", "BAD "}[l] }

// finding is a sentence about this machine, and what to do.
type finding struct {
	level    level
	what, do string
}

// gather finds the facts; it takes a second at most.
func (p *pinger) gather(ctx context.Context) *facts {
	f := &facts{group: p.to.group, named: p.cfg.Interface != "", system: runtime.GOOS}
	if p.e.network == nil { // else a network in memory
		f.ifaces = interfaces()
	}
	p.selfTest(ctx, f)
	if f.system == "linux" && p.e.network == nil {
		f.rmemMax = number("/proc/sys/net/core/rmem_max")
		f.reverse = number("/proc/sys/net/ipv4/conf/all/rp_filter") == 1 || number("/proc/sys/net/ipv4/conf/"+f.chosen+"/rp_filter") == 1
		bridges, _ := filepath.Glob("/sys/class/net/*/bridge/multicast_snooping")
		for _, b := range bridges {
			dir := filepath.Dir(b)
			if number(b) == 1 && number(filepath.Join(dir, "multicast_querier")) == 0 {
				f.noQuerier = append(f.noQuerier, filepath.Base(filepath.Dir(dir)))
			}
		}
	}
	return f
}

// interfaces lists what this machine has.
func interfaces() (list []ifaceFacts) {
	all, _ := net.Interfaces()
	for _, i := range all {
		x := ifaceFacts{name: i.Name, mtu: i.MTU, up: i.Flags&net.FlagUp != 0, multicast: i.Flags&net.FlagMulticast != 0, loopback: i.Flags&net.FlagLoopback != 0}
		x.noLink = x.up && i.Flags&net.FlagRunning == 0
		_, err := os.Stat("/sys/class/net/" + i.Name + "/wireless")
		x.wireless = err == nil
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			x.addrs = append(x.addrs, a.String())
		}
		list = append(list, x)
	}
	return list
}

// number reads a file of one number; 0 if there is none.
func number(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// selfTest sends to the group and listens for it.
func (p *pinger) selfTest(ctx context.Context, f *facts) {
	n, o := carrier(p.e), p.options()
	o.Logger = nil // what it has to say is what is found out here
	in, err := n.OpenReceiver(ctx, p.to.network, p.to.group, o)
	if err != nil {
		f.openErr = err
		return
	}
	f.chosen = in.Info().Interface
	out, err := n.OpenSource(ctx, p.to.network, p.to.group, o)
	if err != nil {
		in.Close()
		f.openErr = err
		return
	}
	token := []byte("rmcast ping " + strconv.FormatInt(time.Now().UnixNano(), 36)) // no PGM: nobody takes it for a packet
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = listen(bounded, in, p.to.group, func(h heard) bool {
			f.heard = f.heard || string(h.b) == string(token)
			return !f.heard
		})
	}()
	for range 3 {
		if err := out.WriteRun(token, 0, netip.AddrPort{}, 0); err != nil {
			break
		}
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
		}
	}
	<-done
	cancel()
	in.Close()
	f.refused = out.Stats().Refused
	out.Close()
}

// table lists the interfaces.
func (f *facts) table(width int) string {
	columns := []column{{rank: 0}, {rank: 1, width: 10}, {rank: 3}, {rank: 4}, {rank: 2, least: 14}}
	var rows [][]string
	for _, i := range f.ifaces {
		state := "down"
		switch {
		case i.noLink:
			state = "up, no link"
		case i.up && i.multicast:
			state = "up, multicast"
		case i.up:
			state = "up, no multicast"
		}
		mark := ""
		if i.name == f.chosen {
			mark = "*"
		}
		rows = append(rows, []string{mark, i.name, state, fmt.Sprintf("MTU %d", i.mtu), strings.Join(i.addrs, " ")})
	}
	var b strings.Builder
	for _, l := range layout(width, columns, rows) {
		b.WriteString(l + "\n")
	}
	return b.String()
}

// tunnels are names of interfaces that seldom lead to the machines that are meant.
var tunnels = []string{"tun", "tap", "wg", "docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "zt", "tailscale", "vmnet", "utun", "vEthernet"}

func tunnel(name string) bool {
	return slices.ContainsFunc(tunnels, func(t string) bool { return strings.HasPrefix(name, t) })
}

// has reports whether an interface has an address of a family.
func (i *ifaceFacts) has(v6 bool) bool {
	return slices.ContainsFunc(i.addrs, func(s string) bool { return strings.Contains(s, ":") == v6 })
}

// able are the interfaces that could be used instead of the chosen.
func (f *facts) able() (names []string) {
	for _, i := range f.ifaces {
		if i.up && i.multicast && !i.loopback && i.name != f.chosen && i.has(f.group.Addr().Is6()) {
			names = append(names, i.name)
		}
	}
	return names
}

// another says what to do if the interface cannot be used.
func (f *facts) another() string {
	if n := f.able(); len(n) > 0 {
		return "Name one that can do it: -interface " + strings.Join(n, ", or ")
	}
	_, do := unusable(f.ifaces, f.group.Addr().Is6())
	for _, i := range f.ifaces {
		if i.loopback && !i.up {
			do += ". For this machine alone: ip link set dev " + i.name + " up"
		}
	}
	return do
}

// severed says why what is sent on an interface reaches no other machine, and what to do, as far as it can be seen here; nothing if it cannot. The loopback
// is no mistake of who named it.
func severed(list []ifaceFacts, chosen string, named, v6 bool) (what, do string) {
	for _, i := range list {
		switch {
		case i.name != chosen:
		case i.loopback && named: // he wants it
		case i.loopback:
			why, do := unusable(list, v6)
			return chosen + " is the loopback: only this machine hears it. It is used because " + why, do
		case i.noLink:
			return chosen + " has no link: its cable is not plugged in, or what it leads to is off", "Plug it in, or name another interface with -interface"
		}
	}
	return "", ""
}

// unusable says why no interface but the loopback can be used, and what to do. Some machines have very many: a few are named.
func unusable(list []ifaceFacts, v6 bool) (why, do string) {
	var whys, dos []string
	own, other := "IPv4", "-6"
	if v6 {
		own, other = "IPv6", "-4"
	}
	for _, i := range list {
		if i.loopback || len(whys) == 3 {
			continue
		}
		switch {
		case !i.up:
			whys = append(whys, i.name+" is down")
			dos = append(dos, "ip link set dev "+i.name+" up")
		case !i.multicast:
			whys = append(whys, i.name+" has no MULTICAST flag")
			dos = append(dos, "ip link set dev "+i.name+" multicast on")
		case !i.has(v6):
			whys = append(whys, i.name+" has no "+own+" address")
			dos = append(dos, "give "+i.name+" an address, or take "+other+" on both ends")
		}
	}
	if len(whys) == 0 {
		return "there is no other interface", "Connect a network"
	}
	return strings.Join(whys, ", "), "Bring the network up, as root: " + strings.Join(dos, "; ")
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// doubt is what a command said of this machine while it waits for others. It says each thing once.
type doubt struct{ looked, refused bool }

// doubts tells why others cannot hear this machine, as far as its own sockets know.
func (e *env) doubts(to *target, r *roster.Roster) {
	s, named := r.Socket()
	if !e.doubt.looked && e.network == nil {
		e.doubt.looked = true
		f := facts{group: to.group, chosen: s.Interface, ifaces: interfaces()}
		if what, do := severed(f.ifaces, f.chosen, named, to.group.Addr().Is6()); what != "" {
			e.tell.warn("severed", what+". "+do, fields{"interface": f.chosen})
		} else if n := slices.DeleteFunc(f.able(), tunnel); len(n) > 0 && !named {
			e.tell.say("several", fmt.Sprintf("this is on %s; if another network is meant: -interface %s", f.chosen, strings.Join(n, ", or ")), fields{"interface": f.chosen, "others": n})
		}
	}
	if f := refused(to, s); f != nil && !e.doubt.refused {
		e.doubt.refused = true
		e.tell.warn("refused", f.what+". "+f.do, fields{"interface": s.Interface, "packets": s.Refused.Total()})
	}
}

// refused is the failure of a socket of which the system has refused what was sent; nil if it has not.
func refused(to *target, s transport.SocketStats) *failure {
	addr := to.group.Addr().WithZone("")
	f := &failure{code: exitFailed, cause: s.FirstRefusal}
	switch r := s.Refused; {
	case r.Denied > 0:
		f.what, f.do = "a packet filter of this machine refuses what is sent to "+to.String(), fmt.Sprintf("Allow UDP to %v: nft list ruleset or iptables -S shows the rules; rmcast ping tries it.", addr)
	case r.Unreachable > 0:
		f.what, f.do = fmt.Sprintf("there is no way to %s on %s any more", to, s.Interface), "Is the interface up, and has it an address? "+seePing
	default:
		return nil
	}
	return f
}

// diagnose says what the facts mean: what is bad first.
func (f *facts) diagnose() (list []finding) {
	add := func(l level, do, format string, args ...any) {
		list = append(list, finding{l, fmt.Sprintf(format, args...), do})
	}
	if f.openErr != nil {
		do := f.another()
		switch text := f.openErr.Error(); {
		case strings.Contains(text, "no interface "):
			do = "Name one of those above with -interface"
		case strings.Contains(text, "no route for IPv6 multicast"):
			do = "IPv4 may do, -4 on both ends. " + do
		case !strings.Contains(text, " is down") && !strings.Contains(text, "no network interface is up"):
			do = advice(f.openErr)
		}
		add(broken, do, "%s", plain(f.openErr))
		return list
	}
	addr := f.group.Addr().WithZone("")
	chosen := ifaceFacts{name: f.chosen, up: true, multicast: true, mtu: 1500}
	for _, i := range f.ifaces {
		if i.name == f.chosen {
			chosen = i
		}
	}
	switch {
	case f.refused.Denied > 0:
		add(broken, fmt.Sprintf("Allow UDP to %s, out and in: nft list ruleset or iptables -S shows the rules; ufw allow out to %v; Windows: allow the program", addr, addr), "a packet filter of this machine refuses what is sent to the group")
	case f.refused.Unreachable > 0:
		add(broken, "Name the right interface with -interface, or add a route: ip route add 224.0.0.0/4 dev "+f.chosen, "there is no route to the group on %s", f.chosen)
	case !f.heard:
		add(broken, fmt.Sprintf("Allow UDP to %s in, and IGMP or MLD: nft list ruleset or iptables -S shows the rules; ufw allow to %v; firewall-cmd --add-rich-rule='rule family=%s destination address=%v accept'", addr, addr, family(addr), addr), "what this machine sends to the group does not come back to it on %s: a packet filter drops it", f.chosen)
	default:
		add(good, "", "sending to a group and hearing it works on %s", f.chosen)
	}
	if !chosen.multicast && !chosen.loopback {
		add(broken, "ip link set dev "+f.chosen+" multicast on, or another one with -interface", "interface %s has no MULTICAST flag", f.chosen)
	}
	if chosen.loopback && f.named {
		add(hint, "Leave -interface away, or name that of the network", "%s is the loopback: only this machine hears it", f.chosen)
	} else if what, do := severed(f.ifaces, f.chosen, f.named, addr.Is6()); what != "" {
		l := hint
		if chosen.noLink {
			l = broken
		}
		add(l, do, "%s", what)
	}
	if tunnel(f.chosen) {
		add(hint, fmt.Sprintf("If the other machines are elsewhere, name the interface with -interface%s", others(f.able())), "%s looks like a tunnel or the network of containers, most of which carry no multicast to other machines", f.chosen)
	}
	if n := f.able(); len(n) > 0 && !f.named {
		add(hint, "Both ends have to be in one network", "other interfaces that could be meant: %s (-interface %s)", strings.Join(n, ", "), n[0])
	}
	if chosen.wireless {
		add(hint, "A cable is better, or an access point that turns multicast into unicast", "%s is Wi-Fi: access points send multicast slowly, do not repeat what gets lost, and some not at all", f.chosen)
	}
	if chosen.mtu < 1280 {
		add(hint, "", "the MTU of %s is %d, which is small: packets are made to fit, at some cost", f.chosen, chosen.mtu)
	}
	if chosen.mtu > 1500 && !chosen.loopback {
		add(hint, "Packets of 1500 are sent unless -mtu says more", "the MTU of %s is %d: larger packets pass only if all switches and machines take them", f.chosen, chosen.mtu)
	}
	if f.reverse && len(f.able()) > 0 {
		add(hint, "sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf."+f.chosen+".rp_filter=2", "the strict reverse path filter is on: with several interfaces the kernel drops multicast of senders that it would reach by another one")
	}
	for _, b := range f.noQuerier {
		add(hint, "ip link set dev "+b+" type bridge mcast_querier 1, unless a router or switch does it", "bridge %s snoops IGMP and MLD and does not query: without a querier somewhere, groups stop after some minutes", b)
	}
	if f.rmemMax > 0 && f.rmemMax < dgram.DefaultRecvBuffer {
		add(hint, fmt.Sprintf("sysctl net.core.rmem_max=%d", dgram.DefaultRecvBuffer), "the kernel gives receive buffers of %s at most: above some 100 Mbit/s bursts overflow them", human.Bytes(f.rmemMax))
	}
	return list
}

// others lists interfaces behind an advice.
func others(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}
