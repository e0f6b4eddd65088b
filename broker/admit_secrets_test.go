package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// T-12, A-24: what of a handshake an authenticator sees, and that no log does.
func TestSecretsOfTheHandshake(t *testing.T) {
	var log bytes.Buffer
	var seen auth.Attempt
	b := brokertest.New(t, broker.Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			seen = *a
			return nil, &auth.Refusal{Reason: "no", Challenge: "Bearer"}
		}),
	})
	for name, tc := range map[string]struct {
		target         string
		headers        []string
		ticket, bearer string
		status         int
	}{
		"query":         {"/ws?ticket=s3cret&room=7", nil, "s3cret", "", 401},
		"subprotocol":   {"/ws", []string{"Sec-WebSocket-Protocol", "v12.stomp, ticket.s3cret"}, "s3cret", "", 401},
		"two headers":   {"/ws", []string{"Sec-WebSocket-Protocol", "v12.stomp", "Sec-WebSocket-Protocol", "ticket.s3cret"}, "s3cret", "", 401},
		"authorization": {"/ws", []string{"Authorization", "bearer s3cret"}, "", "s3cret", 401},
		"basic":         {"/ws", []string{"Authorization", "Basic s3cret"}, "", "", 401},
		"access token":  {"/ws?access_token=s3cret", nil, "", "", 400},
		"empty token":   {"/ws?access_token", nil, "", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			seen = auth.Attempt{}
			w := httptest.NewRecorder()
			b.ServeHTTP(w, request("GET", tc.target, fmt.Sprintf("192.0.2.%d:1", len(tc.target)), tc.headers...))
			if w.Code != tc.status || strings.Contains(w.Body.String(), "s3cret") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tc.status == 400 {
				if seen.Header != nil {
					t.Error("the authenticator was asked")
				}
				return
			}
			if seen.Ticket != tc.ticket || seen.Bearer != tc.bearer || seen.Stage != auth.StageHandshake {
				t.Errorf("the authenticator saw ticket %q and bearer %q", seen.Ticket, seen.Bearer)
			}
			if strings.Contains(seen.Handshake.URL.String(), "s3cret") || strings.Contains(fmt.Sprint(seen.Handshake.Header["Sec-Websocket-Protocol"]), "s3cret") {
				t.Errorf("a secret is not masked: %v %v", seen.Handshake.URL, seen.Handshake.Header)
			}
			if name == "query" && seen.Handshake.URL.Query().Get("room") != "7" {
				t.Errorf("the rest of the URL is lost: %v", seen.Handshake.URL)
			}
			if w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the headers are %v", w.Header())
			}
		})
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("a secret is in the log:\n%s", log.String())
	}
}

// A request that means to carry a bearer token and has none, or two, of which a
// proxy may have checked the other, is refused before any authenticator is asked.
func TestAmbiguousAuthorizationIsRefused(t *testing.T) {
	b := brokertest.New(t, broker.Options{
		Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			t.Error("the authenticator was asked")
			return &auth.Principal{Name: "alice"}, nil
		}),
	})
	for name, headers := range map[string][]string{
		"no token":       {"Authorization", "Bearer"},
		"spaces":         {"Authorization", "bearer   "},
		"the same twice": {"Authorization", "Bearer s3cret", "Authorization", "Bearer s3cret"},
		"two schemes":    {"Authorization", "Basic YTpi", "Authorization", "Bearer s3cret"},
		"beside ticket":  {"Authorization", "Bearer a", "Authorization", "Bearer b", "Sec-WebSocket-Protocol", "ticket.good"},
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, request("GET", "/ws", "192.0.2.1:1", headers...))
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` || !strings.Contains(w.Body.String(), "one Authorization header") {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
}

// The ticket entry of the sub-protocols is never echoed (trap 41).
func TestTicketSubprotocolIsNotEchoed(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Authenticator: wallet()})
	for offered, want := range map[string]string{
		"v12.stomp, ticket.alice": "v12.stomp", "ticket.alice, v10.stomp, v11.stomp": "v11.stomp", "ticket.alice": "", "soap": "",
	} {
		res, _ := handshake(t, srv, "/ws", "Sec-WebSocket-Protocol", offered)
		if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != want {
			t.Errorf("%s was answered with %s %q, want %q", offered, res.Status, res.Header.Get("Sec-WebSocket-Protocol"), want)
		}
	}
}
