package netem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Lab is a network of namespaces on this machine:
//
//	┌ sender ──┐  tbf   ┌ bridge ┐        ┌ receiver 0 ┐
//	│     eth0 ├────────┤        ├────────┤ eth0  nft  │
//	└──────────┘  veth  │        │  veth  └────────────┘
//	                    │        ├────────┤ eth0  nft  │ receiver 1 …
//	                    └────────┘
//
// The namespaces have no name and no file: they end when the Lab is closed and the last socket and process in them is gone, also
// after a SIGKILL. Its methods but Close may be called from several goroutines at once.
type Lab struct {
	cfg    LabConfig
	relay  bool // the links to the nodes end in bridge without one
	bridge netns.NsHandle
	nodes  []netns.NsHandle // the sender, then the receivers
	starts chan func()      // run on the one thread that starts children
	links  []*lossRules

	mu     sync.Mutex
	closed bool
}

// NewLab builds the network, in 40 to 100 ms for 8 receivers. It needs root, or a user namespace: see [EnterUser].
func NewLab(cfg LabConfig) (*Lab, error) { return newLab(cfg, false) }

// newLab builds a Lab, or for a Relay one that has no bridge: every node's link is then a wire.
func newLab(cfg LabConfig, relay bool) (_ *Lab, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg, relay: relay, bridge: netns.None(), starts: make(chan func())}
	go startChildren(l.starts)
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if err := l.makeNamespaces(); err != nil {
		return nil, err
	}
	if err := l.makeBridge(); err != nil {
		return nil, fmt.Errorf("netem: bridge: %w", err)
	}
	for n := Sender; n < Node(cfg.Receivers); n++ {
		if err := l.makeNode(n); err != nil {
			return nil, fmt.Errorf("netem: %v: %w", n, err)
		}
		loss := cfg.Loss
		if n == Sender {
			loss = cfg.SenderLoss
		}
		if err := l.SetLoss(n, loss); err != nil {
			return nil, err
		}
	}
	if err := l.await(); err != nil {
		return nil, err
	}
	return l, nil
}

// Receivers returns the number of receiver nodes.
func (l *Lab) Receivers() int { return l.cfg.Receivers }

// Do runs f on a thread in the node's namespace. Sockets opened there stay there and may be used by any goroutine afterwards;
// goroutines that f starts do not run there. f must not wait for another Do of the same Lab to start.
func (l *Lab) Do(n Node, f func() error) error {
	ns, err := l.namespace(n)
	if err != nil {
		return err
	}
	return inside(ns, f)
}

// Start starts cmd in the node's namespace. The child is killed when the Lab is closed or this process ends, however it does. The
// caller waits for it, as after cmd.Start.
func (l *Lab) Start(n Node, cmd *exec.Cmd) error {
	ns, err := l.namespace(n)
	if err != nil {
		return err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// The signal comes when the thread that started the child ends, hence startChildren.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error, 1)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errLabClosed
	}
	l.starts <- func() { done <- at(ns, cmd.Start) }
	l.mu.Unlock()
	return <-done
}

// Close lets go of the network and kills the children that Start started. Sockets opened in it live until they are closed.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errLabClosed
	}
	l.closed = true
	close(l.starts)
	for _, ns := range append(l.nodes, l.bridge) {
		if ns.IsOpen() {
			ns.Close()
		}
	}
	return nil
}

var errLabClosed = errors.New("netem: the lab is closed")

// namespace returns a node's namespace.
func (l *Lab) namespace(n Node) (netns.NsHandle, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return netns.None(), errLabClosed
	case n < Sender || n >= Node(l.cfg.Receivers):
		return netns.None(), fmt.Errorf("netem: no %v in a lab of %d receivers", n, l.cfg.Receivers)
	}
	return l.nodes[n+1], nil
}

// device is an interface in a namespace. A qdisc on it works on what leaves through it.
type device struct {
	ns   netns.NsHandle
	name string
}

// devices returns both ends of a node's link: what the node sends leaves through up, what it is sent through down. The handles belong
// to the Lab. The kernel cuts runs (UDP_SEGMENT, TCP) behind the qdisc of the interface that they leave through first: with Wire
// a qdisc on the sender's up still sees whole runs, while those on all downs see packets.
func (l *Lab) devices(n Node) (up, down device, err error) {
	ns, err := l.namespace(n)
	if err != nil {
		return device{}, device{}, err
	}
	return device{ns, LabInterface}, device{l.bridge, portName(n)}, nil
}

// bridgeName is the bridge's interface, in its own namespace.
const bridgeName = "br0"

// portName is the bridge's end of a node's link.
func portName(n Node) string { return "p" + strconv.Itoa(int(n)+1) }

