package sockjs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// sessions are those over HTTP, by the ids that the clients have chosen. One
// that has ended stays for DisconnectDelay, to tell its client why, but of one
// network only so many, and none where there is no room for a new one. One
// network (an IPv4 address, or the /64 of an IPv6 address) has at most half of
// the places.
type sessions struct {
	mu       sync.Mutex
	byID     map[string]*session
	networks map[netip.Addr]*share
	max      int
}

// share is what one network has of the sessions.
type share struct {
	n     int
	ended []string // ids of those that have ended, oldest first
}

// maxEnded is how many sessions of one network are kept that have ended.
const maxEnded = 64

func (l *sessions) get(id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// full reports whether there is no place for one more session of a network.
func (l *sessions) full(network netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.room(network)
}

// room makes room for a session of a network, at the cost of one that has
// ended, and reports whether there is any. The caller has the lock.
func (l *sessions) room(network netip.Addr) bool {
	own := l.networks[network]
	if own != nil && network.IsValid() && l.max != unlimited && own.n >= (l.max+1)/2 && !l.forget(own) {
		return false
	}
	if len(l.byID) < l.max {
		return true
	}
	for _, of := range l.networks {
		if l.forget(of) {
			return true
		}
	}
	return false
}

// forget removes the session of a network that has ended first. The caller has
// the lock.
func (l *sessions) forget(of *share) bool {
	if len(of.ended) == 0 {
		return false
	}
	id := of.ended[0]
	l.drop(id, l.byID[id])
	return true
}

// add adds s, unless its id is taken, or there are too many.
func (l *sessions) add(id string, s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id] != nil || !l.room(s.network) {
		return false
	}
	if l.networks == nil {
		l.networks = make(map[netip.Addr]*share)
	}
	if l.networks[s.network] == nil {
		l.networks[s.network] = new(share)
	}
	l.networks[s.network].n++
	l.byID[id] = s
	return true
}

// end notes that s has ended.
func (l *sessions) end(id string, s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.networks[s.network]
	of.ended = append(of.ended, id)
	if len(of.ended) > maxEnded {
		l.forget(of)
	}
}

func (l *sessions) remove(id string, s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(id, s)
}

// drop removes s, if it is still there. The caller has the lock.
func (l *sessions) drop(id string, s *session) {
	if s == nil || l.byID[id] != s {
		return
	}
	delete(l.byID, id)
	of := l.networks[s.network]
	if i := slices.Index(of.ended, id); i >= 0 {
		of.ended = slices.Delete(of.ended, i, i+1)
	}
	if of.n--; of.n == 0 {
		delete(l.networks, s.network)
	}
}

// networkOf is what the client of a request has to itself.
func (h *handler) networkOf(r *http.Request) netip.Addr {
	a := h.b.ClientAddress(r).Addr().Unmap()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // 64 is in range
		return p.Addr()
	}
	return a
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
		auth.WriteRefusal(w, h.b.RefuseOrigin(r))
		return nil
	}
	return s
}

// full is the refusal of a session for which there is no place.
func (h *handler) full() error {
	return &auth.Refusal{
		Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Reason: fmt.Sprintf("too many sessions, try again: limits.sockjs_sessions is %d, and one address has at most half of them", h.o.Sessions),
	}
}

// open lets a new session in, with the request as its first receiver; nil says
// that the request was answered.
func (h *handler) open(w http.ResponseWriter, r *http.Request, id string, k *kind) (*session, <-chan struct{}) {
	network := h.networkOf(r)
	if h.sessions.full(network) { // before it costs a ticket
		auth.WriteRefusal(w, h.full())
		return nil, nil
	}
	a, err := h.b.Admit(r)
	if err != nil {
		auth.WriteRefusal(w, err)
		return nil, nil
	}
	s := newSession(h.ownerOf(r), k, r.Header.Get("Origin"), h.o.DisconnectDelay)
	s.network = network
	id = strings.Clone(id)      // it is a part of the URL, which may be long
	woken, _ := s.attach()      // a new session refuses nobody
	if !h.sessions.add(id, s) { // somebody was faster
		a.Release()
		auth.WriteRefusal(w, h.full())
		return nil, nil
	}
	go h.serve(s, id, a)
	return s, woken
}

// serve is the life of a session.
func (h *handler) serve(s *session, id string, a broker.Admission) {
	code, reason := ending(h.b.Serve(context.Background(), s, a))
	s.gone(closeFrame(code, reason))
	h.sessions.end(id, s)
	time.AfterFunc(h.o.DisconnectDelay, func() { h.sessions.remove(id, s) })
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
