// Package fuzz holds the fuzz targets that cross floors: bytes as the network delivers them, decoded, handled by engines or by the
// whole transport, and read by an application. It has no code but tests; targets of one package stand in that package.
//
// README.md says which targets there are and how to run them for long: go run ./fuzz/campaign.
package fuzz
