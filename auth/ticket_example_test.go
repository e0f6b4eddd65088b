package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hoofbeat/hoofbeat/auth"
)

// A program that authenticates its users itself mints a ticket and puts it into
// the page.
func ExampleTickets() {
	ctx := context.Background()
	tickets, err := auth.NewTickets(auth.NewStore(), auth.TicketOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket, err := tickets.Mint(ctx, auth.Grant{Principal: &auth.Principal{Name: "alice"}, Operation: "payment-4711"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		p, err := tickets.Consume(ctx, ticket.Value, "")
		if err != nil {
			var refusal *auth.Refusal
			fmt.Println("log:", err)
			fmt.Println("client:", errors.As(err, &refusal), refusal)
			continue
		}
		fmt.Println(p.Name, p.Scopes)
	}
	// Output:
	// alice [operation:payment-4711]
	// log: auth: ticket refused: used before
	// client: true invalid_ticket
}

// The endpoint at which pages exchange their bearer token for a ticket.
func ExampleTickets_Handler() {
	tickets, err := auth.NewTickets(auth.NewStore(), auth.TicketOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoint, err := tickets.Handler(auth.HandlerOptions{
		Origins: []string{"https://app.example.com"},
		Bearer: func(_ context.Context, token string) (*auth.Principal, error) {
			if token != "t0ken" { // a verifier of real tokens is in auth/bearer
				return nil, &auth.Refusal{Challenge: `Bearer error="invalid_token"`}
			}
			return &auth.Principal{Name: "alice"}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ws_ticket", endpoint)
	for _, token := range []string{"t0ken", "wrong"} {
		r := httptest.NewRequest("POST", "/ws_ticket", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Printf("%d %s %q\n", w.Code, w.Header().Get("Cache-Control"), w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// 200 no-store ""
	// 401 no-store "Bearer error=\"invalid_token\""
}

// Watchers are called before Revoke returns, and credentials issued earlier are
// rejected.
func ExampleStore() {
	store := auth.NewStore()
	cancel := store.Watch(func(r auth.Revocation) { fmt.Println("end the sessions of", r.Credential) })
	defer cancel()
	if err := store.Revoke(auth.Revocation{Credential: "jti-17"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Revoked(&auth.Principal{Name: "alice", CredentialID: "jti-17"}))
	fmt.Println(store.Revoked(&auth.Principal{Name: "alice", CredentialID: "jti-18"}))
	// Output:
	// end the sessions of jti-17
	// true
	// false
}
