package idp

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

type waitPage struct {
	Title, Client, User, Number, ID string
	Left, Of                        int // seconds
}

// authorize is the authorization endpoint, and the only place where a sign-in is
// decided. The waiting page asks it again when it was told that it is worth it;
// anybody may ask at any time.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // a mux hands HEAD to GET handlers; a link checker must not use up a code
		w.Header().Set("Allow", http.MethodGet)
		s.problem(w, problem{http.StatusMethodNotAllowed, "This request is malformed."})
		return
	}
	request, page, code := s.parse(r.URL.RawQuery)
	switch {
	case page != nil:
		s.problem(w, *page)
		return
	case code != "":
		s.answer(w, request, "error", code)
		return
	}
	l := s.loginOf(r)
	if l == nil {
		toLogin(w, request)
		return
	}
	op, err := s.operationFor(r.Context(), l, request)
	if err != nil {
		s.problem(w, problem{http.StatusServiceUnavailable, "Too much is going on. Please try again in a minute."})
		return
	}
	switch v := s.verdictOn(op); {
	case v == undecided:
		web.Page(w, http.StatusOK, "wait", waitPage{
			"Waiting for your phone", request.client.Name, l.user, op.number, op.page, left(op), int(s.o.OperationTTL / time.Second),
		})
	case v == approved && !s.consented(op):
		web.Page(w, http.StatusOK, "consent", consentPage{"Allow access?", request.client.Name, l.user, op.page, describe(request.scopes)})
	default:
		s.conclude(w, op, v)
	}
}

// conclude sends the browser back with a code or a no.
func (s *Server) conclude(w http.ResponseWriter, op *operation, v verdict) {
	if !s.finish(op) { // another request of the same browser was faster
		toLogin(w, op.request)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	if v == denied {
		s.answer(w, op.request, "error", "access_denied")
		return
	}
	s.answer(w, op.request, "code", s.newCode(op))
}

// own returns the operation of that name if it is the browser's.
func (s *Server) own(r *http.Request, page string) *operation {
	l := s.loginOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.operations[page]
	if op == nil || l == nil || op.login != l || !time.Now().Before(op.expires) {
		return nil
	}
	return op
}

// waiter is whom the waiting page gets a ticket as: nobody yet, for he has shown
// no phone, and for this one operation.
func (s *Server) waiter(r *http.Request) (*auth.Principal, bool) {
	op := s.own(r, r.PathValue("id"))
	if op == nil {
		return nil, false
	}
	return &auth.Principal{
		Name:    "waiting:" + op.page[:16],
		Roles:   []string{hub.RoleWaiting},
		Scopes:  []string{"operation:" + op.id},
		Expires: op.expires.Add(lateness),
		// All sockets of this login can be ended by this name.
		CredentialID: fmt.Sprintf("login:%x", op.login.id[:16]),
	}, true
}
