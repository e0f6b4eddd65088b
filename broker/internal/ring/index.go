package ring

// A Set can be the index of messages that are kept and numbered elsewhere: its
// values are then not the messages. [NewIndex] and [Set.Settle] tell it what was
// dropped before it knew of it.

// NewIndex returns an empty Set to which messages with the numbers from first on
// will be added by [Set.Put]. All before may have been dropped by a limit.
func NewIndex[T any](l Limits, first uint64) *Set[T] {
	s := New[T](l)
	s.last = max(first, 1) - 1
	s.gone.number = s.last
	return s
}

// Put is [Set.Append] for a message that has a number, which must be greater
// than all before. There may be gaps.
func (s *Set[T]) Put(number uint64, destination string, v T, size int, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(number, destination, v, size, now)
}

// Settle is called when all messages that are kept have been added. A
// destination that has so many messages may have lost the one before its oldest,
// whichever number that had; full is 0 if no number of messages was ever
// limited. last is the number of the latest message, which may not be kept any
// more.
func (s *Set[T]) Settle(full int, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, last)
	if full <= 0 {
		return
	}
	for _, r := range s.rings {
		if r.n >= full {
			r.lost.number = max(r.lost.number, r.first().Number-1)
		}
	}
}

// Missed reports whether a message that Next has returned is a gap if it turns
// out that it is kept no more. The latest message of a destination can have been
// replaced by one that follows.
func (r *Reader[T]) Missed(number uint64) bool { return number > r.latest }

// Rewind goes back to a message that Next has returned, or to what was At before
// it did.
func (r *Reader[T]) Rewind(number uint64) { r.at = number }
