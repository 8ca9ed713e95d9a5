//go:build netns && linux

package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/netem"
)

// The mistakes of which the kernel has a say, as commands meet them; mistakes_test.go has the others, and says what each error becomes.

// outcome is a command and what has to come of it.
type outcome struct {
	args []string
	code int
	says []string
}

// come starts commands in a node, all at once, and checks what comes of them.
func come(t *testing.T, l *netem.Lab, n netem.Node, how string, list ...outcome) {
	t.Helper()
	var running []*child
	for _, o := range list {
		running = append(running, processWith(t, l, n, how, o.args...))
	}
	for i, o := range list {
		running[i].wait(o.code)
		running[i].says(o.says...)
	}
}

func TestNoNetwork(t *testing.T) {
	t.Parallel()
	file := someFile(t, 1000)
	send := []string{"send", file, "demo", "-wait", "1500ms"}
	recv := []string{"recv", "other", t.TempDir(), "-wait", "1500ms"} // another name, or on the loopback they find each other
	t.Run("nothing is up", func(t *testing.T) {
		l := lab(t, netem.LabConfig{})
		remove(t, l, 0)
		down(t, l, 0, "lo")
		nothing := []string{"no network interface is up", "ip link set dev NAME up", "rmcast ping shows"}
		come(t, l, 0, asItIs,
			outcome{send, exitFailed, nothing}, outcome{recv, exitFailed, nothing}, outcome{[]string{"top", "demo"}, exitFailed, nothing}, outcome{[]string{"dump", "demo"}, exitFailed, nothing},
			outcome{[]string{"ping"}, exitFailed, []string{"BAD no network interface is up. Connect a network. For this machine alone: ip link set dev lo up"}})
	})
	for _, c := range []struct {
		name    string
		change  func(t *testing.T, l *netem.Lab)
		because string
	}{
		{"no interface", func(t *testing.T, l *netem.Lab) { remove(t, l, 0) }, "there is no other interface. Connect a network"},
		{"down", func(t *testing.T, l *netem.Lab) { down(t, l, 0, netem.LabInterface) }, "eth0 is down. Bring the network up, as root: ip link set dev eth0 up"},
		{"no address", func(t *testing.T, l *netem.Lab) { bare4(t, l, 0) }, "eth0 has no IPv4 address. Bring the network up, as root: give eth0 an address, or take -6 on both ends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab(t, netem.LabConfig{})
			c.change(t, l)
			only := "lo is the loopback: only this machine hears it. It is used because " + c.because
			come(t, l, 0, asItIs,
				outcome{append(send, "-4"), exitNobody, []string{only, "no receiver was there within 1.5 s"}}, outcome{append(recv, "-4"), exitNobody, []string{only, "no sender was heard within 1.5 s"}},
				outcome{[]string{"ping", "-4"}, exitOK, []string{"hint " + only}})
		})
	}
	t.Run("named and down", func(t *testing.T) {
		l := lab(t, netem.LabConfig{})
		down(t, l, 0, netem.LabInterface)
		named := []string{"interface eth0 is down", "Bring it up (ip link set dev NAME up)"}
		come(t, l, 0, asItIs,
			outcome{append(send, "-interface", "eth0"), exitFailed, named}, outcome{append(recv, "-interface", "eth0"), exitFailed, named},
			outcome{[]string{"ping", "-interface", "eth0"}, exitFailed, []string{"BAD interface eth0 is down. Bring the network up, as root: ip link set dev eth0 up"}})
	})
	t.Run("cable", func(t *testing.T) {
		l := lab(t, netem.LabConfig{})
		remove(t, l, 0)
		second(t, l, 0, false)
		come(t, l, 0, asItIs,
			outcome{send, exitNobody, []string{"other0 has no link: its cable is not plugged in"}},
			outcome{[]string{"ping"}, exitFailed, []string{"BAD other0 has no link: its cable is not plugged in", "other0 up, no link"}})
	})
}

func TestNoRoute(t *testing.T) {
	t.Parallel()
	file := someFile(t, 1000)
	l := lab(t, netem.LabConfig{})
	const do = "IPv4 may do, -4 on both ends"
	come(t, l, 0, asItIs,
		outcome{[]string{"send", file, "demo", "-6", "-interface", "lo"}, exitFailed, []string{"lo has no route for IPv6 multicast", do, "rmcast ping shows"}},
		outcome{[]string{"recv", "demo", t.TempDir(), "-6", "-interface", "lo"}, exitFailed, []string{"lo has no route for IPv6 multicast", do}},
		outcome{[]string{"ping", "-6", "-interface", "lo"}, exitFailed, []string{"BAD lo has no route for IPv6 multicast", do, "Name one that can do it: -interface eth0"}})
	noGroups6(t, l, 0)
	come(t, l, 0, asItIs,
		outcome{[]string{"send", file, "demo", "-6"}, exitFailed, []string{"no route for IPv6 multicast on interface eth0", do}},
		outcome{[]string{"ping", "-6"}, exitFailed, []string{"BAD no route for IPv6 multicast on interface eth0", do}},
		outcome{[]string{"ping", "-4"}, exitOK, []string{"ok sending to a group and hearing it works on eth0"}})
}

