//go:build !race

package broker

import "testing"

// The race detector allocates more.
func TestSessionIDAllocations(t *testing.T) {
	node := newNodeID()
	if n := testing.AllocsPerRun(100, func() { newSessionID(node) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
