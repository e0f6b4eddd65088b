package cluster

import "sync/atomic"

// rememberBeats is how many heart-beats pass between two looks at who has
// published.
const rememberBeats = 60

// numbers recognises copies. Where several interests match, the server sends a
// copy for each: those of one node come in the order of their numbers, so a
// number that is not above the last one is a copy.
//
// It knows the nodes that have published since the look before the last. Copies
// come in a row, so who has published nothing for so long is forgotten without
// harm: a node gets a new id with each run, and its old ones must not stay for
// ever. Looks are counted rather than time, because a process that was stopped
// for an hour must still recognise the copy that it reads first. One goroutine
// calls the methods.
type numbers struct {
	last map[string]*published
	size atomic.Int64 // of last
}

type published struct {
	number uint64
	idle   bool // nothing has come since the last look
}

// copied reports whether a number of a node has come before.
func (n *numbers) copied(node string, number uint64) bool {
	p := n.last[node]
	if p == nil {
		p = new(published)
		n.last[node] = p
		n.size.Add(1)
	}
	p.idle = false
	if number <= p.number {
		return true
	}
	p.number = number
	return false
}

// look forgets who has published nothing since the last look.
func (n *numbers) look() {
	for node, p := range n.last {
		if p.idle {
			delete(n.last, node)
			n.size.Add(-1)
		}
		p.idle = true
	}
}
