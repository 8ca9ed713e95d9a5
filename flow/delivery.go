package flow

import (
	"time"

	"github.com/rmcast/rmcast/seq"
)

// Delivery is what one receiver got between two of its reports, by its own account: whoever uses it bounds it.
type Delivery struct {
	Lead     seq.Num       // highest number of the later report
	Expected int           // numbers between both leads, 0 to 2^31-1
	Came     int           // of these, how many came as ODATA; reordering may make it larger
	Bytes    int64         // IP bytes of all data packets (repairs, parity too) that came between
	Over     time.Duration // by the receiver's clock between the arrivals of both leads; 0: no new lead, or a first report
	Held     time.Duration // between the later lead's arrival and the report's leaving
	Room     int           // packets beyond Lead that its window can take
}
