package main

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

type homePage struct{ Title, User string }

type welcomePage struct{ Title, Phone string }

// appRoutes returns the routes of the application. It identifies users by a
// session cookie, and its page opens a WebSocket as that user.
func (d *demo) appRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.home)
	mux.Handle("/oauth/", d.client.Handler())
	mux.Handle("/ws_ticket", d.hub.Tickets(ticket.HandlerOptions{
		Session: d.client.Session, Bearer: d.verifier.Verify, BindOrigin: true,
	}))
	mux.Handle("/ws", d.hub)
	return mux
}

func (d *demo) home(w http.ResponseWriter, r *http.Request) {
	p, ok := d.client.Session(r)
	if !ok {
		web.Page(w, http.StatusOK, "welcome", welcomePage{"Greenhouse", d.o.Provider + "/device"})
		return
	}
	web.Page(w, http.StatusOK, "home", homePage{"Greenhouse", p.Name})
}

// signedOut closes the sockets of a session that has ended.
func (d *demo) signedOut(credential, _ string) error { return d.hub.Revoke(credential) }

// reconsent tells a user that the application may no longer fetch readings.
func (d *demo) reconsent(user, _ string) {
	if err := d.hub.Tell(context.Background(), user, hub.Notices, []byte(`{"event":"reconsent"}`)); err != nil {
		d.o.Logger.Error("telling a user", "error", err)
	}
}

func newSecret() string { return rand.Text() }
