package idp

import (
	"net/http"
	"strings"
)

// revoke is the revocation endpoint (RFC 7009). Its answer does not reveal
// whether the token existed.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	c := s.caller(r)
	if c == nil {
		refuseClient(w)
		return
	}
	if r.PostForm.Get("token") == "" {
		refuse(w, "invalid_request")
		return
	}
	s.withdraw(c, r.PostForm.Get("token"))
	w.WriteHeader(http.StatusOK)
}

// introspect reports to a resource server whether an access token is active
// (RFC 7662).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	c := s.caller(r)
	if c == nil || !c.Introspects {
		refuseClient(w)
		return
	}
	t, ok := s.active(r.PostForm.Get("token"))
	if !ok {
		writeJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"active": true, "sub": t.grant.user, "client_id": t.grant.client.ID, "scope": strings.Join(t.scopes, " "),
		"token_type": "Bearer", "iss": s.o.Issuer, "iat": t.issued.Unix(), "exp": t.expires.Unix(),
	})
}
