package carousel

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rmcast/rmcast/fec"
)

// ObjectConfig says how an Object is made. The zero value is right at an MTU of 1500. In each field zero means the default that its comment names.
// Sources of one object must agree on SymbolBytes, BlockSymbols and NoTimes, or it is not one object.
type ObjectConfig struct {
	// SymbolBytes is the size of a symbol, a multiple of 64 up to 65472. A packet is 20 bytes longer and should fit one packet of the source: at most
	// wire.Room's Message. Zero: 1408, which fits at an MTU of 1500.
	SymbolBytes int

	// BlockSymbols is the most data symbols of a block, up to 32768. A receiver decodes a block in memory, and needs less luck the larger blocks are.
	// Zero: 32768, 46 MB.
	BlockSymbols int

	// NoTimes leaves modification times out, so that copies of the same files are the same object. Zero: they are kept.
	NoTimes bool

	// ParityMemory is how much parity is kept in memory, in bytes; an object that has more, as much as it is large, keeps it in a temporary file.
	// Negative: always in the file. Zero: 256 MiB.
	ParityMemory int64

	// TempDir is where the temporary file is. Zero: os.TempDir().
	TempDir string

	// Priority is the object's weight among those that one Send sends. Zero: 1.
	Priority int

	// NoParity makes no parity: only data goes round. A receiver that lost a packet waits for that very one. Zero: there is parity.
	NoParity bool
}

// SendConfig says how objects are sent. The zero value sends for ever.
type SendConfig struct {
	// Turns is how often each object is sent, a turn being as many packets as it has data symbols. Zero: for ever.
	Turns int

	// Duration is how long all is sent. Zero: for ever.
	Duration time.Duration

	// ParityFirst begins with parity. Of two sources of one object one should: a turn long nothing is sent twice then. Zero: data first.
	ParityFirst bool

	// BlockByBlock sends a turn block after block, in place of a symbol of each by turns. It is for receivers that are there from the start, and
	// ask (Requests): each block is repaired and decoded while the next ones are sent, so that little is left to do when the turn is over. A
	// burst of losses meets one block then, and who comes in the middle, or is silent, may wait for two turns in place of one. Smaller blocks
	// (ObjectConfig.BlockSymbols) than by default suit it. Zero: by turns.
	BlockByBlock bool

	// RootInterval is how often each object is announced, with its manifest after it where that takes no more than a 20th of the packets.
	// At most 1 s; at low rates it is 1 s if more would be a burden. Zero: 200 ms.
	RootInterval time.Duration

	// Requests hears receivers that ask for their last symbols (Ask), and has Send answer them between the turns' packets, of objects that have parity. One Send
	// at a time may have it. Zero: nobody is heard.
	Requests *Requests

	// AnswerShare is the part of the packets that answers may take while there are turns to send, above 0 and below 1. Zero: 0.25.
	AnswerShare float64

	// AnswerMost bounds the symbols that wait to be sent as answers. Zero: 16384.
	AnswerMost int

	// AnswerWait is how long Send goes on announcing and answering after the last of Turns, and after the last request since; in all it sends as many
	// packets as answers then as it sent in turns at most. Negative: not at all. Zero: 5 s with Requests.
	AnswerWait time.Duration

	// Demand says whether anybody listens (package demand has one). While nobody does nothing is sent but the source's own SPMs; who comes then hears an
	// announcement at once. Duration goes on meanwhile. Nil: somebody always does.
	Demand Demand

	// Seed decides the places where the objects' first turns begin. Zero: they are random.
	Seed uint64
}

// Demand knows whether anybody wants what is sent.
type Demand interface {
	Wanted() bool
	// Wait returns nil when somebody does, or an error, which ends Send.
	Wait(ctx context.Context) error
}

