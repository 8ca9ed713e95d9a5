// Package mono holds instants of a monotonic clock in eight bytes.
//
// A Time counts nanoseconds since an epoch that its owner chose (one per connection, or the start of a simulation). The
// package reads no clock: time comes in from outside, which is what lets one engine run over sockets and under a simulator.
package mono
