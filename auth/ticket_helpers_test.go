package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func key(c byte) Secret {
	return Secret{ID: "k" + string(c), Key: bytes.Repeat([]byte{c}, MinSecretBytes)}
}

func mustTickets(t testing.TB, s *Store, o TicketOptions) *Tickets {
	t.Helper()
	tickets, err := NewTickets(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return tickets
}

// bothForms runs a test in a synctest bubble for opaque tickets and in one for
// signed ones.
func bothForms(t *testing.T, o TicketOptions, test func(t *testing.T, tickets *Tickets)) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o.Signed = signed
				if o.Secrets == nil {
					o.Secrets = []Secret{key('a')}
				}
				test(t, mustTickets(t, NewStore(), o))
			})
		})
	}
}

func mint(t testing.TB, tickets *Tickets, g Grant) Ticket {
	t.Helper()
	ticket, err := tickets.Mint(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func user(name string) Grant { return Grant{Principal: &Principal{Name: name}} }

// consumed returns the accepted user, or why the ticket was rejected. It checks
// that the client learns nothing more.
func consumed(t testing.TB, tickets *Tickets, value, origin string) string {
	t.Helper()
	p, err := tickets.Consume(t.Context(), value, origin)
	return verdictOf(t, p, err)
}

func verdictOf(t testing.TB, p *Principal, err error) string {
	t.Helper()
	if err == nil {
		return p.Name
	}
	var cause *TicketError
	var refusal *Refusal
	if p != nil || !errors.As(err, &cause) || !errors.As(err, &refusal) ||
		*refusal != (Refusal{Status: 401, Reason: "invalid_ticket"}) || err.Error() != "auth: ticket refused: "+cause.Cause.String() {
		t.Fatalf("got %v, %v", p, err)
	}
	return cause.Cause.String()
}

// status returns the status of a refusal and how long to wait.
func status(t testing.TB, err error) (int, time.Duration) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("no refusal: %v", err)
	}
	return refusal.StatusCode(), refusal.RetryAfter
}

// pass advances the time in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func attempt(stage Stage, ticket, origin string) *Attempt {
	h := &Handshake{Header: map[string][]string{}}
	if origin != "" {
		h.Header.Set("Origin", origin)
	}
	a := &Attempt{Stage: stage, Ticket: ticket, Handshake: h, Header: func(string) string { return "" }}
	if stage == StageHandshake {
		a.Header = h.Header.Get
	}
	return a
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
