package ring

// SetLimits replaces the limits at a time. What is within the new ones stays.
// What exceeds them is dropped some messages at a time, so that others get
// their turn.
func (s *Set[T]) SetLimits(l Limits, now int64) {
	s.setting.Lock()
	defer s.setting.Unlock()
	s.mu.Lock()
	s.limits.Messages = l.Messages // Append keeps a ring within it from now on
	s.mu.Unlock()
	for number, more := uint64(0), true; more; {
		number, more = s.shorten(number)
	}
	for !s.adopt(l, now) {
	}
	for s.tidy() {
	}
}

// shorten drops messages of destinations that have too many. It looks at the
// messages after a number and returns the last one that it has looked at, and
// whether there are more.
func (s *Set[T]) shorten(number uint64) (_ uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.limits.Messages
	if limit <= 0 {
		return number, false
	}
	s.clock++
	at := s.log.after(number)
	for range maxScan {
		p := s.log.next(&at)
		if p == nil {
			return number, false
		}
		number = p.number
		if p.alive() && p.r.n > limit { // then it is the oldest of its destination
			s.pop(p.r, true)
		}
	}
	s.log.oldest() // lets go of what is dead at the front
	return number, true
}

// adopt drops messages that exceed a limit of age or bytes. If none are left, it
// puts the limits in force and returns true.
func (s *Set[T]) adopt(l Limits, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	for range maxScan {
		r := s.log.oldest()
		expired := r != nil && l.Age > 0 && r.first().At <= now-l.Age
		if r == nil || !expired && (l.Bytes <= 0 || s.bytes <= l.Bytes) {
			s.limits = l
			return true
		}
		s.drop(r, !expired)
	}
	return false
}

// tidy removes some dead places from the log and reports whether it should be
// called again.
func (s *Set[T]) tidy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.sparse(s.messages) && s.log.cleanSome()
}
