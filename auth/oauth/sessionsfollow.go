package oauth

import "time"

// This file makes the table of sessions follow Options.Records.

// adopt takes over what is kept of a session, and reports whether it is in the
// table now. Limits do not apply: they did when the session began.
func (t *sessions) adopt(s *session) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, over := t.buried.get(s.id, now); over || !t.live(s, now) {
		return false
	}
	if known := t.byID[s.id]; known != nil {
		if s.revision > known.revision {
			known.revision, known.written = s.revision, s.seen
		}
		if s.seen.After(known.seen) {
			known.seen = s.seen
		}
		return true
	}
	s.written = s.seen
	t.bytes += s.bytes
	t.byID[s.id] = s
	t.byUser[s.user] = append(t.byUser[s.user], s)
	return true
}

// remote ends a session that was removed with this revision.
func (t *sessions) remote(id digest, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil && s.revision < revision {
		t.remove(s)
	}
}

// forgetOthers ends the sessions that a complete report did not include. It
// spares those that are newer than all that was reported, or not written yet.
func (t *sessions) forgetOthers(reported map[digest]bool, latest uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if !reported[id] && s.revision > 0 && s.revision <= latest {
			t.remove(s)
		}
	}
}

// bury has a session stay ended here that is not in the table.
func (t *sessions) bury(id digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buried.put(id, struct{}{}, time.Now())
}

// mark remembers a logout that another process, or an earlier one, was told of.
func (t *sessions) mark(provider, sid, subject string, at time.Time) {
	now, mark := time.Now(), markOf(provider, sid, subject)
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.logouts.get(mark, now); !ok || at.After(known) {
		t.logouts.put(mark, at, now)
	}
}

// unsaved returns a copy of a session whose latest use should be written, and
// notes that it is being written.
func (t *sessions) unsaved(id digest) (s session, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.byID[id]
	if known == nil || known.revision == 0 || known.writing || known.seen.Sub(known.written) < t.idle/8 {
		return session{}, false
	}
	known.writing = true
	return *known, true
}

// saved notes that a use was written, or not.
func (t *sessions) saved(id digest, seen time.Time, revision uint64, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil {
		return
	}
	s.writing = false
	if done && revision > s.revision {
		s.revision, s.written = revision, seen
	}
}
