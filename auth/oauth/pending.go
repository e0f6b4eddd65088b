package oauth

import (
	"sync"
	"time"
)

// login is a login between its redirect to the provider and its callback.
type login struct {
	provider  *provider
	metadata  *metadata // as it was at the start, so that nothing is exchanged in the middle of a login
	browser   digest    // of the cookie of the browser that started it
	verifier  string    // PKCE, RFC 7636
	nonce     string    // OpenID Connect; empty without
	returnTo  string
	localUser string
}

// pending are the logins underway, by the digest of their state.
type pending struct {
	mu     sync.Mutex
	logins *aging[digest, *login]
}

func newPending(limit int) *pending {
	return &pending{logins: newAging[digest, *login](loginTTL, limit)}
}

func (p *pending) add(state string, l *login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins.put(digestOf(state), l, time.Now())
}

// take returns the login of that state if this browser started it, and closes it, so that each state is good for
// one callback. A callback in another browser leaves it as it is.
func (p *pending) take(state, browser string) (*login, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := digestOf(state)
	l, ok := p.logins.get(key, time.Now())
	if !ok || l.browser != digestOf(browser) {
		return nil, false
	}
	p.logins.remove(key)
	return l, true
}
