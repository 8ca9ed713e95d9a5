package channel

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest name, in bytes.
const MaxName = 255

func checkName(name string) error {
	switch first, last := endRunes(name); {
	case name == "":
		return errors.New("channel: empty name")
	case len(name) > MaxName:
		return fmt.Errorf("channel: name of %d bytes: there may be %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("channel: name %+q is not UTF-8", name)
	case unicode.IsSpace(first) || unicode.IsSpace(last):
		return fmt.Errorf("channel: name %+q begins or ends with white space", name)
	}
	before := rune(0)
	for i, r := range name {
		if unseen(r) {
			return fmt.Errorf("channel: name %+q: %U at byte %d cannot be seen, or told from a space", name, r, i)
		}
		if never(r) || composes(before, r) {
			return fmt.Errorf("channel: name %+q: %U at byte %d: not in Unicode's form NFC", name, r, i)
		}
		before = r
	}
	return nil
}

func endRunes(s string) (first, last rune) {
	first, _ = utf8.DecodeRuneInString(s)
	last, _ = utf8.DecodeLastRuneInString(s)
	return first, last
}

// unseen reports whether the character leaves no mark, or a blank that looks like another: controls, direction marks, byte order marks, line
// separators, all spaces but U+0020. The two joiners may stay: some scripts, and emoji, cannot be written without.
func unseen(r rune) bool {
	const nonJoiner, joiner = 0x200c, 0x200d
	return r != ' ' && r != nonJoiner && r != joiner && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z)
}

// never reports whether NFC has another character in place of this one.
func never(r rune) bool {
	for i := 0; i < len(nfcNever); i += 2 {
		if r <= nfcNever[i+1] {
			return r >= nfcNever[i]
		}
	}
	return false
}

// composes reports whether NFC has one character in place of these two.
func composes(a, b rune) bool {
	const ( // Hangul syllables are computed: The Unicode Standard, 3.12
		firstL, lastL = 0x1100, 0x1112
		firstV, lastV = 0x1161, 0x1175
		firstT, lastT = 0x11a8, 0x11c2
		firstS, lastS = 0xac00, 0xd7a3
		perV          = 28 // syllables with the same L and V
	)
	switch {
	case b >= firstV && b <= lastV:
		return a >= firstL && a <= lastL
	case b >= firstT && b <= lastT:
		return a >= firstS && a <= lastS && (a-firstS)%perV == 0
	}
	return strings.ContainsRune(nfcComposes[b], a)
}
