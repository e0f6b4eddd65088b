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

// authorize is the authorization endpoint. It alone decides about a sign-in.
// The waiting page calls it again when it is notified of a result; a browser
// may call it at any time.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	// A mux passes HEAD to GET handlers. A link checker must not use up a code.
	if r.Method != http.MethodGet {
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
		s.problem(w, problem{http.StatusServiceUnavailable, "Too many sign-ins are waiting. Please try again in a minute."})
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

// conclude redirects the browser to the client with a code or an error.
func (s *Server) conclude(w http.ResponseWriter, op *operation, v verdict) {
	if !s.finish(op) { // another request of the same browser was faster
		toLogin(w, op.request)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	if v == denied {
		s.answer(w, op.request, "error", "access_denied")
		return
	}
	s.answer(w, op.request, "code", s.newCode(op))
}

// own returns the operation with that id if it belongs to the browser's login.
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

// waiter returns the principal of the waiting page. It is not the user yet,
// because the phone has not approved, and it is bound to this operation.
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
		// This id ends all sockets of the login at once.
		CredentialID: fmt.Sprintf("login:%x", op.login.id[:16]),
	}, true
}
