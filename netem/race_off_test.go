//go:build !race

package netem_test

const raced = false
