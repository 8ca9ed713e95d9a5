package demand

import (
	"encoding/binary"
	"errors"

	"github.com/rmcast/rmcast/internal/aside"
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

// listen hears messages in a group: hear is called with each, bad where one is none, and failed if nothing can be heard any more.
func listen(network, group string, c *Config, hear func(k kind, who uint64), bad func(), failed func(error)) (*aside.Ear, error) {
	return aside.Listen(network, group, c.session(group), messageBytes, func(b []byte) {
		if k, who, err := parseMessage(b); err != nil {
			bad()
		} else {
			hear(k, who)
		}
	}, failed)
}
