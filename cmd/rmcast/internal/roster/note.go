package roster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
)

// What a member does.
const (
	Wait = "wait" // for others
	Get  = "get"  // receives, or sends
	Done = "done" // has everything, verified
	Fail = "fail" // has given up: Why
)

// Note is what a member says of itself.
type Note struct {
	ID      string  `json:"id"`            // drawn by the member when it joins
	Seq     int64   `json:"seq"`           // counts its notes from 0
	Host    string  `json:"host"`          // the machine's name
	Role    string  `json:"role"`          // the command: send, loop, recv, …
	State   string  `json:"state"`         // Wait, Get, …
	What    string  `json:"what"`          // what is sent or received, for people
	Place   string  `json:"at,omitempty"`  // a receiver's: tells its directory from others of its machine
	Objects int     `json:"n,omitempty"`   // a sender's: how many there are
	Bytes   int64   `json:"b,omitempty"`   // in all
	Have    float64 `json:"h,omitempty"`   // a receiver's: which part it has, 0 to 1
	Loss    float64 `json:"l,omitempty"`   // which part of the packets it missed at first, 0 to 1
	Why     string  `json:"why,omitempty"` // of Fail
	Left    bool    `json:"left,omitempty"`
	Ping    *Ping   `json:"ping,omitempty"`
	Pongs   []Pong  `json:"pong,omitempty"`
}

// Ping asks all who hear it for a Pong.
type Ping struct {
	N  int64 `json:"n"` // from 1
	At int64 `json:"t"` // on the asker's clock, µs
}

// Pong answers the last Ping of a member.
type Pong struct {
	To   string `json:"to"`
	N    int64  `json:"n"`
	At   int64  `json:"t"`   // as it came
	Held int64  `json:"w"`   // how long the answer waited, µs
	Got  int64  `json:"got"` // how many of the asker's pings came, this one included
	From int64  `json:"1st"` // the number of the first that did
}

const (
	// MaxNote bounds a note, in bytes.
	MaxNote  = 1200
	maxText  = 64
	maxPongs = 4
)

// append writes the note; it fits MaxNote.
func (n *Note) append() []byte {
	short := *n
	for _, s := range []*string{&short.Host, &short.What, &short.Why, &short.Role, &short.State, &short.Place} {
		*s = cut(*s)
	}
	if len(short.Pongs) > maxPongs {
		short.Pongs = short.Pongs[:maxPongs]
	}
	b, err := json.Marshal(short)
	if err != nil || len(b) > MaxNote {
		panic(fmt.Sprintf("BUG: roster: a note of %d bytes: %v", len(b), err))
	}
	return b
}

// cut makes text short, and free of what JSON writes long.
func cut(s string) string {
	s = human.Clean(strings.NewReplacer("<", "(", ">", ")", "&", "+", `"`, "'", `\`, "/").Replace(s))
	for len(s) > maxText {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return s
}

var errNote = errors.New("roster: not a note")

// parse reads a note and refuses what no member of this version says.
func parse(b []byte) (*Note, error) {
	if len(b) > MaxNote {
		return nil, errNote
	}
	n := &Note{}
	if err := json.Unmarshal(b, n); err != nil {
		return nil, errNote
	}
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	if n.Seq < 0 || n.Objects < 0 || n.Bytes < 0 || !share(n.Have) || !share(n.Loss) || len(n.Pongs) > maxPongs || len(n.Role) > 16 || len(n.State) > 16 || len(n.Place) > 16 {
		return nil, errNote
	}
	if !isID(n.ID) || slices.ContainsFunc(n.Pongs, func(p Pong) bool { return !isID(p.To) }) {
		return nil, errNote
	}
	for _, s := range []*string{&n.Host, &n.Role, &n.State, &n.What, &n.Why, &n.Place} {
		*s = human.Clean(*s)
	}
	return n, nil
}

// isID reports whether s is as members draw it.
func isID(s string) bool { return len(s) == idLength && strings.Trim(s, "0123456789abcdef") == "" }
