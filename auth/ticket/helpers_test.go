package ticket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func key(c byte) Secret {
	return Secret{ID: "k" + string(c), Key: bytes.Repeat([]byte{c}, auth.MinSecretBytes)}
}

// state is what the issuers of a process share.
type state struct {
	memory      *Memory
	revocations *auth.Revocations
}

func newState() state { return state{NewMemory(), auth.NewRevocations()} }

// stateOf returns the state of an issuer, for another that shares it.
func stateOf(tickets *Issuer) state { return state{memoryOf(tickets), tickets.revocations} }

func memoryOf(tickets *Issuer) *Memory { return tickets.store.(*Memory) }

func mustTickets(t testing.TB, s state, o Options) *Issuer {
	t.Helper()
	tickets, err := New(s.memory, s.revocations, o)
	if err != nil {
		t.Fatal(err)
	}
	return tickets
}

func revoke(t testing.TB, s *auth.Revocations, r auth.Revocation) {
	t.Helper()
	if err := s.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func bump(t testing.TB, s *auth.Revocations, user string) {
	t.Helper()
	if err := s.BumpEpoch(t.Context(), user); err != nil {
		t.Fatal(err)
	}
}

// bothForms runs a test in a synctest bubble for opaque tickets and in one for
// signed ones.
func bothForms(t *testing.T, o Options, test func(t *testing.T, tickets *Issuer)) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o.Signed = signed
				if o.Secrets == nil {
					o.Secrets = []Secret{key('a')}
				}
				test(t, mustTickets(t, newState(), o))
			})
		})
	}
}

func mint(t testing.TB, tickets *Issuer, g Grant) Ticket {
	t.Helper()
	ticket, err := tickets.Mint(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func user(name string) Grant { return Grant{Principal: &auth.Principal{Name: name}} }

// consumed returns the accepted user, or why the ticket was rejected. It checks
// that the client learns nothing more.
func consumed(t testing.TB, tickets *Issuer, value, origin string) string {
	t.Helper()
	p, err := tickets.Consume(t.Context(), value, origin)
	return verdictOf(t, p, err)
}

func verdictOf(t testing.TB, p *auth.Principal, err error) string {
	t.Helper()
	if err == nil {
		return p.Name
	}
	var cause *Error
	var refusal *auth.Refusal
	if p != nil || !errors.As(err, &cause) || !errors.As(err, &refusal) ||
		*refusal != (auth.Refusal{Status: 401, Reason: "invalid_ticket"}) || err.Error() != "ticket refused: "+cause.Cause.String() {
		t.Fatalf("got %v, %v", p, err)
	}
	return cause.Cause.String()
}

// status returns the status of a refusal and how long to wait.
func status(t testing.TB, err error) (int, time.Duration) {
	t.Helper()
	var refusal *auth.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("no refusal: %v", err)
	}
	return refusal.StatusCode(), refusal.RetryAfter
}

// pass advances the time in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func attempt(stage auth.Stage, ticket, origin string) *auth.Attempt {
	h := &auth.Handshake{Header: map[string][]string{}}
	if origin != "" {
		h.Header.Set("Origin", origin)
	}
	a := &auth.Attempt{Stage: stage, Ticket: ticket, Handshake: h, Header: func(string) string { return "" }}
	if stage == auth.StageHandshake {
		a.Header = h.Header.Get
	}
	return a
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
