//go:build unix

package main

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// provider is an OpenID Connect provider that signs everybody in as ann, or who else
// is named, and knows one opaque token, bob's.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	opaque string

	mu      sync.Mutex
	nonce   string
	user    string            // who signs in; "" is ann
	short   bool              // access tokens of a login expire at once
	refuse  bool              // every refresh
	access  map[string]string // the users of the access tokens that are good
	refresh map[string]string // the users of the refresh tokens, each good once
	renewed int               // refreshes
	revoked bool              // the opaque token
	secrets []string          // every code, token and verifier it has seen or made
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, opaque: random(), access: make(map[string]string), refresh: make(map[string]string)}
	p.remember(p.opaque)
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the broker may be gone
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/jwks", "id_token_signing_alg_values_supported": []string{"RS256"},
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256",
			"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		code := random()
		p.mu.Lock()
		p.nonce = q.Get("nonce")
		p.mu.Unlock()
		p.remember(code, q.Get("state"), q.Get("nonce"))
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		answer, ok := p.grant(r.PostFormValue("refresh_token"))
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			reply(w, map[string]any{"error": "invalid_grant"})
			return
		}
		if nonce, login := answer["nonce"]; login {
			p.remember(r.PostFormValue("code_verifier"))
			answer["id_token"] = p.sign(map[string]any{"aud": "broker", "sub": answer["user"], "nonce": nonce})
		}
		reply(w, answer)
	})
	mux.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("token") != p.opaque {
			reply(w, map[string]any{"active": false})
			return
		}
		p.mu.Lock()
		revoked := p.revoked
		p.mu.Unlock()
		if revoked {
			reply(w, map[string]any{"active": false})
			return
		}
		// What means something to Hoofbeat itself is not the provider's to grant.
		reply(w, map[string]any{
			"active": true, "sub": "bob", "iss": p.URL, // and nothing of how long it lives
			"scope": "operation:login-1", "roles": []string{"backend"},
		})
	})
	return p
}

// grant makes tokens for a refresh token, or for a login if there is none.
func (p *provider) grant(old string) (map[string]any, bool) {
	access, next := random(), random()
	p.remember(access, next)
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := map[string]any{"access_token": access, "refresh_token": next, "token_type": "Bearer", "expires_in": 3600}
	user := cmp.Or(p.user, "ann")
	if old == "" {
		answer["nonce"], answer["user"] = p.nonce, user
		if p.short {
			answer["expires_in"] = 1
		}
	} else {
		known := false
		if user, known = p.refresh[old]; !known || p.refuse {
			return nil, false
		}
		delete(p.refresh, old)
		p.renewed++
	}
	if old != "" || !p.short {
		p.access[access] = user
	}
	p.refresh[next] = user
	return answer, true
}

func (p *provider) remember(secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = append(p.secrets, secrets...)
}

// sign makes a JWT of this issuer with the claims.
func (p *provider) sign(claims map[string]any) string {
	all := map[string]any{"iss": p.URL, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	head, _ := json.Marshal(map[string]string{"alg": "RS256", "kid": "k1", "typ": "JWT"})
	body, _ := json.Marshal(all)
	text := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a key that was just made
	}
	token := text + "." + b64(signature)
	p.remember(token)
	return token
}

// token is an access token for the broker.
func (p *provider) token(user string) string {
	return p.sign(map[string]any{"aud": "hoofbeat", "sub": user, "jti": random(), "scope": "chat", "roles": []string{"writer"}})
}

func b64(p []byte) string { return base64.RawURLEncoding.EncodeToString(p) }

func random() string { return rand.Text() }
