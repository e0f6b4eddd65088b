package sockjs

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// sessions are those over HTTP, by the ids that the clients have chosen. One
// that has ended stays for DisconnectDelay, to tell its client why.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
	max  int
}

func (l *sessions) get(id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

func (l *sessions) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byID) >= l.max
}

// add adds s, unless its id is taken, or there are too many.
func (l *sessions) add(id string, s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id] != nil || len(l.byID) >= l.max {
		return false
	}
	l.byID[id] = s
	return true
}

func (l *sessions) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, id)
}

// find returns the session of a request: nil, answered with 404 or 403, if there
// is none or it is not this client's.
func (h *handler) find(w http.ResponseWriter, r *http.Request, id string) *session {
	s := h.sessions.get(id)
	if s == nil || !s.owner.sent(r) {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	if !sameOrigin(r, s.origin) {
		auth.WriteRefusal(w, &auth.Refusal{Status: http.StatusForbidden, Reason: "origin not allowed"})
		return nil
	}
	return s
}

var errFull = &auth.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Reason: "too many sessions, try again"}

// open lets a new session in, with the request as its first receiver; nil says
// that the request was answered.
func (h *handler) open(w http.ResponseWriter, r *http.Request, id string, k *kind) (*session, <-chan struct{}) {
	if h.sessions.full() { // before it costs a ticket
		auth.WriteRefusal(w, errFull)
		return nil, nil
	}
	a, err := h.b.Admit(r)
	if err != nil {
		auth.WriteRefusal(w, err)
		return nil, nil
	}
	s := newSession(h.ownerOf(r), k, r.Header.Get("Origin"), h.o.DisconnectDelay)
	woken, _ := s.attach()      // a new session refuses nobody
	if !h.sessions.add(id, s) { // somebody was faster
		a.Release()
		auth.WriteRefusal(w, errFull)
		return nil, nil
	}
	go h.serve(s, id, a)
	return s, woken
}

// serve is the life of a session.
func (h *handler) serve(s *session, id string, a broker.Admission) {
	code, reason := ending(h.b.Serve(context.Background(), s, a))
	s.gone(closeFrame(code, reason))
	time.AfterFunc(h.o.DisconnectDelay, func() { h.sessions.remove(id) })
}

// ending is what a client is told of the error that Serve returned. 1000 stands
// for the ends that Close has been told of.
func ending(err error) (code int, reason string) {
	var f *broker.Error
	switch {
	case err == nil:
		return 1000, ""
	case errors.As(err, &f):
		return f.Reason.CloseCode(), f.Reason.String()
	default:
		return broker.ReasonDraining.CloseCode(), broker.ReasonDraining.String()
	}
}
