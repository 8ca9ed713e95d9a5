package planted

import (
	"strings"
	"testing"
)

const example = `# The answer is wrong.
# Packages: a b/c
--- a/a/x.go
+++ b/a/x.go
@@ -2,3 +2,3 @@ func answer
 	// two and two
-	return 4
+	return 5
 }
@@ -9 +9,2 @@
 last
+more
`

const exampleSource = "package a\n\t// two and two\n\treturn 4\n}\n\nlast\n"

func TestApply(t *testing.T) {
	b, err := parse(example)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.packages, " "); b.text != "The answer is wrong." || got != "a b/c" || len(b.files) != 1 || b.files[0].path != "a/x.go" {
		t.Fatalf("got %+v", b)
	}
	got, err := b.files[0].apply(exampleSource)
	if want := "package a\n\t// two and two\n\treturn 5\n}\n\nlast\nmore\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	// The same lines elsewhere: numbers of lines are only hints.
	got, err = b.files[0].apply("\n\n" + exampleSource)
	if want := "\n\npackage a\n\t// two and two\n\treturn 5\n}\n\nlast\nmore\n"; err != nil || got != want {
		t.Errorf("two lines on: got %q, %v, want %q", got, err, want)
	}
}

// What no longer fits is an error, however near it is.
func TestApplyRefuses(t *testing.T) {
	b, err := parse(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, source string }{
		{"empty file", ""},
		{"another line", strings.Replace(exampleSource, "return 4", "return 2+2", 1)},
		{"another context", strings.Replace(exampleSource, "two and two", "two  and two", 1)},
		{"space at the end", strings.Replace(exampleSource, "return 4\n", "return 4 \n", 1)},
		{"carriage returns", strings.ReplaceAll(exampleSource, "\n", "\r\n")},
		{"applied already", strings.Replace(exampleSource, "return 4", "return 5", 1)},
		{"twice there", exampleSource + "\t// two and two\n\treturn 4\n}\n"},
		{"without the second", strings.Replace(exampleSource, "last", "first", 1)},
		{"in another order", "last\n" + strings.Replace(exampleSource, "last\n", "", 1)},
		{"a last line without an end", strings.TrimSuffix(exampleSource, "\n")},
	} {
		if got, err := b.files[0].apply(c.source); err == nil {
			t.Errorf("%s: applied, giving %q", c.name, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	edit := func(old, new string) string {
		if !strings.Contains(example, old) {
			t.Fatalf("%q is not in the example", old)
		}
		return strings.Replace(example, old, new, 1)
	}
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no header", edit("# The answer is wrong.\n# Packages: a b/c\n", "")},
		{"no sentence", edit("# The answer is wrong.\n", "")},
		{"no packages", edit("# Packages: a b/c\n", "")},
		{"an empty list of packages", edit(": a b/c", ":")},
		{"a package elsewhere", edit(": a b/c", ": ../a")},
		{"header only", "# The answer is wrong.\n# Packages: a\n"},
		{"prose after the header", edit("--- a/a/x.go", "prose\n--- a/a/x.go")},
		{"no +++", edit("+++ b/a/x.go\n", "")},
		{"another name", edit("+++ b/a/x.go", "+++ b/a/y.go")},
		{"a file elsewhere", strings.ReplaceAll(example, "a/x.go", "../x.go")},
		{"a test", strings.ReplaceAll(example, "a/x.go", "a/x_test.go")},
		{"no Go", strings.ReplaceAll(example, "a/x.go", "a/x.txt")},
		{"a file twice", example + "--- a/a/x.go\n+++ b/a/x.go\n@@ -1 +1 @@\n-a\n+b\n"},
		{"no hunk", "# Wrong.\n# Packages: a\n--- a/a/x.go\n+++ b/a/x.go\n"},
		{"a broken head", edit("@@ -2,3 +2,3 @@", "@@ -2,3 @@")},
		{"a huge count", edit("@@ -2,3", "@@ -2,99999999999999999999")},
		{"too few lines", edit(" }\n", "")},
		{"too many lines", edit(" }\n", " }\n }\n")},
		{"an empty line", edit(" }\n", "\n")},
		{"an unknown mark", edit(" }\n", "*}\n")},
		{"no change", edit("-\treturn 4\n+\treturn 5\n", " \treturn 4\n")},
		{"a change to the same", edit("+\treturn 5\n", "+\treturn 4\n")},
		{"nothing to be found by", edit("@@ -9 +9,2 @@\n last\n", "@@ -9,0 +9,1 @@\n")},
		{"no end", strings.TrimSuffix(example, "\n")},
		{"text behind", example + "and so on\n"},
	} {
		if b, err := parse(c.text); err == nil {
			t.Errorf("%s: taken as %+v", c.name, b)
		}
	}
}
