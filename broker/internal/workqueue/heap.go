package workqueue

import (
	"cmp"
	"slices"
)

// heap holds returned entries, the oldest first. Consumers return messages in
// any order, so the old order must be restored; since returns are rare, log n
// time is good enough. (container/heap would box every entry.)
type heap[M any] []entry[M]

func (h *heap[M]) push(e entry[M]) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].seq < e.seq {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
}

// remove removes the entries for which dead returns true. It calls dead once for
// each entry, the oldest first.
func (h *heap[M]) remove(dead func(*entry[M]) bool) {
	slices.SortFunc(*h, func(a, b entry[M]) int { return cmp.Compare(a.seq, b.seq) }) // it is a heap still
	var kept heap[M]
	for i := range *h {
		if e := &(*h)[i]; !dead(e) {
			kept.push(*e)
		}
	}
	if len(kept) < len(*h) {
		*h = kept
	}
}

func (h *heap[M]) pop() {
	s := *h
	last := s[len(s)-1]
	s[len(s)-1] = entry[M]{} // release the message
	s = s[:len(s)-1]
	for i, child := 0, 1; i < len(s); child = 2*i + 1 {
		if child+1 < len(s) && s[child+1].seq < s[child].seq {
			child++
		}
		if child >= len(s) || last.seq < s[child].seq {
			s[i] = last
			break
		}
		s[i] = s[child]
		i = child
	}
	if cap(s) > minSlots && len(s) <= cap(s)/4 {
		s = append(make([]entry[M], 0, cap(s)/2), s...)
	}
	*h = s
}
