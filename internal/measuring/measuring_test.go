package measuring

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestList(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  []int
	}{
		{[]string{"8"}, []int{8}},
		{[]string{"8,1, 4,8"}, []int{8, 1, 4}},
		{[]string{"8,1", "2"}, []int{2}},
		{[]string{"8,"}, nil},
		{[]string{""}, nil},
	} {
		got := []int{7}
		read := List(&got, strconv.Atoi)
		var err error
		for _, f := range c.flags {
			err = read(f)
		}
		if (err == nil) != (c.want != nil) || err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v, want %v", c.flags, got, err, c.want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	one, two, bad := file("one", "[1, 2]"), file("two", "[3]"), file("bad", "{}")
	if got, err := Load[int](one + "," + two); err != nil || !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, files := range []string{"", dir + "/none", one + "," + bad} {
		if got, err := Load[int](files); err == nil {
			t.Errorf("%q: %v and no error", files, got)
		}
	}
}

func TestFinding(t *testing.T) {
	for _, c := range []struct {
		got   float64
		holds bool
		text  string
	}{{2.99, true, "ok    things 2.99 ms, at most 3 ms"}, {3, true, "ok    things 3 ms, at most 3 ms"}, {3.1, false, "FAILS things 3.1 ms, at most 3 ms"}} {
		if f := AtMost("things", c.got, 3, " ms"); f.Holds() != c.holds || f.String() != c.text {
			t.Errorf("%v: %v, %q", c.got, f.Holds(), f)
		}
	}
	for got, want := range map[float64]string{3: "ok    things 3 ms, at least 3 ms", 2.9: "FAILS things 2.9 ms, at least 3 ms"} {
		if f := AtLeast("things", got, 3, " ms"); f.Holds() != (got == 3) || f.String() != want {
			t.Errorf("%v: %v, %q", got, f.Holds(), f)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.004: "0", 1: "1", 1.234: "1.23", 9.5: "9.5", 12.04: "12", 12.34: "12.3", 1234.4: "1234"} {
		if got := Short(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
