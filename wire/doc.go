// Package wire reads and writes PGM packets (RFC 3208).
package wire
