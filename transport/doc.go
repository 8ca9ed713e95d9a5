// Package transport sends a stream of bytes or messages to any number of receivers at once, reliably, over IP multicast. It
// speaks PGM (RFC 3208) in UDP or over IP, and looks like package net: Dial and Listen, Read and Write.
//
//	source, err := transport.Dial("udp", "239.192.0.9:7500", nil)        // one sender
//	…
//	_, err = io.Copy(source, file)
//	err = source.Close()
//
//	listener, err := transport.Listen("udp", "239.192.0.9:7500", nil)    // any number of receivers
//	…
//	receiver, err := listener.Accept()
//	_, err = io.Copy(file, receiver)
//
// # What it promises
//
// Each receiver gets exactly the bytes that were sent, in order, or is told exactly what is missing. The source sends each
// byte about once; a receiver that misses packets asks for them, and the source repeats what was asked for to all, or sends
// parity, each packet of which repairs another loss at each receiver (Config.FEC). The
// source sends as fast as its slowest receiver gets it (Config.SlowReceivers says how slow that may be), shares the path with others, and
// never passes Config.Rate. It does not wait for delivery unless it is told to (Source.WaitDelivered). A receiver that is slower than the
// source for longer than the windows last loses data and is told so by a *LossError in its place.
//
//	         Write                     WriteRun                     ReadBatch                     Read
//	program ───────▶ Source ─────────────────────▶ the group ─────────────────────▶ Receiver ───────▶ program
//	                  engine ◀──────────────────── NAK, SPMR ◀────────────────────── engine
//
// # Streams and messages
//
// Write sends bytes without boundaries, packed into full packets. WriteMessage sends a message, which ReadMessage gives back
// whole. Both may be mixed, and either may be read by either: to ReadMessage, each packet of a stream is a message; Read
// concatenates messages.
//
// # Several sources, late receivers
//
// A group may have several sources; each Dial is one, named by its TSI. A Listener accepts a Receiver for each. One that
// starts late begins where Config.Join says. Close of a Source sends what is left, marks the end, and stays for
// Config.Linger to repair; a Receiver then reads io.EOF once it has everything.
//
// # Confirmation
//
// Receivers that are to be known to a source have a name, Config.ReceiverID. The source can then wait until certain ones, or a number
// of them, hold what was written, as replication needs it:
//
//	err = source.WriteMessage(entry)
//	err = source.WaitDelivered(ctx, transport.Quorum{Count: 3}) // any three, or name them
//
// "Hold" is what TCP acknowledges: it has arrived, and the application gets it when it reads. Whoever wants to know that it was read
// or stored has to be told so by the application, over a connection of its own.
//
// # Configuration
//
// A nil *Config is right on a LAN. Settings that contradict each
// other are refused by Dial and Listen, naming both. For a sender and receivers across routers, set HopLimit on both ends,
// and choose a group whose scope reaches that far (ff15:: the site, ff18:: the organisation, ff1e:: the world;
// 239.192.0.0/14 the organisation).
//
// # Errors
//
// Errors are *net.OpError; errors.Is and errors.As find net.ErrClosed, os.ErrDeadlineExceeded, *LossError, *ResetError and
// ErrSourceLost inside. After a LossError, a deadline or io.ErrShortBuffer a Receiver can be read on; after the others nothing
// more comes.
//
// # Goroutines
//
// Each Source and each Listener has two goroutines and a socket, which Close ends before it returns; a Receiver uses its
// Listener's. All methods of all types may be called from several goroutines, and Close of another goroutine wakes those who
// wait.
//
// # Limitations
//
// Nothing is encrypted or authenticated: who can send to the group can disturb it. There is no
// parity over packets that leave no room for its options: messages of more than 1406 bytes and up to one packet, and streams and
// long messages in the same group of packets over IPv6; replay repairs those.
package transport
