// Package carriers holds the test that a session is the same whatever carries it: the scenarios of testdata (see sim.ParseScenario) are
// run in the simulator, by package transport in memory and virtual time, and by package transport on the sockets of network namespaces
// that a netem.Relay joins. Receivers must read the same bytes and be told the same losses.
package carriers
