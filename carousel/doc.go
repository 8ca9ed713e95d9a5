// Package carousel sends objects in a loop: whoever joins at any time takes what it lacks and leaves when it has everything. Receivers need not
// send one packet, so they may come late, be silent, sit behind a one-way link, and be any number.
//
// An [Object] is a file, a directory tree, or any io.ReaderAt. [Send] sends one or several of them over a transport.Source, [Receive] takes them
// from a transport.Receiver into an [Inbox], which is a directory.
//
// # The object
//
// The bytes of all its files, one after another, are cut into symbols of 1408 bytes, and those into blocks of equal size (RFC 5052, 9.1) of up to
// 32768 symbols. Each block has as many parity symbols as data symbols (fec.Bulk), and any half of them restore it.
//
//	manifest: name, size, code; of each file path, size, mode, time; the SHA-256 of each block
//	id:       the first 8 bytes of the SHA-256 of the manifest
//
// So two sources of the same files are sources of the same object, whose symbols add up, and objects that differ in anything have
// different ids and do not mix on one group.
//
// # What is sent
//
// Four kinds of packet, each a transport message with a head of 20 bytes (packet.go):
//
//	root      at least once a second: name, size, code, size and SHA-256 of the manifest
//	manifest  a symbol of the manifest, which is an object of one block itself; at most one packet in 20
//	data      a symbol of a block
//	offer     of a source that answers requests: which blocks it is about to send more of, because receivers asked
//
// The first turn is the data, the second the parity, then again; in each, block after block gives one symbol (order.go). Burst loss therefore meets all
// blocks alike, and all are complete at about the same time. A source begins at a random place of the turn, so that two that send
// the same object send different things. Where all receivers are there and ask, blocks may be sent one after another (SendConfig.BlockByBlock). Several objects share the rate by their priorities.
//
// # What is asked for
//
// A receiver that may send can ask for its last symbols ([Ask]) in place of waiting for most of a turn. It names blocks, and how many symbols it lacks of each: any
// will do, so that one answer serves all who lack some. The source ([SendConfig].Requests) sends each block's next symbols early, within its share. Who
// lacks something waits for a random time, and asks if it was not offered by then; of a thousand few do. Who does not call Ask sends nothing.
//
// # What is received
//
//	<directory>/.rmcast-<id>/manifest   as soon as its hash is right
//	                        /data       the file, or the tree, with its data symbols in place
//	                        /parity     parity symbols of open blocks
//	                        /marks      a checksum for each symbol that is there
//	<directory>/<name>                  in the end: data, renamed
//
// In memory are only bitmaps of open blocks, symbols on their way to the disk, and one block that is decoded. A block is complete when its SHA-256 is that of the manifest, or else
// it is thrown away and taken again. Symbols are written several at once, and a process that is killed loses what it had not read or written, 1.5 MB at most: the next one checks each symbol that is
// marked against its checksum, each complete block against its hash, and takes what is missing, from whatever source. A mark is written after
// its symbol; what a power cut does to their order the checksums tell.
//
// # Who owns what
//
//	partition, order, shares, bitmap, packet, manifest   pure: no file, no clock; parsers are fuzzed
//	answers, needs and offers, asker                     pure: what was asked for, its packets, when to ask
//	Object, sending                                      the source's files, parity, and what to send next; the clock is Send's
//	Requests                                             the source's ear: a Listener, and what it heard
//	Inbox                                                the lock; goroutines that verify, decode (one block at a time) and rename; what is limited
//	incoming, stage, pending                             one object: its state, its files, and what is not written yet; guarded by the Inbox's lock
//
// # Safety
//
// A packet chooses no allocation and no path. Sizes are checked against [InboxConfig] first; paths are those of [fs.ValidPath], and all files are opened
// beneath the directory by os.Root, which follows no link out of it. Only regular files and directories are sent and received: a source refuses links and
// devices by name. Holes of sparse files are sent as zeros, and become holes again where whole symbols are zero.
//
// # Limitations
//
// There is no authentication: whoever can send to the group can announce objects, and can spoil blocks, which are then taken again. No wrong byte
// becomes visible; without InboxConfig.Accept a wrong object may. Whoever can send to the group can also ask,
// and have a source send answers for nothing, up to their share. Owners, links,
// extended attributes and setuid bits are not kept. One process at a time may use a directory as an Inbox. All is read, coded and hashed before
// an object's first packet is sent, at some 400 MB/s on two cores. Transport's own parity does not cover packets of this size: leave it as it is, since
// silent receivers do not ask.
package carousel
