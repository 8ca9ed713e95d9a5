package history

import (
	"time"

	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
)

// group is receivers that are alike.
type group struct {
	set   *Group
	sim   *sim.Group
	peers session.PeersConfig // as the engines have it
	first int                 // of members
}

func (g *group) expiry() time.Duration {
	if g.peers.Expiry > 0 {
		return g.peers.Expiry
	}
	return 30 * time.Second // of sources that are ours
}

// patience is how long a missing number is waited for at least.
func (g *group) patience() time.Duration {
	if g.peers.MaxDelay > 0 {
		return min(g.peers.MaxDelay, g.peers.RepairTimeout)
	}
	return g.peers.RepairTimeout
}

func (g *group) maxMessage() int { return g.peers.MaxMessage }

// holds reports whether the receive window surely has room for a message of so many bytes, by slots and by memory: chunks of 64 KiB, one
// for each size of packets at least, and 44 packets of the usual size in one.
func (g *group) holds(bytes int) bool {
	packets := bytes/400 + 2
	chunks := int64(packets/44 + 1 + bytes>>16 + 3)
	return packets <= g.peers.MaxWindow && chunks<<16 <= g.peers.WindowBytes
}

// member is one receiver.
type member struct {
	g       *group
	i       int // of the group
	stalled bool
	gone    bool
}