// What the packet filter drops on the way out, sending fails with; what it drops on the way in, nobody is told of: ping finds out.
func TestFirewall(t *testing.T) {
	t.Parallel()
	file := someFile(t, 1000)
	t.Run("out", func(t *testing.T) {
		l := lab(t, netem.LabConfig{})
		filter(t, l, 0, nftables.ChainHookOutput, unix.IPPROTO_UDP)
		refuses := []string{"a packet filter of this machine refuses what is sent to demo. Allow UDP to 239.193.147.137: nft list ruleset"}
		come(t, l, 0, asItIs,
			outcome{[]string{"send", file, "demo", "-wait", "1500ms"}, exitNobody, append(refuses, "no receiver was there")},
			outcome{[]string{"send", file, "demo", "-receivers", "0"}, exitFailed, []string{"rmcast: a packet filter of this machine refuses what is sent to demo Allow UDP"}},
			outcome{[]string{"recv", "demo", t.TempDir(), "-wait", "1500ms"}, exitNobody, refuses},
			outcome{[]string{"ping", "demo", "-count", "1"}, exitFailed, []string{"nobody answers", "BAD a packet filter of this machine refuses what is sent to the group. Allow UDP to 239.193.147.137, out and in"}})
	})
	t.Run("in", func(t *testing.T) {
		l := lab(t, netem.LabConfig{})
		filter(t, l, 0, nftables.ChainHookInput, unix.IPPROTO_UDP)
		come(t, l, 0, asItIs,
			outcome{[]string{"send", file, "demo", "-wait", "1500ms"}, exitNobody, []string{"no receiver was there", "rmcast ping demo on both ends says what keeps them apart"}},
			outcome{[]string{"recv", "demo", t.TempDir(), "-wait", "1500ms"}, exitNobody, []string{"no sender was heard", "rmcast ping demo on both ends says what keeps them apart"}},
			outcome{[]string{"ping", "demo", "-count", "1"}, exitFailed, []string{"BAD what this machine sends to the group does not come back to it on eth0: a packet filter drops it. Allow UDP to 239.193.147.137 in, and IGMP or MLD",
				"'rule family=ipv4 destination address=239.193.147.137 accept'"}})
	})
}

func TestMTU(t *testing.T) {
	t.Parallel()
	file := someFile(t, 3<<20)
	l := lab(t, netem.LabConfig{})
	come(t, l, 0, asItIs, outcome{[]string{"send", file, "demo", "-mtu", "9000"}, exitFailed, []string{"cannot send to demo: MTU is 9000, but interface eth0 takes at most 1500", "Leave -mtu away"}})
	// A path that takes less than its ends.
	l = lab(t, netem.LabConfig{MTU: 9000, Wire: true})
	mtu(t, l, 0, 1500)
	cat := process(t, l, 0, "cat", "demo")
	send := processIn(t, l, netem.Sender, file, asItIs, "cat", "-send", "demo", "-mtu", "9000")
	cat.until("none of its data has come: its packets may be larger than the way to here takes (-mtu 1280 there)")
	cat.stop()
	send.stop()
	come(t, l, netem.Sender, asItIs, outcome{[]string{"ping"}, exitOK, []string{"hint the MTU of eth0 is 9000: larger packets pass only if all switches and machines take them. Packets of 1500 are sent unless -mtu says more"}})
}

func TestNoRawSockets(t *testing.T) {
	t.Parallel()
	l := lab(t, netem.LabConfig{})
	no := []string{"no permission for raw IP protocol 113: run as root, give the program the capability (setcap cap_net_raw+ep)", "Without -raw no privilege is needed"}
	come(t, l, 0, withoutRaw,
		outcome{[]string{"send", someFile(t, 10), "demo", "-raw"}, exitFailed, no}, outcome{[]string{"recv", "demo", t.TempDir(), "-raw"}, exitFailed, no},
		outcome{[]string{"ping", "demo", "-raw"}, exitFailed, no}, outcome{[]string{"ping", "-raw"}, exitFailed, no}, outcome{[]string{"dump", "demo", "-raw"}, exitFailed, no},
		outcome{[]string{"ping"}, exitOK, []string{"ok sending to a group and hearing it works on eth0"}})
	come(t, l, 0, asItIs, outcome{[]string{"ping", "-raw"}, exitOK, []string{"ok sending to a group and hearing it works on eth0"}}) // with the right it works
}

