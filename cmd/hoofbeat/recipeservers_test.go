//go:build unix

package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// realm is a provider whose tokens say what the page's recipes ask for.
type realm struct{ *provider }

const realmSecret = "secret-of-the-client-0123456789"

func newRealm(t *testing.T) realm {
	t.Helper()
	p := realm{newProvider(t)}
	mux := http.NewServeMux()
	mux.Handle("/", p.Config.Handler)
	asBroker := func(id string, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name, secret, ok := r.BasicAuth(); !ok || name != id || secret != realmSecret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			h(w, r)
		}
	}
	mux.HandleFunc("/token", asBroker("hoofbeat", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		nonce := p.nonce
		p.mu.Unlock()
		id := p.sign(map[string]any{
			"aud": "hoofbeat", "sub": "1b2c", "preferred_username": "ann", "nonce": nonce, "realm_access": map[string]any{"roles": []string{"writer"}},
		})
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": random(), "id_token": id, "token_type": "Bearer", "expires_in": 3600})
	}))
	mux.HandleFunc("/introspect", asBroker("broker", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"active": r.PostFormValue("token") == p.opaque, "sub": "bob", "aud": "https://broker.example.com", "iss": p.URL,
		})
	}))
	outer := httptest.NewServer(mux)
	t.Cleanup(outer.Close)
	p.URL = outer.URL
	return p
}

// access is an access token for the broker of the page.
func (p realm) access(user string) string {
	return p.sign(map[string]any{
		"aud": "https://broker.example.com", "sub": user, "jti": random(), "realm_access": map[string]any{"roles": []string{"writer"}},
	})
}

// newProxy ends TLS in front of a broker, as the page asks of one, for a client at
// 198.51.100.7.
func newProxy(t *testing.T, to string) string {
	t.Helper()
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to})
		r.Out.Host = r.In.Host
		r.Out.Header.Set("X-Forwarded-For", "198.51.100.7")
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// insecurely is for the certificate of that proxy.
var insecurely = &tls.Config{InsecureSkipVerify: true}

func backendTicket(t *testing.T, secret string) string {
	t.Helper()
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{Signed: true, Secrets: []ticket.Secret{{ID: "main", Key: []byte(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := tickets.MintBackend(t.Context(), secret, ticket.Grant{})
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Value
}

func basicAuth(name, passcode string) string {
	r := http.Request{Header: make(http.Header)}
	r.SetBasicAuth(name, passcode)
	return r.Header.Get("Authorization")
}

// hashOf returns the hash in an entry that `hoofbeat passwd` has printed.
func hashOf(entry string) string {
	return strings.Trim(regexp.MustCompile(`(?m)hash: *(\S+)$`).FindStringSubmatch(entry)[1], `"'`)
}
