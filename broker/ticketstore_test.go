package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// downStore is a store of tickets that fails, or hangs until its caller gives up.
type downStore struct {
	*ticket.Memory
	hangs bool
}

var errStoreDown = errors.New("dial tcp 10.0.0.1:4222: connection refused")

func (s downStore) Take(ctx context.Context, _ ticket.Key) (ticket.Record, error) {
	if s.hangs {
		<-ctx.Done()
		return ticket.Record{}, ctx.Err()
	}
	return ticket.Record{}, errStoreDown
}

// A store of tickets that has no answer lets nobody in. The client is asked to
// come back, the log says why, and it does not count as guessing.
func TestTicketsWithoutTheirStore(t *testing.T) {
	for name, c := range map[string]struct {
		store downStore
		cause string
	}{
		"fails": {downStore{ticket.NewMemory(), false}, "connection refused"},
		"hangs": {downStore{ticket.NewMemory(), true}, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				revocations := auth.NewRevocations()
				tickets, err := ticket.New(c.store, revocations, ticket.Options{})
				if err != nil {
					t.Fatal(err)
				}
				b := brokertest.New(t, broker.Options{
					Authenticator: tickets, Revocations: revocations, Limits: broker.Limits{AddressFailures: 1},
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				minted, err := tickets.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}})
				if err != nil {
					t.Fatal(err)
				}
				for range 3 { // a guess would be answered with 429 the second time
					log.Reset()
					start := time.Now()
					w := httptest.NewRecorder()
					b.ServeHTTP(w, request("GET", "/ws?ticket="+minted.Value, "192.0.2.1:1"))
					if w.Code != 503 || w.Header().Get("Retry-After") != "2" || strings.TrimSpace(w.Body.String()) != `{"error":"tickets are not available at the moment"}` {
						t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("it took %v", took)
					}
					if !strings.Contains(log.String(), c.cause) || strings.Contains(log.String(), minted.Value) {
						t.Errorf("the log should say %q and not the ticket:\n%s", c.cause, log.String())
					}
					<-time.After(time.Minute)
				}
			})
		})
	}
}

// A new credential epoch ends no session; only a revocation does, wherever it was
// decided.
func TestEventsOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		b := brokertest.New(t, o.options())
		c := brokertest.Connect(t, b, "ticket", o.ticket(t, "alice"))
		for _, e := range []auth.Event{{User: "alice", Source: "elsewhere", Epoch: 1}, {Revocation: auth.Revocation{User: "bob"}}} {
			if err := o.store.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if seen := c.Sync(t); len(seen) > 0 {
			t.Errorf("got %v", seen)
		}
		if err := o.store.Apply(auth.Event{Revocation: auth.Revocation{User: "alice"}, Source: "elsewhere", Epoch: 2}); err != nil {
			t.Fatal(err)
		}
		wantError(t, c, 1008, "session revoked")
	})
}
