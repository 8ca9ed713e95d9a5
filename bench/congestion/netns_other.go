//go:build !linux

package main

import "errors"

// enter does nothing: there are no namespaces here.
func enter() (done bool) { return false }

func (o *options) netnsCases() ([]Case, error) {
	return nil, errors.New("-netns: there are no network namespaces here")
}
