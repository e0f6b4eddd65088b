package broker

import (
	"encoding/json"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// setExpiry notes when the session's credential runs out, on the broker's clock.
func (s *session) setExpiry(p *auth.Principal) {
	at := int64(never)
	if !p.Expires.IsZero() {
		at = int64(p.Expires.Sub(s.b.started))
	}
	s.expireAt.Store(at)
	s.setRecheck(p)
	s.b.sweeper.reschedule(s, s.b.now())
}

var errCredentialExpired = &Error{Reason: ReasonExpired, Message: "the credential has expired"}

// checkExpiry ends a session with its credential, and says so in good time.
func (s *session) checkExpiry(now int64, bt *batch) int64 {
	at := s.expireAt.Load()
	notice := at - int64(s.b.o.ExpiryNotice)
	switch {
	case at == never:
		return never
	case now >= at:
		s.end(errCredentialExpired, "", bt)
		return never
	case now < notice:
		return notice
	case s.warned.Swap(at) != at:
		s.notify(sessionNotices, sessionEvent{Event: "auth-expiring", Expires: s.principal.Load().Expires.Unix()}, bt)
	}
	return at
}

// sessionEvent is the body of a message on /user/topic/session.
type sessionEvent struct {
	Event        string `json:"event"`
	Expires      int64  `json:"expires,omitempty"` // Unix seconds
	Subscription string `json:"subscription,omitempty"`
	Destination  string `json:"destination,omitempty"`
}

// notify sends JSON to a private destination of this session.
func (s *session) notify(path string, v any, bt *batch) {
	body, err := json.Marshal(v)
	if err != nil {
		s.b.o.Logger.Error("a notice could not be encoded", "error", err)
		return
	}
	p := &publication{prefix: s.b.idPrefix, seq: s.b.nextID()}
	p.set(&Message{Headers: jsonHeaders, Body: body}, s.b.userPrefix()+path)
	s.b.deliverToSession(s.id, path, p, bt, new(Delivery), true)
}

// expiryNotice is how long before its end a session is told, by default.
const expiryNotice = time.Minute
