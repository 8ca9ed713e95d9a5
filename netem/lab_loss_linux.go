package netem

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lossRules is a chain of the packet filter in one namespace that loses some of what arrives at its interface:
//
//	iifname != eth0 accept
//	meta l4proto {icmp, igmp, icmpv6} accept      a rule for each; ARP does not come here
//	counter                                       offered
//	numgen random mod 1000000 < loss counter drop lost
type lossRules struct {
	ns netns.NsHandle

	mu    sync.Mutex
	table *nftables.Table // nil until there was a loss
	chain *nftables.Chain
	// What rules that were replaced had counted.
	offered, lost uint64
}

const lossModulus = 1_000_000

// SetLoss changes the probability with which packets that reach a node are lost; packets under way notice it at once.
func (l *Lab) SetLoss(n Node, loss float64) error {
	if _, err := l.namespace(n); err != nil {
		return err
	}
	if err := (Impairment{Loss: loss}).Validate(); err != nil {
		return err
	}
	if err := l.links[n+1].set(loss); err != nil {
		return fmt.Errorf("netem: %v: %w", n, err)
	}
	return nil
}

func (r *lossRules) set(loss float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	below := uint32(math.Round(loss * lossModulus))
	if r.table == nil && below == 0 {
		return nil
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(r.ns)))
	if err != nil {
		return fmt.Errorf("socket(AF_NETLINK, NETLINK_NETFILTER): %w", err)
	}
	table, chain := r.table, r.chain
	if table == nil {
		table = c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "netem"})
		chain = c.AddChain(&nftables.Chain{
			Name: "loss", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
		})
	} else {
		r.offered, r.lost, err = r.read(c)
		if err != nil {
			return err
		}
		c.FlushChain(chain)
	}
	if below > 0 {
		for _, exprs := range lossChain(below) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: set a rule of loss by numgen random: %w", err)
	}
	r.table, r.chain = table, chain
	return nil
}

// lossChain returns the rules that lose below in lossModulus packets.
func lossChain(below uint32) [][]expr.Any {
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, LabInterface)
	rules := [][]expr.Any{{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		accept,
	}}
	for _, proto := range []byte{unix.IPPROTO_ICMP, unix.IPPROTO_IGMP, unix.IPPROTO_ICMPV6} {
		rules = append(rules, []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
			accept,
		})
	}
	return append(rules, []expr.Any{&expr.Counter{}}, []expr.Any{
		&expr.Numgen{Register: 1, Modulus: lossModulus, Type: unix.NFT_NG_RANDOM},
		// The comparison is one of bytes in memory: it needs network order.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binary.BigEndian.AppendUint32(nil, below)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	})
}

// counters returns how many packets were offered and lost.
func (r *lossRules) counters() (offered, lost uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table == nil {
		return 0, 0, nil
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(r.ns)))
	if err != nil {
		return 0, 0, fmt.Errorf("socket(AF_NETLINK, NETLINK_NETFILTER): %w", err)
	}
	return r.read(c)
}

// read adds the present rules' counters to those of earlier ones.
func (r *lossRules) read(c *nftables.Conn) (offered, lost uint64, err error) {
	rules, err := c.GetRules(r.table, r.chain)
	if err != nil {
		return 0, 0, fmt.Errorf("nftables: read counters: %w", err)
	}
	sums := []*uint64{&offered, &lost}
	offered, lost = r.offered, r.lost
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if k, ok := e.(*expr.Counter); ok && len(sums) > 0 {
				*sums[0] += k.Packets
				sums = sums[1:]
			}
		}
	}
	return offered, lost, nil
}