func TestInterface(t *testing.T) {
	t.Parallel()
	file := someFile(t, 1000)
	l := lab(t, netem.LabConfig{Receivers: 2})
	var list []outcome
	for name, says := range map[string]string{"nope": `no interface "nope"; there are lo, eth0`, "99": "no interface with index 99; there are lo, eth0", "192.0.2.1": "no interface has the address 192.0.2.1; there are lo, eth0"} {
		for _, args := range [][]string{{"send", file, "demo"}, {"recv", "demo", t.TempDir()}, {"top", "demo"}} {
			list = append(list, outcome{append(args, "-interface", name), exitFailed, []string{says, "rmcast ping shows the interfaces"}})
		}
		list = append(list, outcome{[]string{"ping", "-interface", name}, exitFailed, []string{"BAD " + says + ". Name one of those above with -interface"}})
	}
	come(t, l, 0, asItIs, list...)
	// The machine has another network, where its default route leads; the sender is in the first.
	second(t, l, 0, true)
	send := process(t, l, netem.Sender, "send", file, "demo")
	come(t, l, 0, asItIs,
		outcome{[]string{"recv", "demo", t.TempDir(), "-wait", "1500ms"}, exitNobody, []string{"this is on other0; if another network is meant: -interface eth0"}})
	come(t, l, 0, asItIs,
		outcome{[]string{"ping", "demo", "-count", "1"}, exitNobody, []string{"hint other interfaces that could be meant: eth0 (-interface eth0). Both ends have to be in one network"}})
	come(t, l, 0, asItIs, outcome{[]string{"recv", "demo", t.TempDir(), "-interface", "eth0"}, exitOK, []string{"file is there"}})
	send.wait(exitOK)
}

func TestTwoSendersOneName(t *testing.T) {
	t.Parallel()
	l := lab(t, netem.LabConfig{Receivers: 3})
	w := world{t: t, dir: t.TempDir()}
	one := process(t, l, netem.Sender, "send", w.file("one", 1e6), "demo", "-receivers", "2", "-rate", "4M") // two seconds: notes come meanwhile
	one.until("waiting for 2 receivers")
	two := process(t, l, 2, "send", w.file("two", 1e6), "demo", "-receivers", "2", "-rate", "4M")
	one.until("another sender uses the name demo")
	two.until("another sender uses the name demo")
	recv := []*child{process(t, l, 0, "recv", "demo", w.path("a")), process(t, l, 1, "recv", "demo", w.path("b"))}
	for _, c := range append(recv, one, two) {
		c.wait(exitOK)
	}
	one.says("sends two. Receivers get both; if that is not meant, stop one and take another name")
	for i, dir := range []string{"a", "b"} {
		recv[i].says("two senders use the name demo: both are received", "or say -from 10.77.")
		for _, f := range []string{"one", "two"} {
			sameTree(t, w.path(filepath.Join(dir, f)), w.path(f))
		}
	}
}

// The wall clock of both ends jumps an hour on and two back in the middle of a transfer and of pings. Nothing but the times in their events shows it.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	l := lab(t, netem.LabConfig{Receivers: 2})
	w := world{t: t, dir: t.TempDir()}
	if c := processWith(t, l, 0, jumping, "help"); true {
		<-c.ended
		if c.code == unpreparedCode {
			t.Skipf("skipped: %s", &c.err)
		}
	}
	file := w.file("file", 4<<20) // some 8 s
	recv := processWith(t, l, 0, jumping, "recv", "demo", w.path("in"), "-json")
	send := processWith(t, l, netem.Sender, jumping, "send", file, "demo", "-rate", "4M", "-json")
	ping := processWith(t, l, 1, jumping, "ping", "demo", "-count", "0", "-json")
	all := []*child{recv, send, ping}
	recv.until(`"event":"progress"`)
	ping.until(`"event":"answer"`)
	jump := func(s os.Signal) {
		for _, c := range all {
			if err := c.cmd.Process.Signal(s); err != nil {
				t.Errorf("%v: %v", c.args, err)
			}
		}
	}
	jump(unix.SIGUSR1)
	progress := func() int { return strings.Count(recv.out.String(), `"event":"progress"`) }
	for n := progress(); progress() == n && alive(recv); {
		time.Sleep(10 * time.Millisecond)
	}
	jump(unix.SIGUSR2)
	recv.wait(exitOK)
	send.wait(exitOK)
	if err := ping.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	ping.wait(exitOK)
	for _, c := range all {
		list := events(t, c.out.String())
		var on, back bool
		last := time.Time{}
		for _, o := range list {
			at, _ := time.Parse(time.RFC3339Nano, o["time"].(string))
			if !last.IsZero() {
				on = on || at.Sub(last) > 50*time.Minute
				back = back || at.Sub(last) < -50*time.Minute
			}
			last = at
			for _, key := range []string{"eta", "seconds", "rtt"} {
				if v, ok := o[key].(float64); ok && (v < 0 || v > 1800) {
					t.Errorf("%v: %s is %v s in %v", c.args, key, v, o)
				}
			}
			switch o["event"] {
			case "warning", "sender_gone", "receiver_silent", "receiver_failed", "receiver_left", "lacking", "error", "nobody":
				t.Errorf("%v: %v", c.args, o)
			}
		}
		if !back || !on && c != ping { // which tells nothing between
			t.Errorf("%v: the clock of its events has not jumped on (%t) and back (%t)", c.args, on, back)
		}
	}
	sameTree(t, w.path("in/file"), file)
}

