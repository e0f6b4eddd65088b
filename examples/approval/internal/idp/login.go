package idp

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

// login is a correct name and password. It is worth nothing without the phone.
type login struct {
	id      digest // of the cookie
	user    string
	expires time.Time
}

const (
	cookieName  = "hoofbeat-demo-idp"
	loginTTL    = 10 * time.Minute
	maxFormSize = 16 << 10
)

// loginOf returns the login of the browser, or nil if there is none.
func (s *Server) loginOf(r *http.Request) *login {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logins[digestOf(cookie.Value)]
	if l == nil || !time.Now().Before(l.expires) {
		return nil
	}
	return l
}

type loginPage struct {
	Title, Client, To, User string
	Wrong                   bool
}

// showLogin asks for name and password. The parameter "to" is the authorization
// request to return to. It must be valid, so that no link can show the login
// page without a purpose.
func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	request, page, code := s.parse(to)
	if page != nil || code != "" {
		s.problem(w, problem{http.StatusBadRequest, "There is no sign-in request. Please start from the application."})
		return
	}
	web.Page(w, http.StatusOK, "login", loginPage{Title: "Sign in", Client: request.client.Name, To: to})
}

// takeLogin checks name and password, and returns to the authorization request.
func (s *Server) takeLogin(w http.ResponseWriter, r *http.Request) {
	to, user := r.PostForm.Get("to"), r.PostForm.Get("user")
	request, page, code := s.parse(to)
	if page != nil || code != "" {
		s.problem(w, problem{http.StatusBadRequest, "There is no sign-in request. Please start from the application."})
		return
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // invalid for a listener without addresses
	_, err := s.users.Authenticate(r.Context(), &auth.Attempt{
		Stage: auth.StageConnect, Login: user, Passcode: r.PostForm.Get("password"), Header: r.Header.Get, Remote: remote,
	})
	if err != nil {
		s.o.Logger.Info("login refused", "error", err)
		var refusal *auth.Refusal
		if errors.As(err, &refusal) && refusal.Status == http.StatusServiceUnavailable { // says nothing about the password
			s.problem(w, problem{http.StatusServiceUnavailable, "Too many people are signing in. Please try again in a moment."})
			return
		}
		web.Page(w, http.StatusUnauthorized, "login", loginPage{"Sign in", request.client.Name, to, user, true})
		return
	}
	cookie := newSecret()
	l := &login{id: digestOf(cookie), user: user, expires: time.Now().Add(loginTTL)}
	s.mu.Lock()
	s.prune()
	s.logins[l.id] = l
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookie, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(loginTTL / time.Second),
	})
	web.Redirect(w, "/authorize?"+to)
}

// toLogin redirects the browser to the login page, which leads back to the
// request.
func toLogin(w http.ResponseWriter, request *request) {
	w.Header().Set("Location", "/login?to="+url.QueryEscape(request.raw))
	w.WriteHeader(http.StatusFound)
}
