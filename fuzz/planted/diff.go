package planted

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A bug is one diff: what it breaks, who must see it, and what it changes.
type bug struct {
	text     string   // the header's sentence
	packages []string // directories below the root of the module, as "nack"
	files    []change
}

// A change is what a diff does to one file.
type change struct {
	path  string // below the root of the module, with slashes
	hunks []hunk
}

// A hunk takes the lines of before away and puts those of after in their place.
type hunk struct {
	before, after []string
}

const packagesWord = "Packages:"

// parse reads a diff. Anything it does not know is an error.
func parse(text string) (*bug, error) {
	b := &bug{}
	body, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return nil, fmt.Errorf("the last line does not end")
	}
	lines, i := strings.Split(body, "\n"), 0
	for ; i < len(lines) && strings.HasPrefix(lines[i], "#") && len(b.packages) == 0; i++ {
		word := strings.TrimSpace(lines[i][1:])
		if list, ok := strings.CutPrefix(word, packagesWord); ok {
			b.packages = strings.Fields(list)
			continue
		}
		b.text = strings.TrimSpace(b.text + " " + word)
	}
	if b.text == "" || len(b.packages) == 0 {
		return nil, fmt.Errorf("the header must say what breaks, and then %q who sees it", packagesWord)
	}
	for _, dir := range b.packages {
		if !filepath.IsLocal(dir) || path.Clean(dir) != dir {
			return nil, fmt.Errorf("%q is no directory below the root", dir)
		}
	}
	for i < len(lines) {
		c, used, err := parseFile(lines[i:])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1+used, err)
		}
		if slices.ContainsFunc(b.files, func(other change) bool { return other.path == c.path }) {
			return nil, fmt.Errorf("line %d: %s a second time", i+1, c.path)
		}
		b.files = append(b.files, c)
		i += used
	}
	if len(b.files) == 0 {
		return nil, fmt.Errorf("no file is changed")
	}
	return b, nil
}

// parseFile reads the part of one file and returns how many lines it took; with an error, where that is.
func parseFile(lines []string) (c change, used int, err error) {
	from, ok := strings.CutPrefix(lines[0], "--- a/")
	if !ok {
		return c, 0, fmt.Errorf("%q, want --- a/ and a file", lines[0])
	}
	if len(lines) < 2 || lines[1] != "+++ b/"+from {
		return c, 1, fmt.Errorf("want +++ b/%s", from)
	}
	if !filepath.IsLocal(from) || path.Clean(from) != from || path.Ext(from) != ".go" || strings.HasSuffix(from, "_test.go") {
		return c, 0, fmt.Errorf("%q is no Go file of the library", from)
	}
	c.path, used = from, 2
	for used < len(lines) && strings.HasPrefix(lines[used], "@@") {
		h, n, err := parseHunk(lines[used:])
		if used += n; err != nil {
			return c, used, err
		}
		c.hunks = append(c.hunks, h)
	}
	if len(c.hunks) == 0 {
		return c, used, fmt.Errorf("%s is not changed", from)
	}
	return c, used, nil
}

var hunkHead = regexp.MustCompile(`^@@ -[0-9]+(?:,([0-9]+))? \+[0-9]+(?:,([0-9]+))? @@(?: .*)?$`)

// parseHunk is parseFile for one hunk.
func parseHunk(lines []string) (h hunk, used int, err error) {
	head := hunkHead.FindStringSubmatch(lines[0])
	if head == nil {
		return h, 0, fmt.Errorf("%q is no head of a hunk", lines[0])
	}
	before, after := count(head[1]), count(head[2])
	for used = 1; len(h.before) < before || len(h.after) < after; used++ {
		if used == len(lines) || lines[used] == "" {
			return h, used, fmt.Errorf("the hunk ends after %d and %d lines of %d and %d", len(h.before), len(h.after), before, after)
		}
		mark, line := lines[used][0], lines[used][1:]
		switch mark {
		case ' ':
			h.before, h.after = append(h.before, line), append(h.after, line)
		case '-':
			h.before = append(h.before, line)
		case '+':
			h.after = append(h.after, line)
		default:
			return h, used, fmt.Errorf("%q in a hunk", lines[used])
		}
	}
	switch {
	case len(h.before) != before || len(h.after) != after:
		return h, used, fmt.Errorf("the hunk has %d and %d lines, not %d and %d", len(h.before), len(h.after), before, after)
	case before == 0:
		return h, used, fmt.Errorf("a hunk without a line to be found by")
	case slices.Equal(h.before, h.after):
		return h, used, fmt.Errorf("the hunk changes nothing")
	}
	return h, used, nil
}

// count is a number of lines in a hunk's head, where 1 may be left out.
func count(s string) int {
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1 // too large for any file
	}
	return n
}

// apply returns src as c changes it.
func (c change) apply(src string) (string, error) {
	lines := strings.SplitAfter(src, "\n")
	var out strings.Builder
	done := 0
	for i, h := range c.hunks {
		at, err := h.find(lines)
		if err != nil {
			return "", fmt.Errorf("%s, hunk %d: %w", c.path, i+1, err)
		}
		if at < done {
			return "", fmt.Errorf("%s, hunk %d stands before the end of the hunk before", c.path, i+1)
		}
		for _, line := range lines[done:at] {
			out.WriteString(line)
		}
		for _, line := range h.after {
			out.WriteString(line + "\n")
		}
		done = at + len(h.before)
	}
	for _, line := range lines[done:] {
		out.WriteString(line)
	}
	return out.String(), nil
}

// find returns where the lines of before stand; they must do so once.
func (h hunk) find(lines []string) (int, error) {
	found := -1
	for at := 0; at+len(h.before) <= len(lines); at++ {
		if !h.matches(lines[at:]) {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("its lines stand in the file twice, at %d and %d", found+1, at+1)
		}
		found = at
	}
	if found < 0 {
		return 0, fmt.Errorf("its lines do not stand in the file: %q", h.before)
	}
	return found, nil
}

func (h hunk) matches(lines []string) bool {
	for i, want := range h.before {
		if lines[i] != want+"\n" {
			return false
		}
	}
	return true
}
