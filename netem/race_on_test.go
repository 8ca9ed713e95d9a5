//go:build race

package netem_test

// raced: the race detector makes what follows fifty times slower, and counts allocations of its own.
const raced = true
