package interop

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
	"golang.org/x/crypto/bcrypt"
)

const (
	clientID     = "hoofbeat:app" // needs the encoding of RFC 6749 section 2.3.1
	clientSecret = "a secret & more of it"
	publicID     = "hoofbeat-public"
)

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// server is an authorization server and a resource server, both fosite's. Whoever comes is alice and consents.
type server struct {
	*httptest.Server
	key    *rsa.PrivateKey
	store  *storage.MemoryStore
	fosite fosite.OAuth2Provider
	// fosite's memory store hands out the same session object to everybody, which its handlers then change.
	mu sync.Mutex

	deny          atomic.Bool
	refreshes     atomic.Int64
	tokenRequests atomic.Int64
}

// newServer returns a server whose access tokens live that long.
func newServer(t *testing.T, redirectURL string, accessToken time.Duration) *server {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(clientSecret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{key: key, store: storage.NewMemoryStore()}
	client := fosite.DefaultClient{
		ID: clientID, Secret: hash, RedirectURIs: []string{redirectURL}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "offline_access", "read"},
	}
	public := client
	public.ID, public.Secret, public.Public = publicID, nil, true
	s.store.Clients[clientID], s.store.Clients[publicID] = &client, &public

	mux := http.NewServeMux()
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.fosite = compose.ComposeAllEnabled(&fosite.Config{
		GlobalSecret: []byte("some-secret-that-is-32-bytes-lon"), AccessTokenLifespan: accessToken, RefreshTokenLifespan: time.Hour,
		EnforcePKCE: true, EnforcePKCEForPublicClients: true, IDTokenIssuer: s.URL, TokenURL: s.URL + "/token",
	}, s.store, key)

	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /jwks", s.jwks)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /revoke", s.revoke)
	mux.HandleFunc("GET /me", s.resource)
	return s
}

func (s *server) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
		"revocation_endpoint": s.URL + "/revoke", "jwks_uri": s.URL + "/jwks",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
	})
}

func (s *server) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
}

func (s *server) session() *openid.DefaultSession {
	now := time.Now()
	return &openid.DefaultSession{
		Subject: "alice",
		Claims: &jwt.IDTokenClaims{
			Issuer: s.URL, Subject: "alice", IssuedAt: now, RequestedAt: now, AuthTime: now, ExpiresAt: now.Add(time.Hour),
			Extra: map[string]any{"sid": "session-of-alice", "roles": []string{"ops"}},
		},
		Headers: &jwt.Headers{Extra: map[string]any{"kid": "k1"}},
	}
}

func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := r.Context()
	request, err := s.fosite.NewAuthorizeRequest(ctx, r)
	if err == nil && s.deny.Load() {
		err = fosite.ErrAccessDenied
	}
	if err != nil {
		s.fosite.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.fosite.NewAuthorizeResponse(ctx, request, s.session())
	if err != nil {
		s.fosite.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.fosite.WriteAuthorizeResponse(ctx, w, request, response)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := r.Context()
	s.tokenRequests.Add(1)
	request, err := s.fosite.NewAccessRequest(ctx, r, openid.NewDefaultSession())
	if err != nil {
		s.fosite.WriteAccessError(ctx, w, request, err)
		return
	}
	if request.GetGrantTypes().ExactOne("refresh_token") {
		s.refreshes.Add(1)
	}
	response, err := s.fosite.NewAccessResponse(ctx, request)
	if err != nil {
		s.fosite.WriteAccessError(ctx, w, request, err)
		return
	}
	s.fosite.WriteAccessResponse(ctx, w, request, response)
}

func (s *server) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fosite.WriteRevocationResponse(r.Context(), w, s.fosite.NewRevocationRequest(r.Context(), r))
}

// resource answers with the token's subject.
func (s *server) resource(w http.ResponseWriter, r *http.Request) {
	request, err := s.introspect(r.Context(), fosite.AccessTokenFromRequest(r))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	writeJSON(w, map[string]string{"username": request.GetSession().GetSubject()})
}

func (s *server) introspect(ctx context.Context, token string) (fosite.AccessRequester, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, request, err := s.fosite.IntrospectToken(ctx, token, fosite.AccessToken, openid.NewDefaultSession())
	return request, err
}

// logoutToken is signed with fosite's own signer; fosite has no back-channel logout itself.
func (s *server) logoutToken(t *testing.T, audience string) string {
	t.Helper()
	signer := &jwt.DefaultSigner{GetPrivateKey: func(context.Context) (any, error) { return s.key, nil }}
	token, _, err := signer.Generate(t.Context(), jwt.MapClaims{
		"iss": s.URL, "aud": []string{audience}, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"jti": rand.Text(), "sid": "session-of-alice",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}, &jwt.Headers{Extra: map[string]any{"kid": "k1", "typ": "logout+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(token)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
