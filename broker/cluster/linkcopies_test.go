package cluster

import (
	"fmt"
	"testing"
)

// Who has published nothing between two looks is forgotten, so runs of nodes
// that have ended cost nothing. Nobody else is.
func TestNumbersOfNodesThatAreGone(t *testing.T) {
	n := numbers{last: make(map[string]*published)}
	for run := range 10_000 {
		if node := fmt.Sprintf("%012d", run); n.copied(node, 1) || !n.copied(node, 1) {
			t.Fatal("a copy is what comes twice")
		}
		if run%10 == 9 {
			n.look()
		}
		if n.copied(nodeA, uint64(run+1)) {
			t.Fatal("a new number is taken for a copy")
		}
		if len(n.last) > 30 {
			t.Fatalf("%d nodes are known after %d runs", len(n.last), run)
		}
	}
	n.look() // marks it: it may have been stopped since
	if !n.copied(nodeA, 10_000) {
		t.Error("a copy was not recognised after a look")
	}
	n.look()
	n.look()
	if len(n.last) > 0 {
		t.Errorf("%d nodes are known", len(n.last))
	}
}
