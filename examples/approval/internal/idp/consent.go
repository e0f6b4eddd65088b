package idp

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

type consentPage struct {
	Title, Client, User, ID string
	Scopes                  []string
}

// consent is a user's permission for a client, which is remembered.
type consent struct{ user, client, scopes string }

func consentTo(op *operation) consent {
	scopes := slices.Sorted(slices.Values(op.request.scopes))
	return consent{op.login.user, op.request.client.ID, strings.Join(scopes, " ")}
}

func (s *Server) consented(op *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consents[consentTo(op)]
}

// takeConsent stores the user's answer and returns to the authorization
// request.
func (s *Server) takeConsent(w http.ResponseWriter, r *http.Request) {
	op := s.own(r, r.PostForm.Get("id"))
	if op == nil {
		s.problem(w, problem{http.StatusBadRequest, "This sign-in has ended. Please start again from the application."})
		return
	}
	s.mu.Lock()
	switch {
	case op.verdict != approved: // the phone must approve first
	case r.PostForm.Get("decision") == "allow":
		s.consents[consentTo(op)] = true
	default:
		op.verdict = denied
	}
	s.mu.Unlock()
	web.Redirect(w, "/authorize?"+op.request.raw)
}

// describe describes the requested scopes in words.
func describe(scopes []string) []string {
	words := map[string]string{
		"openid":      "know who you are",
		"readings":    "read your greenhouse's sensors",
		offlineAccess: "keep reading them while you are away",
	}
	var all []string
	for _, scope := range scopes {
		all = append(all, cmp.Or(words[scope], scope))
	}
	return all
}
