package demand

import (
	"encoding/binary"
	"errors"
)

// kind is what a message says.
type kind uint8

const (
	want  kind = 1
	leave kind = 2
)

const (
	messageBytes = 12
	messageMagic = 0x7277 // "rw"
)

var errMessage = errors.New("demand: not a message of interest")

// appendMessage appends a message: magic, kind, a zero, and who says so, a random number.
func appendMessage(b []byte, k kind, who uint64) []byte {
	b = binary.BigEndian.AppendUint16(b, messageMagic)
	b = append(b, byte(k), 0)
	return binary.BigEndian.AppendUint64(b, who)
}

func parseMessage(b []byte) (k kind, who uint64, err error) {
	if len(b) != messageBytes || binary.BigEndian.Uint16(b) != messageMagic || b[3] != 0 || kind(b[2]) != want && kind(b[2]) != leave {
		return 0, 0, errMessage
	}
	return kind(b[2]), binary.BigEndian.Uint64(b[4:]), nil
}
