package idp

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// grant is a user's permission for a client, for one authorization code and all
// tokens made from it. Revoking it invalidates all of them. Server.mu guards
// revoked.
type grant struct {
	client  *Client
	user    string
	scopes  []string
	revoked bool
}

// code is an authorization code.
type code struct {
	grant               *grant
	redirect, challenge string
	nonce               string
	expires             time.Time
	spent               bool
}

// token is an access or refresh token.
type token struct {
	grant   *grant
	scopes  []string // of an access token
	refresh bool
	issued  time.Time
	expires time.Time
	spent   bool // a refresh token that has been exchanged
}

const (
	codeTTL    = time.Minute
	refreshTTL = 24 * time.Hour

	offlineAccess = "offline_access" // the scope that permits a refresh token
)

// These errors have the error code for the client as their text.
var (
	errInvalidGrant = errors.New("invalid_grant")
	errInvalidScope = errors.New("invalid_scope")
)

// within reports whether all requested scopes are among the granted ones.
func within(requested, granted []string) bool {
	return !slices.ContainsFunc(requested, func(scope string) bool { return !slices.Contains(granted, scope) })
}

// newCode creates a code for an operation's request.
func (s *Server) newCode(op *operation) string {
	value := newSecret()
	r := op.request
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	s.codes[digestOf(value)] = &code{
		grant:    &grant{client: r.client, user: op.login.user, scopes: r.scopes},
		redirect: r.redirect, challenge: r.challenge, nonce: r.nonce, expires: time.Now().Add(codeTTL),
	}
	return value
}

// redeem exchanges a code. If a code is used twice, two parties have it, and it
// is unknown which one is right: the grant is revoked (RFC 6749 section 4.1.2).
func (s *Server) redeem(c *Client, value, redirect, verifier string) (*code, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.codes[digestOf(value)]
	switch {
	case known == nil || known.grant.client != c:
		return nil, errInvalidGrant
	case known.spent:
		known.grant.revoked = true
		return nil, errInvalidGrant
	}
	known.spent = true
	if !time.Now().Before(known.expires) || known.redirect != redirect || !proves(verifier, known.challenge) {
		return nil, errInvalidGrant
	}
	return known, nil
}

// exchange exchanges a refresh token. If a token is used twice, two parties
// have it: the grant is revoked (RFC 9700 section 4.14.2). The client may ask
// for fewer scopes than granted, for the new access token alone (RFC 6749
// section 6).
func (s *Server) exchange(c *Client, value, scope string) (*grant, []string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[digestOf(value)]
	switch {
	case t == nil || !t.refresh || t.grant.client != c || t.grant.revoked || !time.Now().Before(t.expires):
		return nil, nil, errInvalidGrant
	case t.spent:
		t.grant.revoked = true
		return nil, nil, errInvalidGrant
	}
	scopes := t.grant.scopes
	if requested := strings.Fields(scope); len(requested) > 0 {
		if !within(requested, scopes) {
			return nil, nil, errInvalidScope
		}
		scopes = requested
	}
	t.spent = true
	return t.grant, scopes, nil
}

// issue makes the tokens of a grant: a refresh token only if the user allowed
// access while away. It is kept after its use until it would expire, because
// otherwise its reuse would go unnoticed.
func (s *Server) issue(g *grant, scopes []string) (access, refresh string, expires time.Time, err error) {
	access = newSecret()
	now := time.Now()
	expires = now.Add(s.o.AccessTTL)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	if g.revoked { // revoked meanwhile
		return "", "", time.Time{}, errInvalidGrant
	}
	s.tokens[digestOf(access)] = &token{grant: g, scopes: scopes, issued: now, expires: expires}
	if slices.Contains(g.scopes, offlineAccess) {
		refresh = newSecret()
		s.tokens[digestOf(refresh)] = &token{grant: g, refresh: true, issued: now, expires: now.Add(refreshTTL)}
	}
	return access, refresh, expires, nil
}

// active returns the data of a valid access token.
func (s *Server) active(value string) (t token, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.tokens[digestOf(value)]
	if known == nil || known.refresh || known.grant.revoked || !time.Now().Before(known.expires) {
		return token{}, false
	}
	return *known, true
}

// withdraw revokes a token of a client: a refresh token with its whole grant,
// an access token alone.
func (s *Server) withdraw(c *Client, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[digestOf(value)]
	switch {
	case t == nil || t.grant.client != c: // nothing to revoke, and no error
	case t.refresh:
		t.grant.revoked = true
	default:
		delete(s.tokens, digestOf(value))
	}
}

// prune removes expired entries, at most once a minute. The caller holds the
// lock.
func (s *Server) prune() {
	now := time.Now()
	if now.Sub(s.pruned) < time.Minute {
		return
	}
	s.pruned = now
	for id, l := range s.logins {
		if now.After(l.expires) {
			delete(s.logins, id)
		}
	}
	for id, op := range s.operations {
		if now.After(op.expires) {
			delete(s.operations, id)
		}
	}
	for id, c := range s.codes {
		// Remember a spent code for as long as its first tokens can live.
		if now.After(c.expires.Add(refreshTTL)) {
			delete(s.codes, id)
		}
	}
	for id, t := range s.tokens {
		if now.After(t.expires) {
			delete(s.tokens, id)
		}
	}
}
