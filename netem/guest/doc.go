// Guest runs tests and the benchmark on a kernel of their own, for machines whose kernel has no sch_netem.
//
//	go run ./netem/guest                                       the tests of the kernel's netem and a short benchmark
//	go run ./netem/guest -test ./netem -run Kernel             the tests of some packages
//	go run ./netem/guest -test ./transport -run TestLab -- -test.count=3
//	go run ./netem/guest -bench -- -setting netem -loss 5      the benchmark with flags of one's own
//
// It takes Debian's kernel for clouds from its package, makes an initial file system of statically linked Go programs, boots both
// under qemu, and prints what they print. Nothing is installed, and no right is needed but to run qemu; the only things left
// behind are the unpacked package and the build cache.
//
//	this machine                                 guest: qemu, 2 processors, no disk, no network
//	go test -c, go build  ──▶ newc archive ────▶ /init: mounts, modules, then program after program
//	output, exit code     ◀── serial console ◀── what they print, a last line with the exit code, power off
//
// Guest's first process is this command itself: what the two sides tell each other is in one place.
//
// # Exit code
//
// 0 when every program ended well, else the code of the first that did not. 77 when no guest can be had, with the reason: no qemu,
// no kernel package. 1 for everything else, also when the guest ends without its last line. (go run turns any failure into 1: for
// the 77 build the command first.)
//
// # What it needs
//
// On Debian: apt-get install --no-install-recommends qemu-system-x86, and package lists that are not too old (apt-get update) for the
// kernel, which apt-get downloads and dpkg-deb unpacks. Elsewhere qemu-system-x86_64, dpkg-deb and -package with such a package. Compressed
// modules need xz.
//
// # Limitations
//
// A guest without KVM has processors that are ten times slower: some 5,000 packets a second go from one of its namespaces to
// another, and its timers are late by 1 or 2 ms. KVM is used where it works, which some nested ones do not: it has some seconds to prove it.
package main
