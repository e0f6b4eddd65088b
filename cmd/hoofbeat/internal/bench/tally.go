package bench

import "slices"

// tally records which messages of a flow arrived: once, again, or after a later
// one. It needs memory only for gaps.
type tally struct {
	next    uint64 // after the highest number that arrived
	missing []span // below next, ascending
}

// span is the sequence numbers from first up to but excluding end.
type span struct{ first, end uint64 }

type arrival uint8

const (
	inOrder arrival = iota
	late            // after a later one
	again           // not for the first time
)

func (t *tally) see(sequence uint64) arrival {
	if sequence == t.next {
		t.next++
		return inOrder
	}
	if sequence > t.next {
		t.missing = append(t.missing, span{t.next, sequence})
		t.next = sequence + 1
		return inOrder
	}
	i, _ := slices.BinarySearchFunc(t.missing, sequence, func(s span, n uint64) int {
		if s.end <= n {
			return -1
		}
		return 1
	})
	if i == len(t.missing) || t.missing[i].first > sequence {
		return again
	}
	switch s := &t.missing[i]; {
	case s.end-s.first == 1:
		t.missing = slices.Delete(t.missing, i, i+1)
	case s.first == sequence:
		s.first++
	case s.end-1 == sequence:
		s.end--
	default:
		rest := span{sequence + 1, s.end}
		s.end = sequence
		t.missing = slices.Insert(t.missing, i+1, rest)
	}
	return late
}

// lost returns how many of the first n messages have not arrived.
func (t *tally) lost(n uint64) uint64 {
	lost := n - min(n, t.next)
	for _, s := range t.missing {
		lost += min(s.end, n) - min(s.first, n)
	}
	return lost
}
