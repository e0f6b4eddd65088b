package oauth

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// login is the state of a login between its redirect to the provider and its
// callback.
type login struct {
	provider *provider
	// metadata is that of the start of the login, so that it does not change
	// during the login.
	metadata  *metadata
	browser   digest // of the cookie of the browser that started the login
	verifier  string // PKCE, RFC 7636
	nonce     string // OpenID Connect only
	returnTo  string
	localUser string
}

// pending holds unfinished logins by the digest of their state.
type pending struct {
	mu     sync.Mutex
	logins *shared
}

func newPending(limit int) *pending {
	return &pending{logins: newShared(loginTTL, limit)}
}

// add adds a login and returns the states of those that made room for it.
func (p *pending) add(state string, l *login, from netip.Addr) (removed []digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins.put(digestOf(state), l, httpsec.Network(from), time.Now())
}

// forget removes a login that was closed in Options.Records.
func (p *pending) forget(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins.remove(digestOf(state))
}

// find returns the login with that state if this browser started it.
func (p *pending) find(state, browser string) (*login, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.logins.get(digestOf(state), time.Now())
	if !ok || l.browser != digestOf(browser) {
		return nil, false
	}
	return l, true
}

// take is find, and also closes the login, so that each state is valid for one
// callback. A callback in another browser has no effect.
func (p *pending) take(state, browser string) (*login, bool) {
	l, ok := p.find(state, browser)
	if !ok {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return l, p.logins.remove(digestOf(state))
}

// shared is a bounded set of logins with a fixed lifetime. When it is full, a
// new login replaces the oldest of the network that has the most, so that a
// flood of logins from one network displaces only its own. It is not safe for
// concurrent use.
type shared struct {
	ttl      time.Duration
	max      int
	entries  map[digest]*shareOf
	order    list.List                 // of *shareOf, oldest first
	networks map[netip.Addr]*list.List // of *shareOf, by network
}

type shareOf struct {
	key              digest
	login            *login
	network          netip.Addr
	born             time.Time
	inAll, inNetwork *list.Element
}

func newShared(ttl time.Duration, limit int) *shared {
	return &shared{ttl: ttl, max: limit, entries: make(map[digest]*shareOf), networks: make(map[netip.Addr]*list.List)}
}

// put adds a login under a new key and returns the keys of those that it
// replaced.
func (s *shared) put(key digest, l *login, network netip.Addr, now time.Time) (replaced []digest) {
	for front := s.order.Front(); front != nil; front = s.order.Front() {
		oldest := front.Value.(*shareOf)
		if now.Sub(oldest.born) < s.ttl {
			break
		}
		s.remove(oldest.key)
	}
	for len(s.entries) >= s.max {
		oldest := s.largest().Front().Value.(*shareOf).key
		s.remove(oldest)
		replaced = append(replaced, oldest)
	}
	e := &shareOf{key: key, login: l, network: network, born: now}
	e.inAll = s.order.PushBack(e)
	if s.networks[network] == nil {
		s.networks[network] = list.New()
	}
	e.inNetwork = s.networks[network].PushBack(e)
	s.entries[key] = e
	return replaced
}

// largest returns the logins of the network that has the most; among equals,
// the one with the oldest login. There must be at least one login.
func (s *shared) largest() *list.List {
	var found *list.List
	for _, l := range s.networks {
		if found == nil || l.Len() > found.Len() || l.Len() == found.Len() && born(l).Before(born(found)) {
			found = l
		}
	}
	return found
}

func born(l *list.List) time.Time { return l.Front().Value.(*shareOf).born }

// get returns a login that has not expired.
func (s *shared) get(key digest, now time.Time) (*login, bool) {
	e := s.entries[key]
	if e == nil || now.Sub(e.born) >= s.ttl {
		return nil, false
	}
	return e.login, true
}

// remove removes a login and reports whether it was there.
func (s *shared) remove(key digest) bool {
	e := s.entries[key]
	if e == nil {
		return false
	}
	delete(s.entries, key)
	s.order.Remove(e.inAll)
	of := s.networks[e.network]
	if of.Remove(e.inNetwork); of.Len() == 0 {
		delete(s.networks, e.network)
	}
	return true
}

func (s *shared) len() int { return len(s.entries) }

// peerAddress returns the address of a request without a proxy.
func peerAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero for other networks
	return peer.Addr()
}
