package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"time"
)

// console reads what a guest says, line by line, and passes on what is not about itself.
type console struct {
	nonce   string
	out     io.Writer
	all     bool   // pass on also what comes before the first line and after the last
	up, end func() // called at the first and the last line

	isUp, isEnded bool
	code          int // valid when isEnded
	since         time.Time
	clock, wall   time.Duration // from the first line to the last, by the guest's clock and by ours
	noTests       bool          // go test found nothing to run, which is no error to it
	before        tail          // what came before the first line
}

// noTestsLine is what a test program prints whose -test.run fits nothing.
var noTestsLine = []byte("testing: warning: no tests to run")

// read reads to the end of r. The error is that of a write; reading goes on all the same, or the guest would block.
func (c *console) read(r io.Reader) (werr error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && !c.marker(line) {
			line = append(bytes.TrimRight(line, "\r\n"), '\n')
			c.noTests = c.noTests || bytes.HasPrefix(line, noTestsLine)
			if !c.isUp {
				c.before.Write(line)
			}
			if (c.isUp && !c.isEnded || c.all) && werr == nil {
				_, werr = c.out.Write(line)
			}
		}
		if err != nil { // the end, or qemu was killed: what has come so far counts
			return werr
		}
	}
}

// marker takes a line that the guest says about itself.
func (c *console) marker(line []byte) bool {
	s := parseMarker(string(line), c.nonce)
	switch s.what {
	case "up":
		c.isUp, c.since = true, time.Now()
		c.up()
	case "exit":
		c.isEnded, c.code = true, s.code
		c.clock, c.wall = s.after, time.Since(c.since)
		c.end()
	}
	return s.what != ""
}

// wrongClock returns an error if the guest's clock was not the time's: what was measured there is worth nothing then.
func (c *console) wrongClock() error {
	if d := (c.clock - c.wall).Abs(); d > c.wall/10+time.Second {
		return fmt.Errorf("the guest's clock went %v in %v", c.clock, c.wall)
	}
	return nil
}
