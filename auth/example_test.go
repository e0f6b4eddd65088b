package auth_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Each user can subscribe to their own reminders only, and only services can
// send them.
func Example() {
	rules, err := auth.Guarded().Prepend(
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/reminder/{user}"},
		auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/reminder/**"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/**", Roles: []string{"service"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, alice := context.Background(), &auth.Principal{Name: "alice"}
	fmt.Println(rules.Authorize(ctx, alice, auth.Subscribe, "/topic/reminder/alice"))
	fmt.Println(rules.Authorize(ctx, alice, auth.Subscribe, "/topic/reminder/bob"))
	fmt.Println(rules.Authorize(ctx, alice, auth.Send, "/topic/reminder/alice"))
	// Output:
	// <nil>
	// access to this destination is denied
	// access to this destination is denied
}

// A pattern is judged as a whole: all of its destinations are allowed, some, or
// none.
func ExampleRules_AuthorizePattern() {
	rules, err := auth.NewRules(
		auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/secret/**"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/**"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pattern := range []string{"/topic/news/*", "/topic/*/today", "/topic/secret/*"} {
		coverage, err := rules.AuthorizePattern(context.Background(), &auth.Principal{}, pattern)
		fmt.Println(pattern, coverage, err)
	}
	// Output:
	// /topic/news/* all <nil>
	// /topic/*/today some <nil>
	// /topic/secret/* none <nil>
}

// An Authenticator for API keys; everyone else is anonymous. A wrong key is
// rejected, because no other member knows API keys.
func ExampleChain() {
	apiKey := auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		switch a.Header("api-key") {
		case "":
			return nil, auth.ErrNotMine
		case "k1":
			return &auth.Principal{Name: "billing", Roles: []string{"service"}}, nil
		default:
			return nil, &auth.Refusal{Reason: "the API key is wrong"}
		}
	})
	chain := auth.Chain(apiKey, auth.Anonymous)
	for _, key := range []string{"k1", "k2", ""} {
		p, err := chain.Authenticate(context.Background(), &auth.Attempt{
			Stage:  auth.StageConnect,
			Header: func(string) string { return key },
		})
		var refusal *auth.Refusal
		switch {
		case errors.As(err, &refusal):
			fmt.Println("refused:", refusal.Reason)
		case p.Anonymous():
			fmt.Println("anonymous")
		default:
			fmt.Println(p.Name, p.Roles)
		}
	}
	// Output:
	// billing [service]
	// refused: the API key is wrong
	// anonymous
}

// Watchers are called before Revoke returns, and credentials issued earlier are
// rejected.
func ExampleRevocations() {
	revocations := auth.NewRevocations()
	cancel := revocations.Watch(func(e auth.Event) { fmt.Println("end the sessions of", e.Revocation.Credential) })
	defer cancel()
	if err := revocations.Revoke(context.Background(), auth.Revocation{Credential: "jti-17"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(revocations.Revoked(&auth.Principal{Name: "alice", CredentialID: "jti-17"}))
	fmt.Println(revocations.Revoked(&auth.Principal{Name: "alice", CredentialID: "jti-18"}))
	// Output:
	// end the sessions of jti-17
	// true
	// false
}
