package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/bearer"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/idp"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

// options configure a demo.
type options struct {
	App, Provider string        // origins of the two sites
	Modules       string        // npm's node_modules directory
	Wait          time.Duration // how long a page waits for the phone
	Every         time.Duration // interval between two readings
	PasswordCost  int           // bcrypt's cost
	SessionTTL    time.Duration // lifetime of the application's session
	Logger        *slog.Logger  // logs for all parts
	// Broker is a broker in a process of its own. Nil: there is one in this
	// process.
	Broker *hub.RemoteOptions
}

// messenger is the broker: a [hub.Hub] or a [hub.Remote].
type messenger interface {
	idp.Broker
	http.Handler
	Users() []string
	Revoke(credential string) error
	Close() error
}

// demo consists of the broker, the authorization server and the application.
type demo struct {
	// App and Provider serve the two sites.
	App, Provider http.Handler

	o        options
	hub      messenger
	idp      *idp.Server
	client   *oauth.Client
	verifier *bearer.Verifier
}

// Names registered at the authorization server.
const (
	providerName = "hoofbeat-id"
	appID        = "greenhouse"
	sensorsID    = "sensors"
)

// newDemo starts a demo. Call Close to end it.
func newDemo(o options) (*demo, error) {
	b, err := o.broker()
	if err != nil {
		return nil, err
	}
	d := &demo{o: o, hub: b}
	if err := d.connect(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return d, nil
}

func (o *options) broker() (messenger, error) {
	if o.Broker == nil {
		return hub.New(o.Logger)
	}
	return hub.NewRemote(*o.Broker)
}

// connect creates the parts that depend on each other, with new secrets.
func (d *demo) connect() (err error) {
	o := &d.o
	appSecret, sensorsSecret := newSecret(), newSecret()
	scopes := []string{"openid", hub.ScopeReadings, "offline_access"}
	d.idp, err = idp.New(idp.Options{
		Issuer: o.Provider,
		Clients: []idp.Client{
			{ID: appID, Secret: appSecret, Name: "Greenhouse", RedirectURLs: []string{o.App + "/oauth/callback"}, Scopes: scopes},
			{ID: sensorsID, Secret: sensorsSecret, Name: "Sensors", Introspects: true},
		},
		Passwords:    map[string]string{"alice": "hoofbeat", "bob": "hoofbeat"},
		PasswordCost: o.PasswordCost, OperationTTL: o.Wait, Broker: d.hub, Restarts: o.Broker == nil, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	d.verifier, err = bearer.New(bearer.Options{Introspection: []bearer.Introspection{{
		URL: o.Provider + "/introspect", ClientID: sensorsID, ClientSecret: sensorsSecret, Scopes: []string{hub.ScopeReadings},
	}}})
	if err != nil {
		return err
	}
	d.client, err = oauth.New(oauth.Options{
		Providers: []oauth.Provider{{
			Name: providerName, Issuer: o.Provider, ClientID: appID, ClientSecret: appSecret, Scopes: scopes,
			RedirectURL: o.App + "/oauth/callback",
		}},
		SessionTTL: o.SessionTTL, OnLogout: d.signedOut, OnReconsent: d.reconsent, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	return d.mount()
}

// mount creates the handlers of the two sites.
func (d *demo) mount() (err error) {
	if d.App, err = web.Site(d.o.App, d.o.Modules, d.appRoutes(), d.o.Provider); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", d.idp)
	mux.Handle("/ws", d.hub)
	mux.HandleFunc("GET /readings", d.readings)
	if h, ok := d.hub.(*hub.Hub); ok {
		mux.HandleFunc("POST /device/restart", d.restart(h))
	}
	d.Provider, err = web.Site(d.o.Provider, d.o.Modules, mux, d.o.App)
	return err
}

// Close closes the broker and waits for running token refreshes.
func (d *demo) Close() {
	d.client.Close()
	if err := d.hub.Close(); err != nil {
		d.o.Logger.Error("closing the broker", "error", err)
	}
}

// restart closes the broker and starts another, to which the authorization
// server announces its waiting operations.
func (d *demo) restart(h *hub.Hub) http.HandlerFunc {
	var own http.CrossOriginProtection
	return func(w http.ResponseWriter, r *http.Request) {
		if err := own.Check(r); err != nil {
			http.Error(w, "this request came from another site", http.StatusForbidden)
			return
		}
		ctx := context.WithoutCancel(r.Context())
		if err := h.Restart(func() error { return d.idp.Announce(ctx) }); err != nil {
			d.o.Logger.Error("restarting the broker", "error", err)
			http.Error(w, "the broker did not come back", http.StatusInternalServerError)
			return
		}
		web.Redirect(w, "/device")
	}
}