// alive reports whether a command still runs.
func alive(c *child) bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// until waits until the command has said a text, and still runs.
func (c *child) until(text string) {
	c.t.Helper()
	limit := time.After(soon)
	for !strings.Contains(flat(&c.err), text) && !strings.Contains(flat(&c.out), text) {
		select {
		case <-c.ended:
			c.t.Fatalf("%q has ended and not said %q", c.args, text)
		case <-limit:
			c.t.Fatalf("%q does not say %q", c.args, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop interrupts the command as Ctrl-C does.
func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		c.t.Error(err)
	}
	c.wait(exitInterrupted)
}

// change changes something in a node by netlink.
func change(t *testing.T, l *netem.Lab, n netem.Node, f func(h *netlink.Handle) error) {
	t.Helper()
	err := l.Do(n, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		return f(h)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func changeLink(t *testing.T, l *netem.Lab, n netem.Node, name string, f func(h *netlink.Handle, link netlink.Link) error) {
	t.Helper()
	change(t, l, n, func(h *netlink.Handle) error {
		link, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return f(h, link)
	})
}

func down(t *testing.T, l *netem.Lab, n netem.Node, name string) {
	t.Helper()
	changeLink(t, l, n, name, (*netlink.Handle).LinkSetDown)
}

func remove(t *testing.T, l *netem.Lab, n netem.Node) {
	t.Helper()
	changeLink(t, l, n, netem.LabInterface, (*netlink.Handle).LinkDel)
}

func mtu(t *testing.T, l *netem.Lab, n netem.Node, bytes int) {
	t.Helper()
	changeLink(t, l, n, netem.LabInterface, func(h *netlink.Handle, link netlink.Link) error { return h.LinkSetMTU(link, bytes) })
}

// bare4 takes a node's IPv4 addresses away.
func bare4(t *testing.T, l *netem.Lab, n netem.Node) {
	t.Helper()
	changeLink(t, l, n, netem.LabInterface, func(h *netlink.Handle, link netlink.Link) error {
		list, err := h.AddrList(link, netlink.FAMILY_V4)
		for _, a := range list {
			err = errors.Join(err, h.AddrDel(link, &a))
		}
		return err
	})
}

// second gives a node the interface other0, of another network where nobody is, by its default route. Plugged says whether its cable is.
func second(t *testing.T, l *netem.Lab, n netem.Node, plugged bool) {
	t.Helper()
	change(t, l, n, func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "other0"
		veth := netlink.NewVeth(attrs)
		veth.PeerName = "other1"
		if err := h.LinkAdd(veth); err != nil {
			return err
		}
		ends := []string{"other0"}
		if plugged {
			ends = append(ends, "other1")
		}
		for _, name := range ends {
			link, err := h.LinkByName(name)
			if err == nil {
				err = h.LinkSetUp(link)
			}
			if err != nil {
				return err
			}
		}
		link, err := h.LinkByName("other0")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("10.9.0.1/24")
		if err != nil {
			return err
		}
		if err := h.AddrAdd(link, addr); err != nil || !plugged {
			return err
		}
		return h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IPv4(10, 9, 0, 2)})
	})
}

// noGroups6 takes the route to IPv6's groups away, which the kernel makes of itself.
func noGroups6(t *testing.T, l *netem.Lab, n netem.Node) {
	t.Helper()
	change(t, l, n, func(h *netlink.Handle) error {
		list, err := h.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, r := range list {
			if r.Dst != nil && r.Dst.String() == "ff00::/8" {
				if err := h.RouteDel(&r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// filter has a node's packet filter drop what it sends, or what comes to it, of an IP protocol.
func filter(t *testing.T, l *netem.Lab, n netem.Node, hook *nftables.ChainHook, protocol byte) {
	t.Helper()
	err := l.Do(n, func() error {
		ns, err := netns.Get()
		if err != nil {
			return err
		}
		defer ns.Close()
		c, err := nftables.New(nftables.WithNetNSFd(int(ns)))
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "mistake"})
		chain := c.AddChain(&nftables.Chain{Name: "drop", Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
		return c.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
}
