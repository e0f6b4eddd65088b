package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuer   = "https://idp.example"
	clientID = "app one"
	secret   = "s3cr et%"
)

var newKey = func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

var signingKey = sync.OnceValue(newKey)

// standin plays a provider. Its replies can be replaced, to be wrong in all the
// ways that a real one would not be.
type standin struct {
	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	kid      string
	claims   map[string]any // merged into the ID token of the next reply
	nonce    string
	document map[string]any
	user     map[string]any // the userinfo document

	tokenReply  func(w http.ResponseWriter, r *http.Request) // instead of the ordinary one
	revokeReply func(w http.ResponseWriter, r *http.Request)
	tokens      []*http.Request // token requests, with their forms parsed
	revoked     []url.Values
	grants      atomic.Int64 // counts the replies, and so numbers the tokens

	jwksRequests, discoveries atomic.Int64
}

func newStandin() *standin {
	return &standin{key: signingKey(), kid: "k1", document: map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize?tenant=1", "token_endpoint": issuer + "/token",
		"revocation_endpoint": issuer + "/revoke", "userinfo_endpoint": issuer + "/userinfo", "jwks_uri": issuer + "/jwks",
		"id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"},
	}}
}

// set changes the stand-in under its lock.
func (s *standin) set(change func(*standin)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *standin) tokenRequests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.tokens...)
}

func (s *standin) revocations() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.revoked...)
}

func (s *standin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		s.discoveries.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		writeJSON(w, http.StatusOK, s.document)
	case "/jwks":
		s.jwksRequests.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: s.kid, Algorithm: "ES256"}}})
	case "/token":
		s.serveToken(w, r)
	case "/revoke":
		r.ParseForm()
		s.mu.Lock()
		s.revoked = append(s.revoked, r.PostForm)
		custom := s.revokeReply
		s.mu.Unlock()
		if custom != nil {
			custom(w, r)
		}
	case "/userinfo":
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.user == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		writeJSON(w, http.StatusOK, s.user)
	default:
		http.NotFound(w, r)
	}
}

func (s *standin) serveToken(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	s.mu.Lock()
	s.tokens = append(s.tokens, r)
	custom := s.tokenReply
	s.mu.Unlock()
	if custom != nil {
		custom(w, r)
		return
	}
	writeJSON(w, http.StatusOK, s.grant())
}

// grant is a token reply with new tokens.
func (s *standin) grant() map[string]any {
	n := s.grants.Add(1)
	reply := map[string]any{
		"access_token": "access-" + itoa(n), "refresh_token": "refresh-" + itoa(n), "token_type": "bearer", "expires_in": 3600,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := map[string]any{
		"iss": issuer, "sub": "alice", "aud": clientID, "nonce": s.nonce, "sid": "provider-session",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range s.claims {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	reply["id_token"] = sign(s.key, s.kid, jose.ES256, claims)
	return reply
}

// logoutToken returns a good logout token with changes.
func (s *standin) logoutToken(change map[string]any) string {
	claims := map[string]any{
		"iss": issuer, "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"jti": newSecret(), "sid": "provider-session", "sub": "alice",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return sign(s.key, s.kid, jose.ES256, claims)
}

func sign(key any, kid string, alg jose.SignatureAlgorithm, claims any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func itoa(n int64) string {
	return string(rune('0'+n/100%10)) + string(rune('0'+n/10%10)) + string(rune('0'+n%10))
}

// direct carries requests to a handler without a network, so that tests can
// have a clock of their own.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	defer closeBody(r)
	w := httptest.NewRecorder()
	arrived := *r
	if arrived.Body == nil {
		arrived.Body = http.NoBody // as a server has it
	}
	d.ServeHTTP(w, &arrived)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// refuse writes an OAuth error reply.
func refuse(code string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "refresh-001 leaked"})
	}
}

// oidcProvider is the stand-in as a Provider.
func oidcProvider() Provider {
	return Provider{
		Name: "idp", Issuer: issuer, ClientID: clientID, ClientSecret: secret, Scopes: []string{"openid", "offline_access"},
		RedirectURL: "https://app.example/oauth/callback",
	}
}

// newClient returns a client of the stand-in.
func newClient(t testing.TB, s *standin, change func(*Options)) *Client {
	t.Helper()
	o := Options{Providers: []Provider{oidcProvider()}, Transport: direct{s}}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