// InboxConfig says what an Inbox takes. In each field zero means the default that its comment names.
type InboxConfig struct {
	// Accept says whether an object is wanted. It is called with the Inbox locked, and must not call its methods. Zero: every object is.
	Accept func(Root) bool

	// Count is how many objects Receive waits for. Negative: it goes on until its context or the source ends. Zero: 1.
	Count int

	// Replace lets an object replace a file of its name, at once. A directory is never replaced. Zero: what exists and differs is an error.
	Replace bool

	// NoSync does not wait until files are on the disk before they get their names: after a power cut they may be damaged. Zero: it waits.
	NoSync bool

	// MaxObjects bounds the objects that are known at once; of each up to 1.5 MiB of symbols wait in memory for the disk. Zero: 16.
	MaxObjects int
	// MaxBytes bounds an object, in bytes. Zero: 256 GiB.
	MaxBytes int64
	// MaxSymbols bounds an object's data symbols; each takes 2 bits of memory while its block is open. Zero: 2^28, 64 MiB of bitmaps.
	MaxSymbols int64
	// MaxBlocks bounds an object's blocks, of 50 bytes or so each. Zero: 65536.
	MaxBlocks int
	// MaxBlockBytes bounds a block, which is decoded in memory, in bytes. Zero: 64 MiB.
	MaxBlockBytes int64
	// MaxManifest bounds a manifest, in bytes; while it is taken apart it needs several times as much. Zero: 16 MiB.
	MaxManifest int
	// MaxFiles bounds an object's files and directories. Zero: 100,000.
	MaxFiles int
	// MaxOpenFiles bounds the files of one object that are open at once. Zero: 128.
	MaxOpenFiles int
	// EarlyBytes bounds the packets that are kept until the manifest of their object is there, in bytes. Negative: none. Zero: 16 MiB.
	EarlyBytes int

	// Logger hears of objects that come, are complete, and are refused. Nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultSymbolBytes  = 1408
	defaultParityMemory = 256 << 20
	defaultRootInterval = 200 * time.Millisecond
)

func (c *ObjectConfig) withDefaults() (r ObjectConfig, err error) {
	if c != nil {
		r = *c
	}
	or(&r.SymbolBytes, defaultSymbolBytes)
	or(&r.BlockSymbols, fec.MaxBulk)
	or(&r.ParityMemory, defaultParityMemory)
	if r.SymbolBytes < fec.BulkMultiple || r.SymbolBytes > maxSymbolBytes || r.SymbolBytes%fec.BulkMultiple != 0 {
		return r, fmt.Errorf("carousel: ObjectConfig: SymbolBytes is %d, want a multiple of %d up to %d", r.SymbolBytes, fec.BulkMultiple, maxSymbolBytes)
	}
	if r.BlockSymbols < 1 || r.BlockSymbols > fec.MaxBulk {
		return r, fmt.Errorf("carousel: ObjectConfig: BlockSymbols is %d, want 1 to %d", r.BlockSymbols, fec.MaxBulk)
	}
	return r, nil
}

func (c *SendConfig) withDefaults() (r SendConfig, err error) {
	if c != nil {
		r = *c
	}
	or(&r.RootInterval, defaultRootInterval)
	if r.RootInterval < 0 || r.RootInterval > time.Second {
		return r, fmt.Errorf("carousel: SendConfig: RootInterval is %v, want up to 1s", r.RootInterval)
	}
	or(&r.AnswerShare, 0.25)
	or(&r.AnswerMost, 16384)
	or(&r.AnswerWait, 5*time.Second)
	if !(r.AnswerShare > 0 && r.AnswerShare < 1) {
		return r, fmt.Errorf("carousel: SendConfig: AnswerShare is %v, want above 0 and below 1", r.AnswerShare)
	}
	if r.AnswerMost < 0 {
		return r, fmt.Errorf("carousel: SendConfig: AnswerMost is %d, want none negative", r.AnswerMost)
	}
	if r.Turns < 0 || r.Duration < 0 {
		return r, fmt.Errorf("carousel: SendConfig: Turns is %d and Duration %v, want neither negative", r.Turns, r.Duration)
	}
	return r, nil
}

func (c *InboxConfig) withDefaults() (r InboxConfig, err error) {
	if c != nil {
		r = *c
	}
	or(&r.Count, 1)
	or(&r.MaxObjects, 16)
	or(&r.MaxBytes, 256<<30)
	or(&r.MaxSymbols, 1<<28)
	or(&r.MaxBlocks, 65536)
	or(&r.MaxBlockBytes, 64<<20)
	or(&r.MaxManifest, 16<<20)
	or(&r.MaxFiles, 100_000)
	or(&r.MaxOpenFiles, 128)
	or(&r.EarlyBytes, 16<<20)
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	if r.MaxObjects < 0 || r.MaxBytes < 0 || r.MaxSymbols < 0 || r.MaxBlocks < 0 || r.MaxBlockBytes < 0 || r.MaxManifest < 0 || r.MaxFiles < 0 || r.MaxOpenFiles < 0 {
		return r, fmt.Errorf("carousel: InboxConfig: a limit is negative")
	}
	if r.MaxBlocks > maxBlocks {
		return r, fmt.Errorf("carousel: InboxConfig: MaxBlocks is %d, want at most %d", r.MaxBlocks, maxBlocks)
	}
	return r, nil
}

func (c *InboxConfig) limits() limits {
	return limits{
		bytes: c.MaxBytes, manifest: c.MaxManifest, files: c.MaxFiles, blocks: c.MaxBlocks, symbols: c.MaxSymbols, blockBytes: c.MaxBlockBytes,
	}
}

// or sets *v to the default d if it is zero.
func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
