package bearer

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// slowServer accepts the token "ann" and answers slowly.
func slowServer(each time.Duration) *http.Client {
	return testkit.SlowClient(each, func(body string) string {
		if strings.HasPrefix(body, "token=ann&") {
			return `{"active":true,"sub":"ann"}`
		}
		return `{"active":false}`
	})
}

func from(address, token string) *auth.Attempt {
	return &auth.Attempt{
		Stage: auth.StageConnect, Bearer: token, Remote: netip.AddrPortFrom(netip.MustParseAddr(address), 4711),
		Header: func(string) string { return "" },
	}
}

// Clients that try tokens delay those of their own network, and a client of
// another network by at most one request.
func TestQuestionsAreSharedOutAmongNetworks(t *testing.T) {
	for _, test := range []struct {
		name     string
		networks int
		each     time.Duration // that the server takes for a question
		patience time.Duration // that ann needs
	}{
		{"one network finds turns for others", 1, 3 * time.Second, 3 * time.Second},
		{"many go round", 20, 500 * time.Millisecond, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVerifier(t, Options{
					Introspection: []Introspection{{URL: "https://login.example.com/introspect", ClientID: "b", ClientSecret: "s"}},
					Client:        slowServer(test.each),
				})
				ctx, cancel := context.WithCancel(t.Context())
				var flood sync.WaitGroup
				for n := range test.networks {
					for i := range 100 {
						flood.Go(func() {
							_, _ = v.Authenticate(ctx, from(fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("wrong-%d-%d", n, i)))
						})
					}
				}
				synctest.Wait()
				start := time.Now()
				p, err := v.Authenticate(t.Context(), from("198.51.100.1", "ann"))
				if err != nil || p.Name != "ann" {
					t.Errorf("ann: %v, %v", p, err)
				}
				if d := time.Since(start); d > test.patience {
					t.Errorf("ann waited %v, longer than %v", d, test.patience)
				}
				cancel()
				flood.Wait()
				time.Sleep(callTimeout) // of the fake clock: questions that nobody waits for any more
				synctest.Wait()
				if taken, waiting := v.endpoints[0].turns.Usage(); taken != 0 || waiting != 0 {
					t.Errorf("afterwards %d turns are taken and %d wait", taken, waiting)
				}
			})
		})
	}
}

// Clients that name unknown keys use up the fetches of their own network only:
// clients of another network get a new key within 5 s, and the issuer gets no
// more requests than that.
func TestFetchesOfKeysAreSharedOutAmongNetworks(t *testing.T) {
	s := es256("old")
	srv := newServer(t, keySetOf(t, s.public()))
	v, clock := issuerAt(t, srv, nil)
	accept(t, v, s.sign(t, goodClaims(issuerName), nil))
	clock.advance(keysInterval)
	unknown := signer{"unknown", jose.ES256, otherKey()}.sign(t, goodClaims(issuerName), nil)
	strange := func() {
		t.Helper()
		if _, err := v.Authenticate(t.Context(), from("192.0.2.1", unknown)); err == nil {
			t.Error("a stranger is let in")
		}
	}
	srv.asked(t, 1)
	strange()
	srv.asked(t, 1)

	rotated := es256("new") // just after the stranger has caused the fetch
	srv.answer(keySetOf(t, rotated.public()))
	token := rotated.sign(t, goodClaims(issuerName), nil)
	for range 4 {
		clock.advance(emptyInterval - 1)
		strange()
		srv.asked(t, 0)
		clock.advance(1)
		strange()
		srv.asked(t, 0) // for its network has had its fetch
	}
	if p, err := v.Authenticate(t.Context(), from("198.51.100.1", token)); err != nil || p.Name != "alice" {
		t.Errorf("a token of the new key: %v, %v", p, err)
	}
	srv.asked(t, 1)

	// However many networks there are, all together cause one fetch each 5 s.
	for i := range 100 {
		_, _ = v.Authenticate(t.Context(), from(fmt.Sprintf("203.0.113.%d", i), unknown))
	}
	srv.asked(t, 0)
	clock.advance(emptyInterval)
	for i := range 100 {
		_, _ = v.Authenticate(t.Context(), from(fmt.Sprintf("203.0.113.%d", i), unknown))
	}
	srv.asked(t, 1)
	clock.advance(keysInterval)
	strange()
	srv.asked(t, 1)
	for _, i := range v.issuers {
		if n := len(i.keys.causes); n != 1 {
			t.Errorf("%d networks are remembered, want 1", n)
		}
	}
}
