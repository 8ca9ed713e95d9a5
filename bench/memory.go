package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rmcast/rmcast/netem"
)

// memory is the world where there are no namespaces: endpoints are goroutines of this process on a network in memory. It
// has no TCP, and no CPU figures but the whole machine's.
type memory struct {
	payload *payload
	seed    uint64
}

func (memory) about() string {
	return "in memory, in one process: no namespaces here, so no TCP to compare with and no kernel on the way"
}

func (memory) has(s Scheme) bool { return s.multicast() }

func (m memory) open(_ context.Context, c *Cell) (network, error) {
	n := &memoryNetwork{fabric: netem.NewFabric(netem.FabricConfig{Seed: m.seed, NoOffload: !c.Offload})}
	if c.Messages == nil {
		var err error
		if n.payload, err = m.payload.load(c.Bytes); err != nil {
			return nil, err
		}
	}
	n.sender = n.fabric.Host("fd00::1")
	n.sender.SetEgress(netem.Impairment{Rate: int64(c.Link), Limit: 10000})
	for i := range c.Receivers {
		h := n.fabric.Host(fmt.Sprintf("fd00::1:%x", i+1))
		h.SetIngress(netem.Impairment{Loss: c.Loss, Delay: c.RTT / 2})
		h.SetEgress(netem.Impairment{Delay: c.RTT / 2})
		n.receivers = append(n.receivers, h)
	}
	return n, nil
}

type memoryNetwork struct {
	fabric    *netem.Fabric
	sender    *netem.Host
	receivers []*netem.Host
	payload   []byte
}

func (n *memoryNetwork) host(index int) *netem.Host {
	if index < 0 {
		return n.sender
	}
	return n.receivers[index]
}

func (n *memoryNetwork) job(index int, s Scheme) Job {
	return Job{Scheme: s, Send: index < 0, Interface: "eth0", Group: group, network: n.host(index), payload: n.payload}
}

func (n *memoryNetwork) start(index int, job Job) (*remote, error) {
	h := n.host(index)
	before := h.Counters()
	return startLocal(endpointName(index), job, func() Counters {
		after := h.Counters()
		sent := after.SentPackets - before.SentPackets
		return Counters{
			UDPDrops:  after.Overflow - before.Overflow,
			TxPackets: sent,
			TxBytes:   after.SentBytes - before.SentBytes + ethernetHeader*sent,
		}
	}), nil
}

// startLocal runs an endpoint as a goroutine of this process.
func startLocal(name string, job Job, counters func() Counters) *remote {
	ctx, stop := context.WithCancelCause(context.Background())
	events := make(chan Event, 2)
	start := make(chan struct{})
	finished := make(chan struct{})
	c := &control{ready: func() { events <- Event{Ready: true} }, start: start}
	go func() {
		defer close(finished)
		defer close(events)
		rep := job.run(ctx, c)
		rep.Network = counters()
		rep.User, rep.System = 0, 0 // of all endpoints together: it says nothing of one
		events <- Event{Report: &rep}
	}()
	var once sync.Once
	return &remote{
		name:   name,
		events: events,
		send: func(cmd Command) error {
			if cmd.Go {
				once.Do(func() { close(start) })
			}
			if cmd.Stop {
				stop(errStopped)
			}
			return nil
		},
		progress: c.bytes.Load,
		close: func() error {
			stop(errors.New("closed"))
			<-finished
			return nil
		},
	}
}

func (n *memoryNetwork) losses() (Losses, error) {
	var l Losses
	for _, h := range n.receivers {
		in := h.Counters().Ingress
		l.Dropped += in.Lost
		l.Passed += in.Arrived
	}
	l.Queue = n.sender.Counters().Egress.Overflow
	return l, nil
}

func (n *memoryNetwork) close() error { return nil }

// endpointName says who it is in errors.
func endpointName(index int) string {
	if index < 0 {
		return "sender"
	}
	return fmt.Sprintf("receiver %d", index+1)
}
