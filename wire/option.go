package wire

import (
	"math/bits"
	"strconv"
)

// Option is the type of an option TLV (RFC 3208, 9).
type Option uint8

// The option types. OptPGMCCData and OptPGMCCFeedback are PGMCC's; OptPeer is our own; the others are the RFC's.
const (
	OptLength          Option = 0x00 // total length of all options, always first
	OptFragment        Option = 0x01
	OptNAKList         Option = 0x02
	OptJoin            Option = 0x03
	OptBackoffInterval Option = 0x04 // OPT_NAK_BO_IVL
	OptBackoffRange    Option = 0x05 // OPT_NAK_BO_RNG
	OptRedirect        Option = 0x07
	OptParityPRM       Option = 0x08
	OptParityGroup     Option = 0x09 // OPT_PARITY_GRP
	OptCurrTGSize      Option = 0x0A
	OptNBRUnreach      Option = 0x0B
	OptPathNLA         Option = 0x0C
	OptSYN             Option = 0x0D
	OptFIN             Option = 0x0E
	OptRST             Option = 0x0F
	OptCR              Option = 0x10 // congestion report
	OptCRQST           Option = 0x11 // congestion report request
	OptPGMCCData       Option = 0x12
	OptPGMCCFeedback   Option = 0x13
	OptPeer            Option = 0x22
	OptInvalid         Option = 0x7F // an option that a network element has made void
)

// Limits of the format.
const (
	MaxOptions = 16 // options in one packet, OPT_LENGTH not counted
	MaxNAKs    = 63 // numbers in one NAK or NCF: its own and the list's
)

// Bits of a TLV's first three bytes.
const (
	optEnd  = 0x80 // byte 0, E: the last option
	optType = 0x7f // byte 0
	optFEC  = 0x04 // byte 2, F: bytes 3 on are encoded by the parity code
)

type optionInfo struct {
	name  string
	bytes uint8 // of the whole TLV, 0 if it varies
}

var optionTable = [128]optionInfo{
	OptLength:          {"LENGTH", 4},
	OptFragment:        {"FRAGMENT", 16},
	OptNAKList:         {"NAK_LIST", 0},
	OptJoin:            {"JOIN", 8},
	OptBackoffInterval: {"NAK_BO_IVL", 12},
	OptBackoffRange:    {"NAK_BO_RNG", 12},
	OptRedirect:        {"REDIRECT", 0},
	OptParityPRM:       {"PARITY_PRM", 8},
	OptParityGroup:     {"PARITY_GRP", 8},
	OptCurrTGSize:      {"CURR_TGSIZE", 8},
	OptNBRUnreach:      {"NBR_UNREACH", 4},
	OptPathNLA:         {"PATH_NLA", 0},
	OptSYN:             {"SYN", 4},
	OptFIN:             {"FIN", 4},
	OptRST:             {"RST", 4},
	OptCR:              {"CR", 0},
	OptCRQST:           {"CRQST", 4},
	OptPGMCCData:       {"PGMCC_DATA", 0},
	OptPGMCCFeedback:   {"PGMCC_FEEDBACK", 0},
	OptPeer:            {"PEER", 0},
	OptInvalid:         {"INVALID", 0},
}

// String gives the RFC's name of the option, without its OPT_.
func (o Option) String() string {
	if o.known() {
		return optionTable[o].name
	}
	return "Option(" + strconv.Itoa(int(o)) + ")"
}

func (o Option) known() bool { return int(o) < len(optionTable) && optionTable[o].name != "" }

// OptionSet is a set of the options named above.
type OptionSet uint64

// bit maps the known options to different bits: all are below 63 but OptInvalid, which becomes 63.
func (o Option) bit() OptionSet { return 1 << (o & 63) }

// Has reports whether o is in the set.
func (s OptionSet) Has(o Option) bool { return s&o.bit() != 0 }

// With returns the set and the given options.
func (s OptionSet) With(options ...Option) OptionSet {
	for _, o := range options {
		s |= o.bit()
	}
	return s
}

func (s OptionSet) count() int { return bits.OnesCount64(uint64(s)) }

// first returns the option with the lowest number in a set that is not empty.
func (s OptionSet) first() Option {
	if i := bits.TrailingZeros64(uint64(s)); i < 63 {
		return Option(i)
	}
	return OptInvalid
}

const (
	// knownOptions are those that a set may hold: all of the above but OptLength.
	knownOptions = 1<<OptFragment | 1<<OptNAKList | 1<<OptJoin | 1<<OptBackoffInterval | 1<<OptBackoffRange | 1<<OptRedirect |
		1<<OptParityPRM | 1<<OptParityGroup | 1<<OptCurrTGSize | 1<<OptNBRUnreach | 1<<OptPathNLA | 1<<OptSYN | 1<<OptFIN |
		1<<OptRST | 1<<OptCR | 1<<OptCRQST | 1<<OptPGMCCData | 1<<OptPGMCCFeedback | 1<<OptPeer | OptionSet(1)<<63

	// networkOptions are those that network elements must look at (RFC 3208, 9: they come first and FlagNetwork says so).
	networkOptions = OptionSet(1<<OptNAKList | 1<<OptBackoffInterval | 1<<OptBackoffRange | 1<<OptRedirect | 1<<OptParityPRM |
		1<<OptCurrTGSize | 1<<OptNBRUnreach | 1<<OptPathNLA | 1<<OptCR | 1<<OptCRQST)
)

// network returns the members that are network-significant in a packet of type t.
func (s OptionSet) network(t Type) OptionSet {
	n := s & networkOptions
	if t == TypeODATA { // RFC 3208, 11: network elements do not look into ODATA
		n &^= 1 << OptCurrTGSize
	}
	return n
}
