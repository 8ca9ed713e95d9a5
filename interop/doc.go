// Package interop proves that this library speaks with others of its kind. It holds tests only, under the build tag interop:
//
//	go test -tags interop ./interop/...
//
// # Peers
//
// The foreign peer is OpenPGM 5.3, by two small C programs in testdata against its public API, which the tests compile. They
// need a C compiler, pkg-config and libpgm-dev (Debian's names). The second judge is tshark, which dissects what we send. Each peer
// lives in a network namespace of its own (netem.Lab), with real sockets and real loss. Where something is missing
// the tests are skipped and say why; with INTEROP_REQUIRED=1 they fail.
//
// # What is shown
//
//	our Source    ──2 % loss──▶ OpenPGM receiver     10 MiB, stream and messages, every byte and boundary
//	OpenPGM source ─2 % loss──▶ our Receiver         10 MiB, every byte and boundary, as messages and as a stream
//	our Source    ──2 % loss──▶ both at once         10 MiB, each its own losses
//	our packets   ──▶ tshark                         all PGM, no bad checksum, nothing malformed
//
// all of it over IPv4 and IPv6.
//
// # What it is not
//
// Not a benchmark: rates are what OpenPGM takes without trouble. Parity is not tried: it kills OpenPGM's receivers.
package interop
