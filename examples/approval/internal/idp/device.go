package idp

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

// phone is the name of the demo's only phone. Anyone who opens /device controls
// it. A real phone would be paired with its user and sign its answers.
const (
	phone       = "phone"
	phoneCookie = "hoofbeat-demo-phone"
)

type devicePage struct {
	Title    string
	Requests []deviceRequest
	Late     bool
	Restarts bool // there is a button for it
}

type deviceRequest struct {
	ID, User, Client, Number string
	Left                     int // seconds
}

// showDevice shows the phone's page, with the requests that wait for an answer.
func (s *Server) showDevice(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: phoneCookie, Value: s.phoneKey, Path: "/device", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode})
	page := devicePage{Title: "Phone", Late: r.URL.Query().Has("late"), Restarts: s.o.Restarts}
	for _, op := range s.waiting() {
		if s.verdictOn(op) == undecided {
			page.Requests = append(page.Requests, deviceRequest{op.page, op.login.user, op.request.client.Name, op.number, left(op)})
		}
	}
	slices.SortFunc(page.Requests, func(a, b deviceRequest) int { return a.Left - b.Left })
	web.Page(w, http.StatusOK, "device", page)
}

// answered handles the phone's answer.
func (s *Server) answered(v verdict) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.phoneOf(r); !ok {
			s.problem(w, problem{http.StatusForbidden, "This is not the phone."})
			return
		}
		err := s.decide(r.Context(), r.PostForm.Get("id"), v)
		if errors.Is(err, errNoOperation) || errors.Is(err, errDecided) {
			web.Redirect(w, "/device?late")
			return
		}
		web.Redirect(w, "/device")
	}
}

// phoneOf returns the principal of the phone's page.
func (s *Server) phoneOf(r *http.Request) (*auth.Principal, bool) {
	cookie, err := r.Cookie(phoneCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(s.phoneKey)) != 1 {
		return nil, false
	}
	return &auth.Principal{Name: phone, Roles: []string{hub.RolePhone}}, true
}

// wakePhone tells the phone to reload its requests.
func (s *Server) wakePhone(ctx context.Context) {
	if err := s.o.Broker.Tell(ctx, phone, hub.Requests, []byte(`{"changed":true}`)); err != nil {
		s.o.Logger.Warn("waking the phone", "error", err)
	}
}
