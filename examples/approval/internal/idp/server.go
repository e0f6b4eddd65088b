// Package idp is a small authorization server for the demo and its tests. It
// implements the OAuth 2.0 code flow with PKCE. Each sign-in needs a password
// and an approval on a second device, which shows the same number as the page.
//
//	server, err := idp.New(idp.Options{Issuer: "http://127.0.0.1:8095", Broker: hub, …})
//	mux.Handle("/", server)
//
// It keeps its state in memory. Do not use it in production: its users are in
// its options, it does not slow down the guessing of passwords, and anyone who
// opens the phone's page controls the phone.
package idp

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

// Broker is the part of the broker that the server needs: a *hub.Hub or a
// *hub.Remote.
type Broker interface {
	// Open announces an operation. It may be called again for the same one.
	Open(ctx context.Context, o webflow.Operation) error
	// Notify sends an operation's result to the page that waits for it.
	Notify(ctx context.Context, operationID, result string) error
	// Tell sends JSON to a user.
	Tell(ctx context.Context, user, destination string, body []byte) error
	// Tickets returns an endpoint that gives tickets.
	Tickets(o ticket.HandlerOptions) http.Handler
}

// Options configure a Server. Issuer, Clients, Passwords and Broker are
// required.
type Options struct {
	// Issuer is the server's origin, such as http://127.0.0.1:8095.
	Issuer string
	// Clients are the registered applications.
	Clients []Client
	// Passwords are the users' passwords, by name.
	Passwords map[string]string
	// PasswordCost is bcrypt's cost, [users.DefaultCost] if zero.
	PasswordCost int
	// OperationTTL is how long a page waits for the phone: 2 minutes if zero.
	OperationTTL time.Duration
	// AccessTTL is the lifetime of an access token: 2 minutes if zero, so that
	// a visitor sees it renewed.
	AccessTTL time.Duration
	// Broker is the broker at which pages wait.
	Broker Broker
	// Restarts shows the button on the phone that restarts the broker.
	Restarts bool
	// Retry is how often Run informs a broker that was down: 500 ms if zero.
	Retry time.Duration
	// Logger logs errors, without secrets. Nil means no logging.
	Logger *slog.Logger
}

// Server is an http.Handler. It is safe for concurrent use.
type Server struct {
	o       Options
	clients map[string]*Client
	users   auth.Authenticator
	keys    *keys
	handler http.Handler
	// phoneKey is the value of the phone's cookie.
	phoneKey string
	// secure is true if the server is reached by https only.
	secure bool

	mu         sync.Mutex // never held during a call of the broker
	logins     map[digest]*login
	operations map[string]*operation // by webSocketId
	codes      map[digest]*code
	tokens     map[digest]*token
	consents   map[consent]bool
	pruned     time.Time
}

// New returns a Server.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.OperationTTL == 0 {
		o.OperationTTL = 2 * time.Minute
	}
	if o.AccessTTL == 0 {
		o.AccessTTL = 2 * time.Minute
	}
	if o.Retry == 0 {
		o.Retry = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		o:          o,
		clients:    make(map[string]*Client),
		logins:     make(map[digest]*login),
		operations: make(map[string]*operation),
		codes:      make(map[digest]*code),
		tokens:     make(map[digest]*token),
		consents:   make(map[consent]bool),
		phoneKey:   newSecret(),
		secure:     strings.HasPrefix(o.Issuer, "https:"),
	}
	for _, c := range o.Clients {
		s.clients[c.ID] = &c
	}
	var err error
	if s.users, err = hashed(o.Passwords, o.PasswordCost); err != nil {
		return nil, err
	}
	s.o.Passwords = nil
	if s.keys, err = newKeys(); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

func hashed(passwords map[string]string, cost int) (*users.Store, error) {
	var list []users.User
	for name, password := range passwords {
		hash, err := users.Hash(password, cost)
		if err != nil {
			return nil, err
		}
		list = append(list, users.User{Name: name, Hash: hash})
	}
	return users.New(list)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", ownForm(s.takeLogin))
	mux.HandleFunc("POST /consent", ownForm(s.takeConsent))
	mux.Handle("POST /wait/{id}/ws_ticket", s.o.Broker.Tickets(ticket.HandlerOptions{Session: s.waiter, BindOrigin: true}))

	mux.HandleFunc("GET /device", s.showDevice)
	mux.HandleFunc("POST /device/approve", ownForm(s.answered(approved)))
	mux.HandleFunc("POST /device/deny", ownForm(s.answered(denied)))
	mux.Handle("POST /device/ws_ticket", s.o.Broker.Tickets(ticket.HandlerOptions{Session: s.phoneOf, BindOrigin: true}))

	mux.HandleFunc("POST /token", form(s.token))
	mux.HandleFunc("POST /revoke", form(s.revoke))
	mux.HandleFunc("POST /introspect", form(s.introspect))
	mux.HandleFunc("GET /jwks", s.jwks)
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.discovery)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.problem(w, problem{http.StatusNotFound, "There is no such page."})
	})
	return mux
}

// form parses the form of a request. It rejects repeated parameters (RFC 6749
// section 3.2), so that another component cannot read a different value.
func form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
		if err := r.ParseForm(); err != nil {
			refuse(w, "invalid_request")
			return
		}
		for _, values := range r.PostForm {
			if len(values) > 1 {
				refuse(w, "invalid_request")
				return
			}
		}
		next(w, r)
	}
}

// ownForm is form for our own pages. It rejects forms from other sites.
func ownForm(next http.HandlerFunc) http.HandlerFunc {
	var own http.CrossOriginProtection
	return func(w http.ResponseWriter, r *http.Request) {
		if err := own.Check(r); err != nil {
			http.Error(w, "this request came from another site", http.StatusForbidden)
			return
		}
		form(next)(w, r)
	}
}

// ServeHTTP serves all endpoints and pages.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// problem is an error page.
type problem struct {
	status int
	text   string
}

type problemPage struct{ Title, Text string }

func (s *Server) problem(w http.ResponseWriter, p problem) {
	web.Page(w, p.status, "problem", problemPage{"Something went wrong", p.text})
}
