package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// netOptions are the options of all commands that use a network.
type netOptions struct {
	iface  string
	v4, v6 bool
	key    []byte
	hops   int
	mtu    int
	raw    bool
}

// Categories of options: those without are shown in a command's help; the others are named there, and explained by "rmcast help options".
const (
	categoryNetwork = "network"
	categoryInside  = "inside"
	categoryOutput  = "output"
)

// sessionFlags are the options of a command that holds sessions: its own, and those that all such have.
func sessionFlags(own ...cli.Flag) []cli.Flag {
	return slices.Concat(own, networkFlags(), insideFlags(), outputFlags())
}

// watchFlags are the options of a command that looks on.
func watchFlags(own ...cli.Flag) []cli.Flag {
	return slices.Concat(own, networkFlags(), outputFlags())
}

// networkFlags are the options of netOptions.
func networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Category: categoryNetwork, Usage: "the `NAME`, index or address of the network interface to use (default: that of the default route)"},
		&cli.BoolFlag{Name: "4", Category: categoryNetwork, Usage: "IPv4 (default where there is an IPv4 address)"},
		&cli.BoolFlag{Name: "6", Category: categoryNetwork, Usage: "IPv6: another group of the same NAME (default with -key)"},
		&cli.StringFlag{Name: "key", Category: categoryNetwork, Usage: "a `FILE` of 16 to 64 random bytes: the group is then found by those only who have it (nothing is encrypted)"},
		&cli.IntFlag{Name: "hops", Category: categoryNetwork, Value: 1, Usage: "how many networks packets may cross: `N` of 1 stays in this one; routers need multicast routing"},
		&cli.IntFlag{Name: "mtu", Category: categoryNetwork, Usage: "the largest IP packet to send, in `BYTES` (default: up to 1500)"},
		&cli.BoolFlag{Name: "raw", Category: categoryNetwork, Usage: "PGM as IP protocol 113 in place of UDP: for routers that help; needs root or CAP_NET_RAW"},
	}
}

// outputFlags are the options of all commands that tell something.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Category: categoryOutput, Usage: "tell all in JSON, one object a line, for programs"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: categoryOutput, Usage: "tell warnings and errors only"},
	}
}

// rateFlag is an option that rateOf reads.
func rateFlag(usage string) cli.Flag { return &cli.StringFlag{Name: "rate", Usage: usage} }

// network reads the options of networkFlags.
func network(c *cli.Command) (*netOptions, error) {
	o := &netOptions{iface: c.String("interface"), v4: c.Bool("4"), v6: c.Bool("6"), hops: c.Int("hops"), mtu: c.Int("mtu"), raw: c.Bool("raw")}
	switch {
	case o.v4 && o.v6:
		return nil, misuse("Give one of them.", "-4 and -6 exclude each other")
	case o.hops < 1 || o.hops > 255:
		return nil, misuse("1 is this network only; each router on the way takes one more.", "-hops is %d, want 1 to 255", o.hops)
	case o.mtu < 0:
		return nil, misuse("", "-mtu is %d, want bytes, or nothing", o.mtu)
	}
	if path := c.String("key"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fail(err, "Make one with: head -c 32 /dev/urandom > "+path+", and copy it to the other machines over a safe way.", "the key cannot be read: %v", pathError(path, err))
		}
		if o.key = bytes.TrimRight(b, "\r\n"); len(o.key) < 16 || len(o.key) > 64 {
			return nil, misuse("Make one with: head -c 32 /dev/urandom > "+path, "the key in %s has %d bytes, want 16 to 64", path, len(o.key))
		}
	}
	return o, nil
}

// rateOf reads -rate; 0 if it was not given.
func rateOf(c *cli.Command) (flow.Rate, error) {
	s := c.String("rate")
	if s == "" {
		return 0, nil
	}
	r, err := flow.ParseRate(s)
	switch {
	case err != nil:
		return 0, misuse("", "%s", plain(err))
	case r < flow.Kbps:
		return 0, misuse(`A bare number is bits per second: write 10M for "10 Mbit/s".`, "-rate %s is less than 1 kbit/s", s)
	}
	return r, nil
}

// transport is the Config for the network that the options ask for.
func (o *netOptions) transport(e *env) transport.Config {
	return transport.Config{Interface: o.iface, HopLimit: o.hops, MTU: o.mtu, Network: e.network, Logger: e.logger()}
}

// target reads NAME|GROUP.
func (o *netOptions) target(e *env, given string) (*target, error) {
	have := families{v4: true, v6: true}
	if e.network == nil {
		have = ownFamilies(o.iface)
	}
	return parseTarget(given, o, have)
}

// ownFamilies says which families this machine can use, on an interface or, if it is empty, on any but the loopback. If there is nothing but that, it counts.
func ownFamilies(iface string) families {
	all, err := net.Interfaces()
	if err != nil {
		return families{v4: true}
	}
	var f, lo families
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		to := &f
		if i.Flags&net.FlagLoopback != 0 {
			to = &lo
		}
		named := i.Name == iface
		var own families
		for _, a := range addrs {
			ip, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			named = named || ip.IP.String() == iface
			if ip.IP.To4() != nil {
				own.v4 = true
			} else {
				own.v6 = true
			}
		}
		switch {
		case iface != "" && named:
			return own
		case iface == "":
			to.v4, to.v6 = to.v4 || own.v4, to.v6 || own.v6
		}
	}
	if !f.v4 && !f.v6 {
		f = families{v4: lo.v4} // IPv6 multicast has no route there
	}
	return f
}

// until is when a time is over; 0 never is.
func until(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// usageError makes one of ours of what the command-line library says.
func usageError(command string, err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "Incorrect Usage: ")
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: "); ok {
		text = "there is no option " + name
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		text = "the option " + name + " needs a value"
	}
	return misuse("rmcast help "+strings.TrimSpace(command)+" shows how it is used.", "%s", text)
}

// sources reads addresses of senders.
func sources(list []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsMulticast() {
			return nil, misuse("It is the address of a machine, like 192.0.2.7.", "-from %s is not an address of a sender", s)
		}
		addrs = append(addrs, a.WithZone(""))
	}
	return addrs, nil
}
