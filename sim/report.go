package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
)

// Reading is what one receiver's application read of one source, in order, for a Report.
type Reading struct {
	Receiver, Source string
	Parts            []ReadPart
	End              error // nil: none yet
}

// ReadPart is bytes that were read without a gap, or a gap.
type ReadPart struct {
	Bytes  int
	SHA256 string    // of them, the first 16 hexadecimal digits
	Lost   seq.Range // if Bytes is 0; counted from the source's first packet
	Reason session.LossReason
}

// Reader collects a Reading. It keeps none of the bytes.
type Reader struct {
	Reading
	Messages bool // boundaries count: each message is a part
	sum      hash.Hash
	bytes    int // that sum is of
}

// Read adds bytes read.
func (r *Reader) Read(b []byte) {
	if r.sum == nil {
		r.sum = sha256.New()
	}
	r.sum.Write(b)
	r.bytes += len(b)
	if r.Messages {
		r.flush()
	}
}

// Gap adds a loss report; first is the number of the source's first packet.
func (r *Reader) Gap(e *session.LossError, first seq.Num) {
	r.flush()
	span := seq.Range{From: seq.Num(e.Lost.From.Sub(first)), To: seq.Num(e.Lost.To.Sub(first))}
	if k := len(r.Parts) - 1; k >= 0 && r.Parts[k].Bytes == 0 && r.Parts[k].Lost.To == span.From && r.Parts[k].Reason == e.Reason {
		r.Parts[k].Lost.To = span.To // told in one piece or two: when it was known decides
		return
	}
	r.Parts = append(r.Parts, ReadPart{Lost: span, Reason: e.Reason})
}

// Finish adds the end.
func (r *Reader) Finish(err error) {
	r.flush()
	r.End = err
}

func (r *Reader) flush() {
	if r.bytes == 0 {
		return
	}
	r.Parts = append(r.Parts, ReadPart{Bytes: r.bytes, SHA256: hex.EncodeToString(r.sum.Sum(nil)[:8])})
	r.sum.Reset()
	r.bytes = 0
}

// String tells the reading in one line.
func (r *Reading) String() string {
	out := r.Receiver + " reads of " + r.Source + ":"
	for _, p := range r.Parts {
		if p.Bytes == 0 {
			out += fmt.Sprintf(" lost %v (%v)", p.Lost, p.Reason)
		} else {
			out += fmt.Sprintf(" %d bytes %s", p.Bytes, p.SHA256)
		}
		out += ","
	}
	var reset *session.ResetError
	switch {
	case r.End == nil:
		return out + " no end"
	case errors.As(r.End, &reset):
		return out + fmt.Sprintf(" reset with code %d", reset.Code)
	case errors.Is(r.End, io.EOF):
		return out + " EOF"
	}
	return out + " " + strings.TrimPrefix(r.End.Error(), "session: ")
}

// Report is what a scenario came to.
type Report struct {
	Readings []*Reader // by receiver, then source; only those with something in them
	Trace    []string  // packets sent and lost, in order; only with Run's trace
	Stats    Stats
}

// String tells all readings, a line each.
func (r *Report) String() string {
	var b strings.Builder
	for _, x := range r.Readings {
		b.WriteString(x.String() + "\n")
	}
	return b.String()
}
