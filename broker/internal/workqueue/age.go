package workqueue

import "time"

// SetClock makes the store note when messages are put. now returns the time
// since the store was made; it may be coarse, must not block, and is called for
// each message. Call it before the store is used. Without it, the times are not
// known.
func (s *Store[M, C]) SetClock(now func() time.Duration) { s.clock = now }

// stamp returns the present for entry.since, in ageStep from 1 on; 0 means that
// it is not known.
func (s *Store[M, C]) stamp() uint32 {
	if s.clock == nil {
		return 0
	}
	return uint32(s.clock()/ageStep) + 1
}

// at returns the time of a stamp.
func (s *Store[M, C]) at(stamp uint32) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return s.made.Add(time.Duration(stamp-1) * ageStep)
}

// oldest returns the stamp of the oldest message, 0 if there is none. Of what a
// consumer holds, it looks at the earliest delivery only.
func (q *queue[M, C]) oldest() (stamp uint32) {
	if q.store.clock == nil {
		return 0
	}
	earlier := func(e *entry[M]) {
		if stamp == 0 || e.since != 0 && e.since < stamp {
			stamp = e.since
		}
	}
	if q.waiting.len() > 0 {
		earlier(q.waiting.front())
	}
	for k := q.newest; k != nil; k = k.older {
		if k.first != nil {
			earlier(&k.first.entry)
		}
	}
	return stamp
}
