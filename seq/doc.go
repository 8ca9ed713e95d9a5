// Package seq holds sequence numbers of PGM (RFC 3208): 32-bit serial numbers that wrap, ordered as RFC 1982 says, and
// half-open ranges of them.
//
// It knows nothing about packets. Two numbers compare rightly while they are less than 2^31 apart, which TXW_SQNS ≤ 2^31-1
// guarantees for members of one window (RFC 3208, 5.1.1).
package seq
