package ticket

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
)

// mayWait replaces the owner check of operations: op belongs to alice.
func mayWait(_ context.Context, p *auth.Principal, operation string) (bool, error) {
	if operation == "down" {
		return false, errors.New("dial tcp 10.0.0.1:443: refused")
	}
	return p.Name == "alice" && operation == "op", nil
}

func TestT13OperationByHTTP(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	h := mustHandler(t, tickets, HandlerOptions{Bearer: bearers, MayWait: mayWait})
	ticket, _ := reply(t, ask(h, "POST", "/t", `{"operation":"op"}`, "Authorization: Bearer alice", "Content-Type: application/json"))
	p, err := tickets.Consume(t.Context(), ticket, "")
	if err != nil || !p.HasScope("operation:op") {
		t.Errorf("got %v, %v", p, err)
	}
}

// Without MayWait, only a principal that is already bound to an operation gets
// a ticket for it.
func TestOperationByHTTPWithoutMayWait(t *testing.T) {
	bound := func(context.Context, string) (*auth.Principal, error) {
		return &auth.Principal{Name: "alice", Scopes: []string{"operation:op"}}, nil
	}
	tickets := mustTickets(t, newState(), Options{})
	for _, c := range []struct {
		bearer    func(context.Context, string) (*auth.Principal, error)
		operation string
		want      int
	}{{bearers, "op", 403}, {bound, "op", 200}, {bound, "other", 400}} {
		h := mustHandler(t, tickets, HandlerOptions{Bearer: c.bearer})
		w := ask(h, "POST", "/t", `{"operation":"`+c.operation+`"}`, "Authorization: Bearer alice", "Content-Type: application/json")
		if w.Code != c.want {
			t.Errorf("%s: HTTP %d, want %d", c.operation, w.Code, c.want)
		}
	}
}

// Guessing the names of operations has the same rate limit as requesting
// tickets, and MayWait, which may query other services, is called no more
// often.
func TestGuessingOperationsIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := mustHandler(t, mustTickets(t, newState(), Options{Burst: 2, Rate: 1}), HandlerOptions{
			Bearer:  bearers,
			MayWait: func(context.Context, *auth.Principal, string) (bool, error) { asked++; return false, nil },
		})
		for i, want := range []int{403, 403, 429, 429} {
			if w := ask(h, "POST", "/t", `{"operation":"x"}`, "Authorization: Bearer bob", "Content-Type: application/json"); w.Code != want {
				t.Errorf("request %d: HTTP %d, want %d", i, w.Code, want)
			}
		}
		if asked != 2 {
			t.Errorf("MayWait was asked %d times, want 2", asked)
		}
	})
}
