package transport

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// What goes wrong first for a user, and every word of what he is told: on a host with the interfaces lo and eth0, where another
// program has port 7501.
func TestLabErrors(t *testing.T) {
	const works = ""
	l := newLab(t, netem.LabConfig{})
	for _, c := range []struct {
		group        string
		cfg          Config
		dial, listen string // what follows the operation, the network and the group
	}{
		{
			"239.192.0.9:7500", Config{Interface: "eth7"},
			`dgram: no interface "eth7"; there are lo, eth0`, `dgram: no interface "eth7"; there are lo, eth0`,
		}, {
			"[ff15::8000:1%eth7]:7500", Config{},
			`dgram: no interface "eth7"; there are lo, eth0`, `dgram: no interface "eth7"; there are lo, eth0`,
		}, {
			"[ff15::8000:1%eth0]:7500", Config{Interface: "lo"},
			`dgram: zone "eth0" of group ff15::8000:1%eth0 and Interface "lo" are different interfaces: drop one of them`,
			`dgram: zone "eth0" of group ff15::8000:1%eth0 and Interface "lo" are different interfaces: drop one of them`,
		}, {
			"192.0.2.1:7500", Config{},
			"dgram: 192.0.2.1 is not a multicast group: those are ff00::/8 (try ff15::8000:1) and 224.0.0.0/4 (try 239.192.0.9)",
			"dgram: 192.0.2.1 is not a multicast group: those are ff00::/8 (try ff15::8000:1) and 224.0.0.0/4 (try 239.192.0.9)",
		}, {
			"[ff12::8000:1]:7500", Config{},
			"dgram: group ff12::8000:1 has link-local scope and needs an interface: write [ff12::8000:1%eth0], or set Interface; there are lo, eth0",
			"dgram: group ff12::8000:1 has link-local scope and needs an interface: write [ff12::8000:1%eth0], or set Interface; there are lo, eth0",
		}, {
			"232.1.2.3:7500", Config{}, works,
			"dgram: group 232.1.2.3 is in the range of source-specific multicast: name its senders in Sources, or use another group (ff15::…, 239.…)",
		}, {
			"[ff35::8000:1]:7500", Config{}, works,
			"dgram: group ff35::8000:1%eth0 is in the range of source-specific multicast: name its senders in Sources, or use another group (ff15::…, 239.…)",
		}, {
			"[ff15::8000:1]:7501", Config{}, works, // the source takes another port
			"dgram: port 7501 of ff15::8000:1%eth0 is in use by a program that does not share it (ss -ulnp shows which): end it or use another port: bind: address already in use",
		}, {
			"239.192.0.9:7500", Config{HeartbeatMin: 2 * time.Second, HeartbeatMax: time.Second},
			"transport: Config: HeartbeatMin (2s) is longer than HeartbeatMax (1s): the interval only grows",
			"transport: Config: HeartbeatMin (2s) is longer than HeartbeatMax (1s): the interval only grows",
		}, {
			"239.192.0.9:7500", Config{ReceiveOnly: true, Join: JoinTrail},
			"transport: Config: ReceiveOnly and Join: JoinTrail are both set: who never sends cannot ask for what was sent before",
			"transport: Config: ReceiveOnly and Join: JoinTrail are both set: who never sends cannot ask for what was sent before",
		}, {
			"239.192.0.9:7500", Config{MaxWindow: 16},
			"transport: Config: MaxMessage (22528 bytes) does not fit in MaxWindow (16): the window has 16 packets of 1384 bytes; change one of the two",
			"transport: Config: MaxMessage (22528 bytes) does not fit in MaxWindow (16): the window has 16 packets of 1384 bytes; change one of the two",
		}, {
			"239.192.0.9:7500", Config{MTU: 9000},
			"transport: Config: MTU is 9000, but interface eth0 takes at most 1500", works,
		},
	} {
		c.cfg.Logger, c.cfg.Rate, c.cfg.Linger = l.cfg.Logger, flow.Mbps, -1
		err := l.lab.Do(netem.Sender, func() error {
			other, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7501})
			if err != nil {
				return err
			}
			defer other.Close()
			s, err := Dial("udp", c.group, &c.cfg)
			if err == nil {
				defer s.Close()
			}
			l.wantRefusal("dial", c.group, err, c.dial)
			li, err := Listen("udp", c.group, &c.cfg)
			if err == nil {
				defer li.Close()
			}
			l.wantRefusal("listen", c.group, err, c.listen)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantRefusal checks the whole text of an error of op; want is empty where there shall be none.
func (l *lab) wantRefusal(op, group string, err error, want string) {
	l.t.Helper()
	var o *net.OpError
	switch {
	case err == nil && want == "":
	case !errors.As(err, &o) || o.Op != op:
		l.t.Errorf("%s %s: %v, want an *net.OpError with %q", op, group, err, want)
	case o.Err.Error() != want:
		l.t.Errorf("%s %s: %q, want %q", op, group, o.Err, want)
	default:
		l.t.Log(err)
	}
}