// startChildren runs what comes, on one thread. It ends with the thread locked, so that the thread ends too: this kills the children.
func startChildren(starts <-chan func()) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread does not end with its goroutine. While this one waits on it, the next runs on another.
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			startChildren(starts)
		}()
		<-done
		return
	}
	for f := range starts {
		f()
	}
}

// makeNamespaces makes all namespaces from one thread.
func (l *Lab) makeNamespaces() error {
	host, err := netns.Get()
	if err != nil {
		return fmt.Errorf("netem: open /proc/thread-self/ns/net: %w", err)
	}
	defer host.Close()
	return inside(host, func() error {
		for i := range l.cfg.Receivers + 2 {
			ns, err := netns.New()
			if err != nil {
				return fmt.Errorf("netem: unshare(CLONE_NEWNET): %w", err)
			}
			if i == 0 {
				l.bridge = ns
			} else {
				l.nodes = append(l.nodes, ns)
				l.links = append(l.links, &lossRules{ns: ns})
			}
		}
		return nil
	})
}

// makeBridge makes the bridge, or for a Relay none, and its links to the nodes.
func (l *Lab) makeBridge() error {
	err := inside(l.bridge, func() error {
		// No address of the bridge's own, no packet filter on what it forwards.
		return errors.Join(sysctl("net/ipv6/conf/default/disable_ipv6", "1"),
			sysctl("net/bridge/bridge-nf-call-iptables", "0"), sysctl("net/bridge/bridge-nf-call-ip6tables", "0"))
	})
	if err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(l.bridge, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("socket(AF_NETLINK, NETLINK_ROUTE): %w", err)
	}
	defer h.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &l.cfg.Snooping}
	bridge.Name = bridgeName
	if !l.relay {
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("rtnetlink: add a link of kind bridge: %w", err)
		}
		if err := h.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("rtnetlink: set the bridge up: %w", err)
		}
	}
	for i, ns := range l.nodes {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex, attrs.MTU = portName(Node(i-1)), bridge.Index, l.cfg.MTU
		veth := netlink.NewVeth(attrs)
		veth.PeerName, veth.PeerMTU, veth.PeerNamespace = LabInterface, uint32(l.cfg.MTU), netlink.NsFd(ns)
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("rtnetlink: add a link of kind veth: %w", err)
		}
		if err := h.LinkSetUp(veth); err != nil {
			return fmt.Errorf("rtnetlink: set %s up: %w", attrs.Name, err)
		}
		if l.cfg.Snooping {
			if err := h.LinkSetFastLeave(veth, true); err != nil {
				return fmt.Errorf("rtnetlink: set fast leave of %s: %w", attrs.Name, err)
			}
		}
	}
	if l.cfg.Wire && !l.relay { // a Relay sends packets on as they came
		return inside(l.bridge, func() error { return offloadsOff(portName(Sender)) })
	}
	return nil
}

// await waits until the bridge forwards to all nodes, whose ends are up before its own, and until the nodes answer each other.
func (l *Lab) await() error {
	h, err := netlink.NewHandleAt(l.bridge, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netem: socket(AF_NETLINK, NETLINK_ROUTE): %w", err)
	}
	defer h.Close()
	for i := range l.nodes {
		if _, err := running(h, portName(Node(i-1))); err != nil {
			return fmt.Errorf("netem: bridge: %w", err)
		}
	}
	if l.cfg.Snooping {
		if err := l.snoop(h); err != nil {
			return fmt.Errorf("netem: bridge: %w", err)
		}
	}
	for i, ns := range l.nodes {
		n := Node(i - 1)
		if err := inside(ns, func() error { return solicited(n.Addr6()) }); err != nil {
			return fmt.Errorf("netem: %v: %w", n, err)
		}
	}
	return nil
}

// inside runs f on a thread of its own that is in ns.
func inside(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("netem: the function ended its goroutine")
		defer func() { done <- err }()
		runtime.LockOSThread()
		host, e := netns.Get()
		if e != nil {
			err = fmt.Errorf("netem: open /proc/thread-self/ns/net: %w", e)
			return
		}
		defer host.Close()
		defer func() {
			if netns.Set(host) == nil {
				runtime.UnlockOSThread()
			} // else the thread ends with the goroutine
		}()
		err = at(ns, f)
	}()
	return <-done
}

// at puts the current, locked thread into ns and runs f.
func at(ns netns.NsHandle, f func() error) error {
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("netem: setns(CLONE_NEWNET): %w", err)
	}
	return f()
}

// sysctl writes one setting of the current thread's namespace; one that the kernel does not have is left out.
func sysctl(name, value string) error {
	err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sysctl %s=%s: %w", name, value, err)
	}
	return nil
}
