package broker

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
)

// revoked reports whether a credential was revoked before it was presented.
func (b *Broker) revoked(p *auth.Principal) bool {
	return b.o.Revocations != nil && b.o.Revocations.Revoked(p)
}

// endRevoked ends every session that a revocation names, with ERROR "session
// revoked" and close code 1008. A new credential epoch alone ends no session.
func (b *Broker) endRevoked(e auth.Event) {
	b.endRevokedHere(e.Revocation)
	b.endRevokedElsewhere(e)
}

// endRevokedHere ends the sessions of this broker, and returns how many.
func (b *Broker) endRevokedHere(r auth.Revocation) (n int) {
	bt := b.newBatch()
	for _, s := range b.revokedSessions(r) {
		if p := s.principal.Load(); p != nil && applies(r, s.id, p) && !s.leaving.Load() {
			s.end(failure(ReasonRevoked, "session revoked"), "", bt)
			n++
		}
	}
	bt.flushLater()
	return n
}

// revokedSessions returns the sessions that a revocation may name, without
// visiting all others.
func (b *Broker) revokedSessions(r auth.Revocation) []*session {
	var ids []string
	switch {
	case r.Session != "":
		ids = []string{r.Session}
	case r.Credential != "":
		return b.credentials.sessions(r.Credential)
	case r.User != "":
		ids = b.router.Sessions(r.User)
	}
	list := make([]*session, 0, len(ids))
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if s := b.sessions[id]; s != nil {
			list = append(list, s)
		}
	}
	return list
}

// applies reports whether a revocation ends a session with this principal.
func applies(r auth.Revocation, session string, p *auth.Principal) bool {
	switch {
	case r.Session != "":
		return r.Session == session
	case r.Credential != "":
		return r.Credential == p.CredentialID
	}
	return r.User != "" && r.User == p.Name
}

// credentialIndex maps a credential to its sessions. Most credentials have one
// session, so a set is created only for the second. Sessions without a
// CredentialID are not included.
type credentialIndex struct {
	mu      sync.Mutex
	holders map[string]holders
}

type holders struct {
	one  *session
	more map[*session]struct{} // used instead of one
}

func (x *credentialIndex) add(p *auth.Principal, s *session) {
	if p.CredentialID == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.holders == nil {
		x.holders = make(map[string]holders)
	}
	h := x.holders[p.CredentialID]
	switch {
	case h.more != nil:
		h.more[s] = struct{}{}
	case h.one == nil || h.one == s:
		x.holders[p.CredentialID] = holders{one: s}
	default:
		x.holders[p.CredentialID] = holders{more: map[*session]struct{}{h.one: {}, s: {}}}
	}
}

func (x *credentialIndex) remove(p *auth.Principal, s *session) {
	if p == nil || p.CredentialID == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.holders[p.CredentialID]
	delete(h.more, s)
	if h.one == s || h.more != nil && len(h.more) == 0 {
		delete(x.holders, p.CredentialID)
	}
}

func (x *credentialIndex) sessions(credential string) []*session {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.holders[credential]
	if h.one != nil {
		return []*session{h.one}
	}
	return slices.Collect(maps.Keys(h.more))
}

// logOut revokes the credential of a session that sends DISCONNECT with
// `logout:true`: its next use fails on every node (N-8). A lost connection or a
// plain DISCONNECT revokes nothing, because the page may reconnect. A passcode,
// a ticket that was issued for a passcode, and an anonymous credential shared
// by many clients were not issued for this session. Revoking them would lock
// out their owners, so in these cases only the session ends. A logout that may
// not have been stored gets an ERROR and no RECEIPT.
func (s *session) logOut() *Error {
	p := s.principal.Load()
	if s.passcode || p.Anonymous() || p.Passcode {
		return nil
	}
	if s.b.o.Revocations == nil || p.CredentialID == "" {
		return failure(ReasonProtocolError, "nothing to log out of: the credential cannot be revoked")
	}
	s.leaving.Store(true)
	// The session may end meanwhile; this must not cancel the revocation.
	if err := s.b.o.Revocations.Revoke(context.Background(), auth.Revocation{Credential: p.CredentialID, Until: p.Expires}); err != nil {
		s.b.o.Logger.Error("logout failed", "session", s.id, "error", err)
		return &Error{Reason: ReasonInternalError, Message: "the logout could not be stored: connect and log out again"}
	}
	return nil
}
