package oauth

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// session is a successful login. Only seen changes, under the lock of its
// table.
type session struct {
	id         digest // of the cookie
	credential string
	user       string
	provider   string
	subject    string
	sid        string
	roles      []string
	scopes     []string
	claims     map[string]any
	issued     time.Time
	expires    time.Time
	seen       time.Time
	bytes      int64 // of memory

	// With Options.Records: the latest revision that this process knows, the
	// latest use that is written, and whether one is being written.
	revision uint64
	written  time.Time
	writing  bool
}

const (
	// averageSession is the memory of a session on average, in bytes, for which
	// there is room: for MaxSessions of all users, and MaxSessionsPerUser of one.
	averageSession = 4 << 10
	// maxSessionBytes is the maximum memory of one session. There is always
	// room for some of these.
	maxSessionBytes = 64 << 10
	// sessionBytes is the memory of a session without its texts and claims: its
	// credential, and its places in the table.
	sessionBytes = 960
)

// weigh sets the memory of s.
func (s *session) weigh() {
	s.bytes = sessionBytes + int64(len(s.user)+len(s.subject)+len(s.sid)) +
		weight.Of(s.claims) + weight.Texts(s.roles) + weight.Texts(s.scopes)
}

var (
	errSessions     = errors.New("the limit of sessions is reached")
	errSessionBytes = fmt.Errorf("the kept claims, roles and scopes take more than %d bytes of memory, which is a fixed limit", maxSessionBytes)
	errLoggedOut    = errors.New("the provider has ended this session already")
)

// recentLogouts is how many back-channel logouts are remembered, and
// logoutMemory is for how long: until every login that they could affect has
// ended.
const (
	recentLogouts = 10_000
	logoutMemory  = 2 * loginTTL
)

// logoutMark identifies a back-channel logout: of one session at a provider, or
// of all sessions of a subject.
type logoutMark struct{ provider, sid, subject string }

// sessions holds all sessions, in memory.
type sessions struct {
	ttl, idle    time.Duration
	max, perUser int
	// maxBytes and userBytes limit the memory of all sessions, and of those of
	// one user.
	maxBytes, userBytes int64

	mu      sync.Mutex
	byID    map[digest]*session
	byUser  map[string][]*session // oldest first
	logouts *aging[logoutMark, time.Time]
	// buried are sessions that have ended here. What others write about them
	// later does not bring them back.
	buried *aging[digest, struct{}]
	kept   bool // there are Options.Records
	swept  time.Time
	bytes  int64
}

func newSessions(o *Options) *sessions {
	return &sessions{
		ttl: o.SessionTTL, idle: o.SessionIdle, max: o.MaxSessions, perUser: o.MaxSessionsPerUser,
		maxBytes:  max(averageSession*int64(o.MaxSessions), 16*maxSessionBytes),
		userBytes: max(averageSession*int64(o.MaxSessionsPerUser), maxSessionBytes),
		byID:      make(map[digest]*session),
		byUser:    make(map[string][]*session),
		logouts:   newAging[logoutMark, time.Time](logoutMemory, recentLogouts),
		buried:    newAging[digest, struct{}](o.SessionTTL, 4*recentLogouts),
		kept:      o.Records != nil,
	}
}

// add adds a session and returns the sessions of the user that it replaced.
// idIssued is when the provider issued the identity: a later logout at the
// provider rejects it.
func (t *sessions) add(s *session, idIssued time.Time) (ended []*session, err error) {
	now := time.Now()
	s.issued, s.seen, s.written, s.expires = now, now, now, now.Add(t.ttl)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loggedOut(s, idIssued, now) {
		return nil, errLoggedOut
	}
	s.weigh()
	if s.bytes > maxSessionBytes {
		return nil, errSessionBytes
	}
	if t.full(s) || now.Sub(t.swept) > time.Minute {
		t.sweep(now)
	}
	for t.userFull(s) {
		oldest := t.byUser[s.user][0]
		t.remove(oldest)
		ended = append(ended, oldest)
	}
	if t.full(s) {
		return ended, errSessions
	}
	t.bytes += s.bytes
	t.byID[s.id] = s
	t.byUser[s.user] = append(t.byUser[s.user], s)
	return ended, nil
}

