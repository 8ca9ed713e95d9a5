// Package invariant says whether costly self-checks run.
//
// Cheap checks of a package's invariants are always on. Those that walk a whole window, queue or table stand under
//
//	if invariant.Enabled {
//		w.check()
//	}
//
// Enabled is a constant, so that the compiler removes them from ordinary builds. It is true in builds with the tag
// invariants and in those of the race detector.
package invariant
