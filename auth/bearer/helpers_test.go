package bearer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nobody is an address without a listener: the system never assigns such a low
// port.
const nobody = "http://127.0.0.1:1"

const audience = "https://broker.example.com"

// epoch is the time at which the tests run.
var epoch = time.Unix(1_800_000_000, 0)

// testClock is a clock that stands still until it is moved.
type testClock struct{ offset atomic.Int64 }

func (c *testClock) now() time.Time          { return epoch.Add(time.Duration(c.offset.Load())) }
func (c *testClock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// server is an HTTP server that counts its requests. A test may change its
// answer.
type server struct {
	*httptest.Server
	requests atomic.Int64
	mu       sync.Mutex
	handler  http.HandlerFunc
}

func newServer(t testing.TB, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{handler: h}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// asked fails the test unless the server has received exactly n requests since
// the last call of asked.
func (s *server) asked(t testing.TB, n int64) {
	t.Helper()
	if got := s.requests.Swap(0); got != n {
		t.Fatalf("the server got %d requests, want %d", got, n)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // the client may hang up
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// faults are server faults that must never get a token accepted.
var faults = map[string]http.HandlerFunc{
	"error":     status(http.StatusInternalServerError),
	"not found": status(http.StatusNotFound),
	"empty":     text(""),
	"garbage":   text("<html>"),
	"null":      text("null"),
	"list":      text("[]"),
	"oversize":  text(`{"active":true,"sub":"alice","pad":"` + strings.Repeat("x", maxDocument) + `"}`),
	"truncated": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"active":true`)) // the rest never comes
	},
	"hang up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	},
}

// signer is a private key with its name and algorithm.
type signer struct {
	kid string
	alg jose.SignatureAlgorithm
	key crypto.Signer
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) })
	p256Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	otherKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func es256(kid string) signer { return signer{kid, jose.ES256, p256Key()} }

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
}

// keySetOf returns the handler of a JWK set.
func keySetOf(t testing.TB, keys ...jose.JSONWebKey) http.HandlerFunc {
	t.Helper()
	return text(string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys}))))
}

type claims map[string]any

// with returns c with one claim changed, or removed if value is nil.
func (c claims) with(name string, value any) claims {
	c = maps.Clone(c)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func goodClaims(issuer string) claims {
	return claims{
		"iss": issuer, "sub": "alice", "aud": audience, "jti": "token-1",
		"iat": epoch.Unix() - 10, "exp": epoch.Unix() + 600, "scope": "sensor-data profile", "roles": []string{"service"},
	}
}

// sign makes a token with additional header parameters.
func (s signer) sign(t testing.TB, c any, header map[jose.HeaderKey]any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return s.signRaw(t, payload, header)
}

func (s signer) signRaw(t testing.TB, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	key := jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}
	js, err := jose.NewSigner(key, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := js.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newVerifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// issuerAt returns a verifier of one issuer, whose key set s serves, and its
// clock.
func issuerAt(t testing.TB, s *server, change func(*JWT)) (*Verifier, *testClock) {
	t.Helper()
	clock := &testClock{}
	o := JWT{Issuer: "https://issuer.example.com", Audience: audience, JWKS: s.URL + "/keys", Algorithms: []string{"ES256"}}
	if change != nil {
		change(&o)
	}
	return newVerifier(t, Options{JWT: []JWT{o}, Client: s.Client(), Clock: clock.now}), clock
}

const issuerName = "https://issuer.example.com"

func accept(t testing.TB, v *Verifier, token string) *auth.Principal {
	t.Helper()
	p, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

// refuse fails the test unless the token is rejected by that rule, with the
// right answer.
func refuse(t testing.TB, v *Verifier, token string, rule error) *Error {
	t.Helper()
	p, err := v.Verify(context.Background(), token)
	var e *Error
	var refusal *auth.Refusal
	if p != nil || !errors.As(err, &e) || !errors.As(err, &refusal) || !errors.Is(err, rule) {
		t.Fatalf("answered %v, %v, want %v", p, err, rule)
	}
	code, challenge := http.StatusUnauthorized, `Bearer error="invalid_token"`
	switch {
	case errors.Is(rule, ErrUnavailable):
		code, challenge = http.StatusServiceUnavailable, ""
	case errors.Is(rule, ErrMissing):
		challenge = "Bearer"
	case errors.Is(rule, ErrScope):
		code, challenge = http.StatusForbidden, refusal.Challenge
	}
	if refusal.Status != code || refusal.Challenge != challenge || (refusal.RetryAfter > 0) != (code == 503) {
		t.Fatalf("%v is answered with %+v", rule, *refusal)
	}
	if len(token) > 8 && (strings.Contains(err.Error(), token) || strings.Contains(refusal.Reason, token)) {
		t.Fatal("the token is in the error")
	}
	return e
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
