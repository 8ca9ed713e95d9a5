// Package interop proves that this library speaks with others of its kind. It holds tests only, most of them under the build tag
// interop:
//
//	go test -tags interop ./interop/...
//
// # Peers
//
// The foreign peers are OpenPGM 5.3 and ZeroMQ's epgm, by small C programs in testdata against their public APIs, which the tests
// compile. They need a C compiler, pkg-config, libpgm-dev and libzmq5 (Debian's names). The second judge is tshark, which dissects
// what we send. Each peer lives in a network namespace of its own (netem.Lab), with real sockets and real loss. Where something is
// missing the tests are skipped and say why; with INTEROP_REQUIRED=1 they fail, but for ZeroMQ's, which is a wish.
//
// # What is shown
//
//	our Source    ──2 % loss──▶ OpenPGM receiver     10 MiB, stream and messages, every byte and boundary
//	OpenPGM source ─2 % loss──▶ our Receiver         10 MiB, every byte and boundary, as messages and as a stream
//	our Source    ──2 % loss──▶ both at once         10 MiB, each its own losses
//	our Source    ──5 % loss──▶ OpenPGM receiver,    10 MiB, stream and messages, beside three receivers of ours that
//	                            ZeroMQ subscriber    have their losses restored from parity, asked for and not
//	OpenPGM source ─5 % loss──▶ our Receiver         10 MiB; the parity that it offers is not asked for
//	our packets   ──▶ tshark                         all PGM, no bad checksum, nothing malformed, parity included
//
// all of it over IPv4 and IPv6. One control sends parity under the session's own data-destination port: it ends OpenPGM's receiver.
// That the command's ping, top and dump know sources of OpenPGM and ZeroMQ is shown in cmd/rmcast, under the same tag.
//
// TestStranger needs no peer and no tag: in the simulator, a receiver that is kept from all that is under the port of parity has
// everything in the end.
//
// # What it is not
//
// Not a benchmark: rates are what OpenPGM takes without trouble.
package interop
