// Package gate holds the condition that blocking calls of package transport wait for.
//
// A [Gate] joins two things that a Read or a Write needs: the turn, which one caller at a time has, and a signal that says
// "look again". Both are channels, so every wait can be ended by a [Deadline], a context or [Gate.Close], and testing/synctest
// sees each of them as durably blocked. A mutex with a condition variable could do neither.
//
// The calling order is
//
//	g.Enter(ctx, d)             // wait for the turn
//	for !state.ready() {        // look, under the lock that guards the state
//		g.Wait(ctx, d)      // sleep until somebody called Set
//	}
//	g.Leave()
//
// and whoever changes the state calls [Gate.Set] afterwards, with or without that lock: Set never blocks. A signal given
// between looking and waiting is kept, so none is lost; one signal may stand for many changes, and a waiter may be woken
// for nothing, hence the loop.
//
// A gate is not a lock for the state it speaks about, and not fair between callers of Enter.
package gate
