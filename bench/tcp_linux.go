package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlTCP sets the congestion control of a connection before it is opened; "" leaves the system's.
func controlTCP(congestion string) func(network, address string, raw syscall.RawConn) error {
	if congestion == "" {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) (err error) {
		cerr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
		})
		if err != nil {
			err = fmt.Errorf("TCP congestion control %q: %w", congestion, err)
		}
		return errors.Join(cerr, err)
	}
}

// tcpInfo sums what the kernel counted for the connections.
func tcpInfo(conns []*net.TCPConn) (*TCPInfo, error) {
	var sum TCPInfo
	for _, conn := range conns {
		raw, err := conn.SyscallConn()
		if err != nil {
			return nil, err
		}
		var info *unix.TCPInfo
		cerr := raw.Control(func(fd uintptr) {
			if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return
			}
			sum.Control, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		})
		if err := errors.Join(cerr, err); err != nil {
			return nil, fmt.Errorf("TCP_INFO: %w", err)
		}
		sum.Segments += uint64(info.Segs_out)
		sum.Bytes += info.Bytes_sent
		sum.Retransmitted += info.Bytes_retrans
	}
	return &sum, nil
}
