//go:build !linux

package dgram

import "testing"

func enterNamespace(t testing.TB) {
	t.Helper()
	t.Skip("needs Linux: no other system has network namespaces")
}
