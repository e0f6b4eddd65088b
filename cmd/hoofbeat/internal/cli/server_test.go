package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Some of go-stomp's calls end only with their time limit, so this waits longer
// than goleak.VerifyTestMain; and after a receipt that did not come in time
// go-stomp leaves a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	for late := time.Now().Add(time.Minute); code == 0; {
		err := goleak.Find(goleak.IgnoreTopFunction("github.com/go-stomp/stomp/v3.sendError"))
		if err == nil {
			break
		}
		if time.Now().After(late) {
			fmt.Fprintf(os.Stderr, "goroutines are left after the tests: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// server is a broker that remembers who came and how they left.
type server struct {
	*brokertest.Server
	TCP string // as a URL

	mu         sync.Mutex
	logins     [][2]string // login and passcode of each CONNECT
	subscribed []string    // destinations
	ended      []broker.Reason
	requests   []map[string]string // headers of what came for /app/peek, and its body as "body"
}

// newServer starts a broker that refuses eve, whoever asks for ?status=403, and
// everybody at /topic/denied, and never answers mute. /app/hang does not answer a
// body "hang", and /app/peek remembers what was sent to it.
func newServer(t *testing.T, o broker.Options) *server {
	t.Helper()
	s := new(server)
	o.Authenticator = auth.AuthenticatorFunc(s.authenticate)
	o.Authorizer = auth.AuthorizerFunc(func(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
		if destination == "/topic/denied" {
			return auth.ErrDenied
		}
		return auth.Open().Authorize(ctx, p, act, destination)
	})
	s.Server = brokertest.Start(t, o)
	s.TCP = "tcp://" + s.Server.TCP
	s.Broker.Observe(broker.Observer{
		Subscribed: func(_ broker.SessionInfo, destination, _ string) {
			s.note(func() { s.subscribed = append(s.subscribed, destination) })
		},
		Disconnected: func(_ broker.SessionInfo, e *broker.Error) { s.note(func() { s.ended = append(s.ended, e.Reason) }) },
	})
	for destination, h := range map[string]broker.HandlerFunc{"/app/hang": hang, "/app/peek": s.peek} {
		if err := s.Broker.Handle(destination, h); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *server) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageHandshake {
		if status, err := strconv.Atoi(a.Handshake.URL.Query().Get("status")); err == nil {
			return nil, &auth.Refusal{Status: status, Reason: "not you"}
		}
		return nil, auth.ErrNotMine
	}
	s.note(func() { s.logins = append(s.logins, [2]string{a.Login, a.Passcode}) })
	switch a.Login {
	case "eve":
		return nil, &auth.Refusal{Status: http.StatusUnauthorized, Reason: "login or passcode refused"}
	case "mute":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return auth.TrustLogin.Authenticate(ctx, a)
}

func hang(ctx context.Context, r *broker.Request) error {
	if string(r.Body) == "hang" {
		<-ctx.Done()
	}
	return nil
}

func (s *server) peek(ctx context.Context, r *broker.Request) error {
	seen := map[string]string{"body": string(r.Body)}
	for _, h := range r.Headers {
		seen[h.Name] = h.Value
	}
	s.note(func() { s.requests = append(s.requests, seen) })
	if !r.Subscribe {
		return nil
	}
	_, err := r.Reply(ctx, &broker.Message{Body: []byte("peeked")})
	return err
}

func (s *server) seen() []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// login returns the last login and passcode.
func (s *server) login() [2]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.logins) == 0 {
		return [2]string{}
	}
	return s.logins[len(s.logins)-1]
}

// left waits until n sessions have ended in all, the last of them for a reason.
func (s *server) left(t *testing.T, n int, want broker.Reason) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d sessions end, the last with %v", n, want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ended) == n && s.ended[n-1] == want
	})
}

// subscriptions waits until there were n.
func (s *server) subscriptions(t *testing.T, n int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d subscriptions", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.subscribed) >= n
	})
}

func (s *server) publish(t *testing.T, m broker.Message) {
	t.Helper()
	if err := s.Broker.Publish(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
}
