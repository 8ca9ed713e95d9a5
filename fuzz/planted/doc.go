// Package planted proves that the tests find what they are for. Each of its diffs puts one bug into the library, and the tests
// of the packages that the diff names must fail for it within a minute.
//
//	go test ./fuzz/planted                                                       the diffs apply, and the bugs compile
//	go test -count=1 -v -tags planted -timeout 30m -run Planted ./fuzz/planted           each bug is found, and by whom
//	go test -count=1 -v -tags planted -timeout 30m -run Planted ./fuzz/planted -every    and by whom else
//
// A diff begins with lines that start with #: what the bug breaks, and last "Packages:" with the directories whose tests must
// each see it. The rest is a unified diff, which git apply takes too. Its line numbers are hints only: the lines of
// context and those taken away must stand in the file exactly once, letter by letter. A diff that no longer applies fails
// the test: plant the same bug in the code as it is now.
//
// The tree itself is never touched: go test -overlay reads the changed files from a temporary directory. A test that is not
// built, hangs, or merely compares everything with a recorded hash has found nothing.
package planted
