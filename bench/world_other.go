//go:build !linux

package main

import (
	"io"
	"net"
	"syscall"

	"github.com/rmcast/rmcast/netem"
)

// enter has nothing to do: there are no roles for this process but the benchmark itself.
func enter() (code int, done bool) { return 0, false }

func chooseWorld(o *options, p *payload, _ io.Writer) (world, error) {
	if o.plan.netem != "" {
		return nil, netem.QdiscAvailable()
	}
	return memory{payload: p, seed: o.seed}, nil
}

func controlTCP(string) func(network, address string, raw syscall.RawConn) error { return nil }

func tcpInfo([]*net.TCPConn) (*TCPInfo, error) { return nil, nil }
