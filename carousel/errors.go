package carousel

import "errors"

var (
	// ErrChanged is returned when a file that is being sent is not any more what it was when its Object was made.
	ErrChanged = errors.New("carousel: file has changed")
	// ErrSpecial is returned for what is neither a regular file nor a directory.
	ErrSpecial = errors.New("carousel: not a regular file or directory")
	// ErrIncomplete is returned by Receive when the source ended before all was received. Another Receive, from another source, goes on with the same Inbox.
	ErrIncomplete = errors.New("carousel: the source ended and objects are incomplete")
)
