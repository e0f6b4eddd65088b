package bearer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
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

// The answers that are remembered take what Options.CacheSize says, however
// large the claims are that a provider puts into them, and whether the tokens
// are valid or not.
func TestCachedAnswersHoldWhatIsDocumented(t *testing.T) {
	objects := `"a":[` + strings.Repeat(`{"b":1},`, 500) + `0]` // 4 KB of text, 200 KB of memory
	for name, test := range map[string]struct {
		claims   func(token string) string
		accepted bool
		tokens   int
		most     int64
	}{
		"usual": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"scope":"profile mail","roles":["user"],"exp":4000000000,"iss":"https://login.example.com"`, token)
		}, true, 2 * DefaultCacheSize, DefaultCacheSize * answerBytes},
		"large, of many users": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,%s`, token, objects)
		}, true, 1000, DefaultCacheSize * answerBytes},
		"large, of one user": {func(string) string {
			return `"sub":"ann",` + objects
		}, true, 1000, DefaultCacheSize * answerBytes / sharesOfCache},
		"scopes": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"scope":%q`, token, strings.Repeat("a ", 7000))
		}, true, 1000, DefaultCacheSize * answerBytes},
		"too large": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"a":[%s0]`, token, strings.Repeat(`{"b":1},`, 1000))
		}, false, 300, 300 * 320},
		"invalid": {func(string) string {
			return `"sub":false`
		}, false, 2 * DefaultCacheSize, DefaultCacheSize * 320},
	} {
		t.Run(name, func(t *testing.T) {
			v := introspecting(t, answering(test.claims))
			before := testkit.Heap()
			for i := range test.tokens {
				p, err := v.Verify(context.Background(), fmt.Sprintf("token-%d", i))
				if (err == nil) != test.accepted {
					t.Fatalf("%v, %v", p, err)
				}
			}
			e := v.endpoints[0]
			held := testkit.Heap() - before
			t.Logf("%d and %d answers hold %d bytes, %d are counted", e.good.order.Len(), e.bad.order.Len(), held, e.good.bytes)
			if most := test.most*5/4 + 256<<10; held > most {
				t.Errorf("%d bytes are held, at most %d may be", held, most)
			}
			if test.accepted && (e.good.order.Len() == 0 || held < e.good.bytes/2 || held > e.good.bytes*5/4+256<<10) {
				t.Errorf("%d bytes are held for %d answers, %d are counted", held, e.good.order.Len(), e.good.bytes)
			}
			runtime.KeepAlive(v)
		})
	}
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
