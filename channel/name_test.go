package channel

import (
	"strings"
	"testing"
)

func TestNamesTaken(t *testing.T) {
	for _, name := range []string{
		"a", "example.com", "Example.com", "a b", "https://example.com/feed?x=1#y", "größe", "Ω", "ἀρχή", "Việt Nam", "й",
		"がぎ", "日本語", "한국어", "हिन्दी", "বাংলা", "தமிழ்", "മലയാളം", "ภาษาไทย", "می\u200cخواهم", "👩\u200d🚀", "x\u0301", "\ue000",
		strings.Repeat("a", MaxName), strings.Repeat("ß", MaxName/2),
	} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNamesRefused(t *testing.T) {
	const nfc, seen = "form NFC", "cannot be seen"
	for name, want := range map[string]string{
		"":                             "empty",
		strings.Repeat("a", MaxName+1): "256 bytes",
		strings.Repeat("ß", 128):       "256 bytes",
		"a\xff":                        "not UTF-8",
		"\xed\xa0\x80":                 "not UTF-8", // half of a surrogate pair
		" a":                           "white space",
		"a ":                           "white space",
		"a\n":                          "white space",
		"\u3000a":                      "white space",
		"a\x00b":                       seen,
		"a\tb":                         seen,
		"a\x7fb":                       seen,
		"a\u0085b":                     seen,
		"\ufeffa":                      seen, // byte order mark
		"a\u200bb":                     seen, // zero width space
		"a\u202eb":                     seen, // right to left from here
		"so\u00adft":                   seen,
		"a\u00a0b":                     seen, // no-break space
		"a\u3000b":                     seen,
		"a\u2028b":                     seen,
		"gro\u0308ße":                  nfc,
		"e\u0301":                      nfc,
		"Vie\u0323\u0302t":             nfc,
		"\u0438\u0306":                 nfc,
		"\u304b\u3099":                 nfc, // ga as ka and voicing mark
		"\u1112\u1161\u11ab":           nfc, // Hangul as jamo
		"\uac00\u11a8":                 nfc, // a syllable and the consonant that ends it
		"\u0928\u093c":                 nfc,
		"\u0bc6\u0bbe":                 nfc,
		"\u2126":                       nfc, // ohm, which is omega
		"\u212b":                       nfc, // angstrom
		"\u0958":                       nfc,
		"\uf900":                       nfc, // a compatibility ideograph
		"\U0002fa1d":                   nfc, // the last of them
	} {
		if err := checkName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", name, err, want)
		}
	}
}

// The tables are those of Unicode 14: what they hold, counted; and in order, on which never depends.
func TestTables(t *testing.T) {
	replaced := 0
	for i := 0; i < len(nfcNever); i += 2 {
		first, last := nfcNever[i], nfcNever[i+1]
		if last < first || i > 0 && first <= nfcNever[i-1] {
			t.Errorf("range %U to %U is out of order", first, last)
		}
		replaced += int(last-first) + 1
	}
	pairs := 0
	for mark, letters := range nfcComposes {
		for _, letter := range letters {
			pairs++
			if !composes(letter, mark) || composes(mark, letter) && mark != letter || never(letter) || never(mark) {
				t.Errorf("%U with %U", letter, mark)
			}
		}
	}
	if replaced != 1120 || pairs != 941 {
		t.Errorf("%d characters that NFC replaces, %d pairs that it composes, want 1120 and 941", replaced, pairs)
	}
}
