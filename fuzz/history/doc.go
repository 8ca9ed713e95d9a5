// Package history makes random histories of whole networks, each from one seed, runs them in package sim and judges all that happens: what
// is sent, asked for, repaired, read and told. A history is a value: a list of steps with their times, which prints as text and reads
// back, so that one that fails can be made short and kept.
//
//	Generate(seed) ──▶ History ──▶ Runner.Run ──▶ nil, or the first *Violation
//	                    │    ▲                       │
//	             String ▼    │ ParseHistory          ▼
//	                    text, testdata        Runner.Shrink ──▶ the shortest that fails alike
//
// A history has switches in a tree with links that all behind them share, one to three sources and up to eight receivers (more with Long),
// each with links and settings of its own. Links lose packets (independently, in bursts, periodically, for a time, by a full queue, by
// size), delay, reorder, duplicate and damage them, and change. Sources write the stream and messages, flush, finish and reset.
// Receivers join late, stall, restart and leave.
//
// # What is judged
//
// ledger holds sources, listener receivers to their invariants; look says what memory may be used, over that everything ends. What sources
// write tells by itself where it stands, so that all is judged at the speed of comparing bytes. A loss is a violation where none is
// possible; promise says where that is, and why.
//
// # Cost
//
// A short history takes about a quarter of a millisecond with everything: some 70 packets sent, 130 delivered. Command fuzz/soak runs
// millions of them.
//
// # Limitations
//
// Every source is honest, and damaged packets fail their checksum: forged packets are the business of the fuzz targets. So of the links that
// a packet passes, one only may damage it: two bits that turn on two links may leave the checksum as it was. One session of
// a receiver that begins while the one before is not read to its end cannot be told from that, and is not judged (Unclear). A
// generator that changes gives other histories to the same seeds: what shall be kept is kept as text, in testdata.
package history
