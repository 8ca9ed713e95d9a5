package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
)

// A run has one parent and an endpoint for the sender and each receiver. They talk in lines of JSON:
//
//	parent                          endpoint
//	Job                        ->
//	                           <-   Event{Ready, Port}     sockets are open, connections stand
//	Command{Go}                ->
//	                           <-   Event{Bytes}           a few times a second
//	Command{Stop}              ->                          only if it takes too long or nobody needs repairs any more
//	                           <-   Event{Report}
//	end of input               ->   exit
//
// An endpoint is a process of its own, re-executed in its namespace, or a goroutine where there are no namespaces.

// progressEvery is how often an endpoint says how far it is, and the parent the user.
const progressEvery = 200 * time.Millisecond

// Job tells an endpoint what to be.
type Job struct {
	Scheme    Scheme
	Send      bool
	Interface string
	Group     string   // rmcast: [group]:port
	Addresses []string // TCP: what a receiver listens at, or where the sender connects
	Rate      flow.Rate
	Bytes     int64
	File      int     // descriptor of the bytes to send
	Messages  *Stream // send paced messages in place of a file
	Control   string  // TCP congestion control; "": the system's
	Verbose   bool

	network dgram.Network // nil: the kernel's
	payload []byte        // in place of File for an endpoint in this process
}

// Stream is a flow of paced messages.
type Stream struct {
	Count int       `json:"count"`
	Bytes int       `json:"bytes"` // of each message
	Rate  flow.Rate `json:"rate"`  // of message bytes
}

// interval is the time between two messages.
func (s *Stream) interval() time.Duration {
	return time.Duration(float64(s.Bytes) * 8e9 / float64(s.Rate))
}

// String names the pace: "40 Mbit/s", or "10 messages a second" where they are few.
func (s *Stream) String() string {
	if s.Rate < flow.Mbps {
		return fmt.Sprintf("%.3g messages a second", float64(s.Rate)/float64(8*s.Bytes))
	}
	return s.Rate.String()
}

// Command is what the parent says after the job.
type Command struct {
	Go   bool `json:",omitempty"`
	Stop bool `json:",omitempty"`
}

// Event is what an endpoint says.
type Event struct {
	Ready  bool    `json:",omitempty"`
	Bytes  int64   `json:",omitempty"`
	Report *Report `json:",omitempty"`
}

// Report is what an endpoint knows at its end.
type Report struct {
	Bytes    int64           `json:"bytes"` // sent or received
	Complete bool            `json:"complete"`
	SHA256   string          `json:"sha256"`
	Start    int64           `json:"start_ns"` // CLOCK_MONOTONIC at Go
	End      int64           `json:"end_ns"`   // at the last byte received; sender: when the last was handed over
	Error    string          `json:"error,omitempty"`
	Loss     string          `json:"loss,omitempty"` // the first gap that was reported and passed over
	User     time.Duration   `json:"user_ns"`        // CPU from Go to the report
	System   time.Duration   `json:"system_ns"`
	Network  Counters        `json:"network"`             // of the endpoint's namespace, from Go to the report
	TCP      *TCPInfo        `json:"tcp,omitempty"`       // sum over the sender's connections
	Rmcast   *RmcastInfo     `json:"rmcast,omitempty"`    // from Stats
	Stats    json.RawMessage `json:"stats,omitempty"`     // the library's Stats, whole
	Delays   []int64         `json:"delays_ns,omitempty"` // ns from a message's time of sending, in order of arrival
}

// TCPInfo is what the kernel counted for the sender's connections.
type TCPInfo struct {
	Control       string `json:"congestion_control"`
	Segments      uint64 `json:"segments"`      // sent, without payload too
	Bytes         uint64 `json:"bytes"`         // of payload sent, repeats included
	Retransmitted uint64 `json:"retransmitted"` // bytes among them
}

// RmcastInfo is what the library's Stats say of an endpoint.
type RmcastInfo struct {
	Packets    uint64 `json:"packets"`  // sent, all types
	IPBytes    uint64 `json:"ip_bytes"` // sent, all types, with IP and UDP headers
	Data       uint64 `json:"odata"`
	Repairs    uint64 `json:"rdata"`        // parity among them
	Parity     uint64 `json:"parity_rdata"` // parity that was asked for
	Ahead      uint64 `json:"parity_odata"` // parity that was not
	NAKs       uint64 `json:"nak_packets"`  // sent by a receiver, received by the source
	NAKed      uint64 `json:"nak_numbers"`  // sequence numbers in them
	Suppressed uint64 `json:"naks_suppressed"`
	Lost       uint64 `json:"lost"`  // packets reported as lost for good
	Drops      uint64 `json:"drops"` // counted by the endpoint's sockets
	RecvBuffer int    `json:"recv_buffer"`
}

// endpoint runs one side of a run to its report. It calls ready once when the other side may start, then waits for start.
// When ctx ends it stops early and reports what it has; bytes tells the parent how far it is.
type endpoint func(ctx context.Context, job *Job, c *control) (Report, error)

// control is an endpoint's line to its parent.
type control struct {
	ready func()
	start <-chan struct{}
	bytes atomic.Int64
	begun func() // called at Go: counters start
}

// await says ready and waits for Go.
func (c *control) await(ctx context.Context) error {
	c.ready()
	select {
	case <-c.start:
		c.begun()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
