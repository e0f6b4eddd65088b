package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// a user whose grant has ended is notified at the destination of the
// session's notices.
func TestA12ReconsentIsTold(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "ann")
	other := brokertest.Connect(t, b, "login", "bob")
	c.Subscribe(t, "s", "/user/topic/session")
	other.Subscribe(t, "s", "/user/topic/session")
	a := &Access{Broker: b, log: slog.New(slog.DiscardHandler)}
	a.reconsent("ann", "example")
	if m := c.Expect(t, "MESSAGE"); string(m.Body) != `{"event":"reconsent-needed","provider":"example"}` {
		t.Errorf("ann got %s", m.Body)
	}
	if seen := other.Sync(t); len(seen) > 0 {
		t.Errorf("bob got %v", seen)
	}
}

// T-4: with first_frame off, a handshake without a credential is rejected.
func TestT4HandshakeOnly(t *testing.T) {
	var no *auth.Refusal
	if _, err := handshakeOnly(context.Background(), &auth.Attempt{Stage: auth.StageHandshake}); !errors.As(err, &no) || no.StatusCode() != http.StatusUnauthorized {
		t.Errorf("at the handshake: %v", err)
	}
	if _, err := handshakeOnly(context.Background(), &auth.Attempt{Stage: auth.StageConnect}); !errors.Is(err, auth.ErrNotMine) {
		t.Errorf("at CONNECT: %v", err)
	}
}
