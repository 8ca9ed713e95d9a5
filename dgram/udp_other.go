//go:build unix && !linux && !darwin && !freebsd

package dgram

// tune has nothing to set that these systems have in common.
func (s *socket) tune() error { return nil }
