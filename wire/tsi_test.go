package wire

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestNewGSI(t *testing.T) {
	if got, want := NewGSI("pgm-facts"), GSI(fromHex("c3ecdea780fd")); got != want {
		t.Errorf("NewGSI = %x, want %x", got, want)
	}
}

func TestTSIText(t *testing.T) {
	tsi := TSI{GSI{195, 206, 205, 234, 128, 253}, 1000}
	if got, want := tsi.String(), "195.206.205.234.128.253.1000"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
	if got, want := tsi.GSI.String(), "195.206.205.234.128.253"; got != want {
		t.Errorf("GSI = %q, want %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := TSI{GSI(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "gsi")), rapid.Uint16().Draw(t, "port")}
		b, err := json.Marshal(map[TSI]TSI{want: want}) // as a key and as a value
		var got map[TSI]TSI
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil || len(got) != 1 || got[want] != want {
			t.Fatalf("%s became %v (%v)", b, got, err)
		}
	})
}

func TestParseTSIRefuses(t *testing.T) {
	for _, s := range []string{
		"", "1", "1.2.3.4.5.6", "1.2.3.4.5.6.", "1.2.3.4.5.6.65536", "256.2.3.4.5.6.7", "1.2.3.4.5.6.7.8", "-1.2.3.4.5.6.7",
		"1.2.3.4.5.6.+7", "1.2.3.4.5.6. 7", "a.2.3.4.5.6.7", ".......",
	} {
		got := TSI{Port: 9}
		if err := got.UnmarshalText([]byte(s)); err == nil || got != (TSI{Port: 9}) {
			t.Errorf("%q: %v (%v)", s, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{TypeODATA.String(), "ODATA"}, {Type(3).String(), "Type(3)"}, {Type(200).String(), "Type(200)"},
		{OptNAKList.String(), "NAK_LIST"}, {Option(6).String(), "Option(6)"}, {Option(0xff).String(), "Option(255)"},
		{ErrChecksum.Error(), "wire: wrong checksum"}, {DecodeError(200).Error(), "wire: unknown decode error"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
