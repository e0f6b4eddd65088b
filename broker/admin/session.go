package admin

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

// maxReason keeps the text well below the header limits of clients.
const maxReason = 200

// session is [broker.SessionInfo] as JSON.
type session struct {
	ID             string         `json:"id"`
	User           string         `json:"user"`
	Roles          []string       `json:"roles,omitempty"`
	Remote         netip.AddrPort `json:"remote"`
	Transport      string         `json:"transport"`
	Version        string         `json:"version"`
	Opened         time.Time      `json:"opened"`
	Subscriptions  int            `json:"subscriptions"`
	Pending        int            `json:"pending"`
	Unacknowledged int            `json:"unacknowledged"`

	Origin, UserAgent string `json:"-"` // only observers get these
	Received, Sent    uint32 `json:"-"`
}

// sessions lists all sessions, or those of one user. An empty user name means
// the anonymous sessions.
func (a *api) sessions(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "user", "sort", "order", "offset", "limit")
	if p != nil {
		return p
	}
	return a.answerSessions(w, q, !q.Has("user"), q.Get("user"))
}

// userSessions lists the sessions of the user in the path.
func (a *api) userSessions(w http.ResponseWriter, r *http.Request) *problem {
	user, p := pathUser(r)
	if p != nil {
		return p
	}
	q, p := query(r, "sort", "order", "offset", "limit")
	if p != nil {
		return p
	}
	return a.answerSessions(w, q, false, user)
}

// answerSessions writes a page of the sessions of everybody or of one user.
func (a *api) answerSessions(w http.ResponseWriter, q url.Values, everybody bool, user string) *problem {
	by, p := choice(q, "sort", "opened", "user", "pending", "unacknowledged", "subscriptions")
	if p != nil {
		return p
	}
	var all []session
	for s := range a.b.Sessions() {
		if everybody || s.User == user {
			all = append(all, session(s))
		}
	}
	if p := sessionOrder(by).sort(q, all); p != nil {
		return p
	}
	return answerPage(w, q, all)
}

// sessionOrder returns the order for a sort key: figures sort from the largest
// down.
func sessionOrder(by string) ordering[session] {
	o := ordering[session]{order: "desc", name: func(s *session) string { return s.ID }}
	switch by {
	case "user":
		o.compare, o.order = func(x, y *session) int { return cmp.Compare(x.User, y.User) }, "asc"
	case "pending":
		o.compare = func(x, y *session) int { return cmp.Compare(x.Pending, y.Pending) }
	case "unacknowledged":
		o.compare = func(x, y *session) int { return cmp.Compare(x.Unacknowledged, y.Unacknowledged) }
	case "subscriptions":
		o.compare = func(x, y *session) int { return cmp.Compare(x.Subscriptions, y.Subscriptions) }
	default:
		o.compare, o.order = func(x, y *session) int { return x.Opened.Compare(y.Opened) }, "asc"
	}
	return o
}

// session shows one session.
func (a *api) session(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	id := r.PathValue("id")
	for s := range a.b.Sessions() {
		if s.ID == id {
			return writeJSON(w, http.StatusOK, session(s))
		}
	}
	return noSession()
}

// disconnect ends a session. The client gets the given reason, or a default
// text.
func (a *api) disconnect(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "reason")
	if p != nil {
		return p
	}
	reason := q.Get("reason")
	if len(reason) > maxReason {
		return problemf(http.StatusBadRequest, "the reason is longer than %d bytes", maxReason)
	}
	if !utf8.ValidString(reason) || slices.ContainsFunc([]rune(reason), unicode.IsControl) {
		return problemf(http.StatusBadRequest, "the reason must be one line of UTF-8 text")
	}
	err := a.b.Disconnect(r.PathValue("id"), reason)
	var partial *broker.PartialError
	switch {
	case err == nil:
		return noContent(w)
	case errors.As(err, &partial):
		return unanswered(partial)
	case errors.Is(err, broker.ErrLimit):
		return a.refused(err, "")
	}
	return noSession()
}

func noSession() *problem {
	return problemf(http.StatusNotFound, "no session with this id is connected")
}
