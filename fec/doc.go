// Package fec is the place of forward error correction: parity packets that repair different losses at different receivers
// (RFC 3208, section 11).
//
// This version of the library repairs by replay alone. The package holds nothing but the [Config] that programs will set, so
// that package transport's Config keeps its shape when parity arrives; until then every setting but the zero value is refused
// by [Config.Validate], and with it by transport.Dial and transport.Listen.
package fec