// full reports whether there is no room for a further session s.
func (t *sessions) full(s *session) bool {
	return len(t.byID) >= t.max || t.bytes+s.bytes > t.maxBytes
}

// userFull reports whether one of the sessions of the user of s must make room
// for it.
func (t *sessions) userFull(s *session) bool {
	all := t.byUser[s.user]
	bytes := s.bytes
	for _, other := range all {
		bytes += other.bytes
	}
	return len(all) > 0 && (len(all) >= t.perUser || bytes > t.userBytes)
}

func (t *sessions) loggedOut(s *session, idIssued, now time.Time) bool {
	for _, mark := range []logoutMark{{s.provider, s.sid, ""}, {s.provider, "", s.subject}} {
		if mark.sid == "" && mark.subject == "" {
			continue
		}
		if at, ok := t.logouts.get(mark, now); ok && !idIssued.After(at) {
			return true
		}
	}
	return false
}

// use returns the principal of a session and counts as a use. The principal
// expires when the session would expire without further use.
func (t *sessions) use(id digest) (*auth.Principal, bool) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil || !t.live(s, now) {
		return nil, false
	}
	s.seen = now
	return auth.Foreign(auth.Principal{
		Method: "oauth", Name: s.user, Roles: s.roles, Claims: s.claims, Scopes: s.scopes, CredentialID: s.credential,
		Issued: s.issued, Expires: t.deadline(s),
	}), true
}

func (t *sessions) deadline(s *session) time.Time {
	if idle := s.seen.Add(t.idle); idle.Before(s.expires) {
		return idle
	}
	return s.expires
}

func (t *sessions) live(s *session, now time.Time) bool { return now.Before(t.deadline(s)) }

// end ends one session and returns it, or returns nil if there is no such live
// session.
func (t *sessions) end(id digest) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil {
		return nil
	}
	t.remove(s)
	if !t.live(s, time.Now()) {
		return nil
	}
	return s
}

// endUser ends all sessions of a user, or only those that began at provider if
// that is set, and returns them.
func (t *sessions) endUser(user, provider string) []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ended []*session
	for _, s := range slices.Clone(t.byUser[user]) {
		if provider == "" || s.provider == provider {
			t.remove(s)
			ended = append(ended, s)
		}
	}
	return ended
}

// endAt ends the sessions that a provider ended at the given time, and returns
// them: those with its sid, or all of the subject's if sid is empty. A session
// whose ID token had no sid also ends by its subject. endAt remembers the
// logout for unfinished logins.
func (t *sessions) endAt(provider, sid, subject string, at time.Time) []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logouts.put(markOf(provider, sid, subject), at, time.Now())
	var ended []*session
	for _, s := range t.byID {
		bySID := sid != "" && s.sid == sid
		bySubject := subject != "" && s.subject == subject && (sid == "" || s.sid == "")
		if s.provider == provider && (bySID || bySubject) {
			ended = append(ended, s)
		}
	}
	for _, s := range ended {
		t.remove(s)
	}
	return ended
}

// markOf returns the mark of a logout: by the session at the provider if that is
// known.
func markOf(provider, sid, subject string) logoutMark {
	if sid != "" {
		subject = ""
	}
	return logoutMark{provider, sid, subject}
}

// has reports whether the user has a live session that began at the provider.
func (t *sessions) has(user, provider string) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.byUser[user], func(s *session) bool { return s.provider == provider && t.live(s, now) })
}

func (t *sessions) sweep(now time.Time) {
	t.swept = now
	for _, s := range t.byID {
		if !t.live(s, now) {
			t.remove(s)
		}
	}
}

func (t *sessions) remove(s *session) {
	if t.byID[s.id] == s {
		t.bytes -= s.bytes
	}
	if t.kept {
		t.buried.put(s.id, struct{}{}, time.Now())
	}
	delete(t.byID, s.id)
	rest := slices.DeleteFunc(t.byUser[s.user], func(other *session) bool { return other == s })
	if len(rest) == 0 {
		delete(t.byUser, s.user)
		return
	}
	t.byUser[s.user] = rest
}
