package store

import "container/heap"

// dueEntry is a message that expires. It stays in the heap until it is due, also
// if it is removed before, unless the heap is compacted.
type dueEntry struct {
	at       int64 // Unix milliseconds
	queue    *ledgerQueue
	sequence uint64
}

type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueEntry)) } //nolint:forcetypeassert // only ours
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

func (e *dueEntry) live() bool {
	_, found := e.queue.find(e.sequence)
	return found
}

// compact removes the messages that do not exist any more.
func (h *dueHeap) compact() {
	kept := make(dueHeap, 0, len(*h)/2)
	for _, e := range *h {
		if e.live() {
			kept = append(kept, e)
		}
	}
	*h = kept
	heap.Init(h)
}

// expired returns the messages that have expired, the earliest first. They stay
// in the heap until they are removed.
func (l *ledger) expired(now int64) []dueEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []dueEntry
	for len(l.due) > 0 && l.due[0].at <= now {
		if e := heap.Pop(&l.due).(dueEntry); e.live() { //nolint:forcetypeassert // only ours
			list = append(list, e)
		}
	}
	for _, e := range list {
		heap.Push(&l.due, e)
	}
	return list
}
