package ticket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// A program that authenticates its users itself mints a ticket and puts it into
// the page.
func ExampleIssuer() {
	ctx := context.Background()
	issuer, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	minted, err := issuer.Mint(ctx, ticket.Grant{Principal: &auth.Principal{Name: "alice"}, Operation: "payment-4711"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		p, err := issuer.Consume(ctx, minted.Value, "")
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
	// log: ticket refused: used before
	// client: true invalid_ticket
}

// The endpoint at which pages exchange their bearer token for a ticket.
func ExampleIssuer_Handler() {
	issuer, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoint, err := issuer.Handler(ticket.HandlerOptions{
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
