package broker

import "github.com/hoofbeat/hoofbeat/auth"

// revoked reports whether a credential was revoked before it was presented.
func (b *Broker) revoked(p *auth.Principal) bool {
	return b.o.Store != nil && b.o.Store.Revoked(p)
}

// endRevoked ends every session that a revocation names: ERROR "session
// revoked", close code 1008.
func (b *Broker) endRevoked(r auth.Revocation) {
	b.mu.Lock()
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.Unlock()
	bt := b.newBatch()
	for _, s := range all {
		if p := s.principal.Load(); p != nil && names(r, s.id, p) && !s.leaving.Load() {
			s.end(failure(ReasonRevoked, "session revoked"), "", bt)
		}
	}
	bt.flushLater()
}

func names(r auth.Revocation, session string, p *auth.Principal) bool {
	switch {
	case r.Session != "":
		return r.Session == session
	case r.Credential != "":
		return r.Credential == p.CredentialID
	}
	return r.User != "" && r.User == p.Name
}

// logOut revokes the credential of a session that says goodbye with
// `logout:true`: the next use of it, on any node, fails (N-8). A lost
// connection, or a plain DISCONNECT, revokes nothing: the page may come back.
// A passcode, or what many share without a name, was not issued for this session:
// to revoke it would lock its owners out, so there only the session ends.
func (s *session) logOut() *Error {
	p := s.principal.Load()
	if s.passcode || p.Anonymous() {
		return nil
	}
	if s.b.o.Store == nil || p.CredentialID == "" {
		return failure(ReasonProtocolError, "nothing to log out of: the credential cannot be revoked")
	}
	s.leaving.Store(true)
	if err := s.b.o.Store.Revoke(auth.Revocation{Credential: p.CredentialID, Until: p.Expires}); err != nil {
		s.b.o.Logger.Error("logout failed", "session", s.id, "error", err)
		return &Error{Reason: ReasonInternalError, Message: "internal error"}
	}
	return nil
}
