package sockjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
)

// sessions is the set of HTTP sessions, by the ids that the clients chose. An
// ended session stays for DisconnectDelay, so that its client learns the
// reason. But each network keeps at most maxEnded ended sessions, and a new
// session may evict an ended one when places are short. One network (an IPv4
// address, or the /64 of an IPv6 address) gets at most half of the places.
type sessions struct {
	mu       sync.Mutex
	byID     map[string]*session
	networks map[netip.Addr]*share
	max      int
}

// share is one network's part of the sessions.
type share struct {
	n     int
	ended []string // ids of the ended sessions, oldest first
}

// maxEnded is how many ended sessions of one network are kept.
const maxEnded = 64

func (l *sessions) all() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.byID))
}

func (l *sessions) get(id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// full reports whether there is no room for another session of a network.
func (l *sessions) full(network netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.room(network)
}

// room makes room for a session of a network, evicting an ended session if
// necessary. It reports whether there is room. The caller has the lock.
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

// forget removes the network's session that ended first. It reports false if
// none has ended. The caller has the lock.
func (l *sessions) forget(of *share) bool {
	if len(of.ended) == 0 {
		return false
	}
	id := of.ended[0]
	l.drop(id, l.byID[id])
	return true
}

// add adds s and reports true, unless the id is taken or there is no room.
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

// end records that s has ended.
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

// drop removes s if it is still present. The caller has the lock.
func (l *sessions) drop(id string, s *session) {
	if s == nil || l.byID[id] != s {
		return
	}
	delete(l.byID, id)
	s.forgotten()
	of := l.networks[s.network]
	if i := slices.Index(of.ended, id); i >= 0 {
		of.ended = slices.Delete(of.ended, i, i+1)
	}
	if of.n--; of.n == 0 {
		delete(l.networks, s.network)
	}
}

// networkOf returns the address range that the client of a request controls.
func (h *Endpoint) networkOf(r *http.Request) netip.Addr {
	return httpsec.Network(h.b.ClientAddress(r).Addr())
}

// find returns the session of a request. If there is none, or if it is not this
// client's, find answers with 404 or 403 and returns nil.
func (h *Endpoint) find(w http.ResponseWriter, r *http.Request, id string) *session {
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

// full returns the refusal for a session when there is no room.
func (h *Endpoint) full() error {
	return &auth.Refusal{
		Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Reason: fmt.Sprintf("too many sessions, try again: limits.sockjs_sessions is %d, and one address has at most half of them", h.o.Sessions),
	}
}

// open opens a new session with this request as its first receiver. It returns
// nil if it has refused the request, and has then answered it.
func (h *Endpoint) open(w http.ResponseWriter, r *http.Request, id string, k *kind) (*session, <-chan struct{}) {
	network := h.networkOf(r)
	if h.sessions.full(network) { // check first: a refusal must not use up the ticket
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
	id = strings.Clone(id)      // do not keep the URL, which may be long
	woken, _ := s.attach()      // cannot refuse: the session is new
	if !h.sessions.add(id, s) { // another request took the id or the place
		a.Release()
		auth.WriteRefusal(w, h.full())
		return nil, nil
	}
	go h.serve(s, id, a)
	return s, woken
}

// serve runs the broker's side of a session until the session ends.
func (h *Endpoint) serve(s *session, id string, a broker.Admission) {
	code, reason := ending(h.b.Serve(context.Background(), s, a))
	s.gone(closeFrame(code, reason))
	h.sessions.end(id, s)
	time.AfterFunc(h.o.DisconnectDelay, func() { h.sessions.remove(id, s) })
}

// ending returns the close code and reason for the error that Serve returned.
// 1000 means that Close already has the code.
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
