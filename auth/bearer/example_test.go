package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/bearer"
)

// The verifier as a broker uses it: keys by discovery, and roles as Keycloak
// writes them.
func Example() {
	verifier, err := bearer.New(bearer.Options{
		JWT: []bearer.JWT{{
			Issuer:     "https://login.example.com",
			Audience:   "https://broker.example.com",
			RolesClaim: "realm_access.roles",
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	authenticator := auth.Chain(verifier, auth.Anonymous)

	p, err := authenticator.Authenticate(context.Background(), &auth.Attempt{Stage: auth.StageConnect})
	fmt.Println(p.Anonymous(), err)

	_, err = authenticator.Authenticate(context.Background(), &auth.Attempt{Stage: auth.StageConnect, Bearer: "forged"})
	var refusal *auth.Refusal
	fmt.Println(errors.As(err, &refusal), refusal.StatusCode(), refusal.Challenge)
	// Output:
	// true <nil>
	// true 401 Bearer error="invalid_token"
}

// An HTTP endpoint that accepts the same tokens as the broker.
func ExampleVerifier_Verify() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("token") == "abcdef" {
			fmt.Fprint(w, `{"active":true,"sub":"alice","scope":"sensor-data"}`)
			return
		}
		fmt.Fprint(w, `{"active":false}`)
	}))
	defer server.Close()

	verifier, err := bearer.New(bearer.Options{
		Introspection: []bearer.Introspection{{URL: server.URL, Scopes: []string{"sensor-data"}}},
		Client:        server.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, token := range []string{"abcdef", "0123456789"} {
		p, err := verifier.Verify(context.Background(), token)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(p.Name, p.Scopes)
	}
	// Output:
	// alice [sensor-data]
	// bearer: invalid token: not active
}
