package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keys sign ID tokens. They are generated when the server starts.
type keys struct {
	signer jose.Signer
	public jose.JSONWebKeySet
}

const idTokenTTL = 5 * time.Minute

func newKeys() (*keys, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := newSecret()[:8]
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: private},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id),
	)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: &private.PublicKey, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}
	return &keys{signer, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}}, nil
}

// idToken returns an ID token for the user who signed in (OpenID Connect Core
// section 2). Its methods are a password and a second channel (RFC 8176): the
// phone has no key.
func (k *keys) idToken(issuer string, c *code) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "sub": c.grant.user, "aud": c.grant.client.ID,
		"iat": now.Unix(), "exp": now.Add(idTokenTTL).Unix(), "amr": []string{"pwd", "mca"},
	}
	if c.nonce != "" {
		claims["nonce"] = c.nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// jwks serves the key set (RFC 7517).
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.keys.public)
}
