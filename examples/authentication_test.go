package examples_test

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// site is the server of a page: its broker, and the endpoint for tickets. It
// can be killed and started again at the same address, knowing nothing.
type site struct {
	address   string
	signedOut atomic.Bool // the page's login has ended
	minted    atomic.Int32

	broker *broker.Broker
	store  *auth.Revocations
	http   *http.Server
}

// signedIn is a login whose first principal is about to expire.
func (s *site) signedIn(r *http.Request) (*auth.Principal, bool) {
	if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "ann's" || s.signedOut.Load() {
		return nil, false
	}
	p := &auth.Principal{Name: "ann", Roles: []string{"expiring"}, Expires: time.Now().Add(time.Hour)}
	if s.minted.Add(1)%2 == 0 {
		p.Roles, p.Expires = []string{"renewed"}, time.Now().Add(3*time.Hour)
	}
	return p, true
}

func (s *site) start(t *testing.T) {
	t.Helper()
	s.store = auth.NewRevocations()
	tickets, err := ticket.New(ticket.NewMemory(), s.store, ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := tickets.Handler(ticket.HandlerOptions{Session: s.signedIn, BindOrigin: true})
	if err != nil {
		t.Fatal(err)
	}
	s.broker = brokertest.New(t, broker.Options{
		Authenticator: tickets, Authorizer: auth.Guarded(), Revocations: s.store, ExpiryNotice: 2 * time.Hour,
	})
	mux := http.NewServeMux()
	mux.Handle("/ws", s.broker)
	mux.Handle("/ws_ticket", endpoint)
	s.serve(t, mux)
}

func (s *site) serve(t *testing.T, h http.Handler) {
	t.Helper()
	if s.address == "" {
		s.address = net.JoinHostPort(testkit.Loopback(), "0") // nobody takes the port while the server is down
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	server := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() { testkit.Receive(t, served) })
	t.Cleanup(func() { _ = server.Close() }) // again
	s.http = server
}

func (s *site) kill(t *testing.T) {
	t.Helper()
	if err := s.http.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.broker.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantNews waits until the page is connected and has renewed its credential, and
// checks that it gets a message.
func (s *site) wantNews(t *testing.T, lines <-chan string, news string) {
	t.Helper()
	brokertest.Eventually(t, "the page has connected, and renewed its credential", func() bool {
		for session := range s.broker.Sessions() {
			return session.User == "ann" && slices.Equal(session.Roles, []string{"renewed"})
		}
		return false
	})
	m := &broker.Message{Destination: "/queue/news", Body: []byte(news)}
	if d, err := s.broker.PublishToUser(t.Context(), "ann", m); err != nil || d.Subscriptions != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := testkit.Receive(t, lines); got != news {
		t.Fatalf("it printed %q, want %q", got, news)
	}
	if st := s.broker.Stats(); st.Opened != 1 || st.Refused != 0 || st.AuthFailures != 0 {
		t.Errorf("%d sockets, %d refused, %d credentials refused: a ticket was presented twice, or the renewal was a reconnect", st.Opened, st.Refused, st.AuthFailures)
	}
}

// The page of docs/authentication.md, with nothing changed but the scheme, on a
// browser's globals that Node does not have.
func TestAuthenticationJavaScript(t *testing.T) {
	var s site
	s.start(t)
	code := strings.ReplaceAll(only(t, "../docs/authentication.md", "js"), "wss://", "ws://")
	lines := startNode(t, strings.ReplaceAll(`
import { WebSocket as Socket } from 'ws';
const origin = 'http://ADDRESS', request = globalThis.fetch;
globalThis.location = { host: 'ADDRESS', pathname: '/orders', assign: (url) => console.log('go to ' + url) };
globalThis.WebSocket = class extends Socket { constructor(url, protocols) { super(url, protocols, { origin }); } };
globalThis.fetch = (path, options) => request(origin + path, { ...options, headers: { cookie: "session=ann's", origin } });
`, "ADDRESS", s.address)+code)
	s.wantNews(t, lines, "one")

	// T-14: the server is killed, for a while there is no answer and then one
	// that it is down, and it is started again.
	s.kill(t)
	var asked atomic.Int32
	s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws_ticket" {
			t.Errorf("without a ticket it opens %s", r.URL.Path)
		}
		if asked.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the connection is lost
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	brokertest.Eventually(t, "the page asks for a ticket again and again", func() bool { return asked.Load() >= 2 })
	if err := s.http.Close(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	s.wantNews(t, lines, "two")

	// T-16: the login has ended, which only the endpoint for tickets can tell.
	s.signedOut.Store(true)
	if err := s.store.Revoke(t.Context(), auth.Revocation{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	if got := testkit.Receive(t, lines); got != "go to /oauth/login?return_to=%2Forders" {
		t.Errorf("it printed %q", got)
	}
	if got, more := testkit.ReceiveOK(t, lines); more {
		t.Errorf("it goes on, and printed %q", got)
	}
	if n := s.broker.Stats().Opened; n != 1 {
		t.Errorf("it opened %d sockets, also without a ticket", n)
	}
}
