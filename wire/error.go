package wire

// DecodeError says why Decode refused a packet. Values are comparable with == and errors.Is, and cost no allocation.
type DecodeError uint8

// What Decode refuses.
const (
	ErrTruncated    DecodeError = iota + 1 // shorter than the header or the fixed fields of its type
	ErrVersion                             // version bits that are not 0
	ErrType                                // a type that does not exist, or reserved bits beside it
	ErrChecksum                            // the checksum is wrong
	ErrNoChecksum                          // a data packet without a checksum
	ErrAFI                                 // an address that is neither IPv4 nor IPv6
	ErrOptLength                           // options that do not begin with a sound OPT_LENGTH
	ErrOptionTotal                         // OPT_LENGTH reaches past the packet
	ErrOptionShort                         // an option shorter than 4 bytes
	ErrOptionBounds                        // an option that reaches past OPT_LENGTH's total
	ErrOptionCount                         // more than MaxOptions options
	ErrOptionEnd                           // no option has the end bit
	ErrOptionSize                          // an option of a length its type cannot have
	ErrTSDULength                          // TSDU length differs from what follows the header and the options
	ErrTSDU                                // user data in a packet that carries none
)

// DecodeErrors is one more than the largest DecodeError: the size of a table of counters by reason.
const DecodeErrors = int(ErrTSDU) + 1

var decodeErrors = [DecodeErrors]string{
	0:               "no error",
	ErrTruncated:    "packet is truncated",
	ErrVersion:      "unknown version",
	ErrType:         "unknown packet type",
	ErrChecksum:     "wrong checksum",
	ErrNoChecksum:   "data packet without checksum",
	ErrAFI:          "unknown address family",
	ErrOptLength:    "options without a sound OPT_LENGTH",
	ErrOptionTotal:  "options past the end of the packet",
	ErrOptionShort:  "option shorter than 4 bytes",
	ErrOptionBounds: "option past the total of OPT_LENGTH",
	ErrOptionCount:  "more than 16 options",
	ErrOptionEnd:    "options without an end",
	ErrOptionSize:   "option of a wrong length",
	ErrTSDULength:   "TSDU length does not match the packet",
	ErrTSDU:         "user data in a control packet",
}

// Error gives the reason.
func (e DecodeError) Error() string {
	if int(e) < DecodeErrors {
		return "wire: " + decodeErrors[e]
	}
	return "wire: unknown decode error"
}
