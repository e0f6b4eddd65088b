package idp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// tokenReply is the answer of RFC 6749 section 5.1.
type tokenReply struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	Scope   string `json:"scope"`
	ID      string `json:"id_token,omitempty"`
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	c := s.caller(r)
	if c == nil {
		refuseClient(w)
		return
	}
	form := r.PostForm
	var (
		g      *grant
		scopes []string
		signIn *code // nil for a refresh token
		err    error
	)
	switch form.Get("grant_type") {
	case "authorization_code":
		if signIn, err = s.redeem(c, form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier")); err != nil {
			refuse(w, err.Error())
			return
		}
		g, scopes = signIn.grant, signIn.grant.scopes
	case "refresh_token":
		if g, scopes, err = s.exchange(c, form.Get("refresh_token"), form.Get("scope")); err != nil {
			refuse(w, err.Error())
			return
		}
	case "":
		refuse(w, "invalid_request")
		return
	default:
		refuse(w, "unsupported_grant_type")
		return
	}
	access, refresh, expires, err := s.issue(g, scopes)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	reply := tokenReply{
		Access: access, Type: "bearer", Refresh: refresh, Scope: strings.Join(scopes, " "),
		Expires: int64(time.Until(expires).Round(time.Second) / time.Second),
	}
	if signIn != nil && slices.Contains(scopes, "openid") {
		if reply.ID, err = s.keys.idToken(s.o.Issuer, signIn); err != nil {
			s.o.Logger.Error("signing an ID token", "error", err)
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
			return
		}
	}
	writeJSON(w, http.StatusOK, reply)
}

// refuse sends an error answer according to RFC 6749 section 5.2.
func refuse(w http.ResponseWriter, code string) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": code})
}

func refuseClient(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
