package bearer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// answering returns a client whose server calls every token active, with the
// claims that the token stands for.
func answering(claimsOf func(token string) string) *http.Client {
	return testkit.SlowClient(0, func(body string) string {
		token, _, _ := strings.Cut(strings.TrimPrefix(body, "token="), "&")
		return `{"active":true,` + claimsOf(token) + `}`
	})
}

func introspecting(t testing.TB, c *http.Client) *Verifier {
	return newVerifier(t, Options{
		Introspection: []Introspection{{URL: "https://login.example.com/introspect", Recheck: -1}}, Client: c,
	})
}

// One user's answers do not displace those of others, however many tokens and
// claims the user has.
func TestCacheIsSharedOutAmongUsers(t *testing.T) {
	v := introspecting(t, answering(func(token string) string {
		if strings.HasPrefix(token, "ann") {
			return `"sub":"ann"`
		}
		return `"sub":"bob","a":[` + strings.Repeat(`{"b":1},`, 500) + `0]`
	}))
	accept(t, v, "ann")
	for i := range 500 {
		accept(t, v, fmt.Sprintf("bob-%d", i))
	}
	e := v.endpoints[0]
	if _, ok := e.good.get(digestOf("ann"), e.now()); !ok {
		t.Error("ann's answer is forgotten")
	}
	if got, most := e.good.owners["bob"], e.good.share; got > most || got < most/2 {
		t.Errorf("bob's answers weigh %d bytes, want up to %d", got, most)
	}
	for token := range e.good.entries {
		e.good.remove(token)
	}
	if e.good.bytes != 0 || len(e.good.owners) != 0 {
		t.Errorf("an empty cache counts %d bytes of %d users", e.good.bytes, len(e.good.owners))
	}
}

// A session keeps the claims of its token, so a token with more than the limit
// is rejected, at an endpoint and with its own signature.
func TestHeavyClaimsAreRejected(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	objects := func(n int) claims {
		return goodClaims(issuerName).with("a", json.RawMessage("["+strings.Repeat(`{"b":1},`, n)+"0]"))
	}
	p := accept(t, v, s.sign(t, objects(500), nil))
	if got := weigh(p); got < 100<<10 || got > weight.MaxClaims {
		t.Errorf("the claims weigh %d bytes: the test does not do what it says", got)
	}
	refuse(t, v, s.sign(t, objects(700), nil), errWeight)
}
