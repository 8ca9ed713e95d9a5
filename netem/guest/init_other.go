//go:build !linux

package main

// beInit does nothing where this program cannot be a guest's first process.
func beInit() {}
