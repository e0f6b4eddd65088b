package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// metadata describes a provider's endpoints and keys. It is read-only.
type metadata struct {
	authorize, token, revocation, userinfo string
	// namesItself reports that every callback carries iss (RFC 9207).
	namesItself bool
	// verifier verifies ID tokens and logouts verifies logout tokens; both are
	// nil for a provider without them. Each has its own key cache: anyone can
	// post logout tokens with unknown key ids, and the resulting fetches must
	// not keep logins from getting a new key.
	verifier, logouts *oidc.IDTokenVerifier
}

// discoveryPause is the minimum time between failed discoveries, so that a
// flood of logins does not flood a provider that is down.
const discoveryPause = time.Second

// metadataSource discovers a provider's metadata when first needed, and keeps
// it.
type metadataSource struct {
	provider *provider
	client   *http.Client
	ready    atomic.Pointer[metadata]

	turn   chan struct{} // of capacity 1: held while discovering
	failed time.Time     // guarded by turn
	err    error         // guarded by turn
}

func newMetadataSource(p *provider, client *http.Client) *metadataSource {
	return &metadataSource{provider: p, client: client, turn: make(chan struct{}, 1)}
}

// get returns the metadata. Concurrent callers share one discovery.
func (s *metadataSource) get(ctx context.Context) (*metadata, error) {
	if m := s.ready.Load(); m != nil {
		return m, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, s.provider.failed("discovery", ctx.Err())
	}
	if m := s.ready.Load(); m != nil {
		return m, nil
	}
	if s.err != nil && time.Since(s.failed) < discoveryPause {
		return nil, s.err
	}
	// The result is for all waiting callers, so it must not depend on one
	// caller's context.
	m, err := s.discover(context.WithoutCancel(ctx))
	if err != nil {
		s.failed, s.err = time.Now(), err
		return nil, err
	}
	s.ready.Store(m)
	return m, nil
}

// document holds the fields of RFC 8414 section 2 and OpenID Connect Discovery
// section 3 that we use.
type document struct {
	Issuer      string   `json:"issuer"`
	Authorize   string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	Revocation  string   `json:"revocation_endpoint"`
	UserInfo    string   `json:"userinfo_endpoint"`
	JWKS        string   `json:"jwks_uri"`
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
}

func (s *metadataSource) discover(ctx context.Context) (*metadata, error) {
	p := s.provider
	var d document
	if !p.static() {
		if err := s.fetch(ctx, &d); err != nil {
			return nil, err
		}
	}
	m := &metadata{
		authorize:   cmp.Or(p.AuthURL, d.Authorize),
		token:       cmp.Or(p.TokenURL, d.Token),
		revocation:  cmp.Or(p.RevocationURL, d.Revocation),
		userinfo:    cmp.Or(p.UserInfoURL, d.UserInfo),
		namesItself: d.NamesItself,
	}
	jwks := cmp.Or(p.JWKSURL, d.JWKS)
	for _, u := range []struct {
		name, value string
		needed      bool
	}{
		{"authorization_endpoint", m.authorize, true}, {"token_endpoint", m.token, true},
		{"revocation_endpoint", m.revocation, false}, {"userinfo_endpoint", m.userinfo, false},
		{"jwks_uri", jwks, p.oidc()},
	} {
		if u.value == "" && !u.needed {
			continue
		}
		if _, err := httpsec.SecureURL(u.value); err != nil {
			return nil, p.failed("discovery", errors.New(u.name+" "+err.Error()))
		}
	}
	if p.oidc() {
		announced := d.Algorithms
		if len(p.Algorithms) > 0 {
			announced = p.Algorithms
		}
		config := oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: signatureAlgorithms(announced)}
		m.verifier = oidc.NewVerifier(p.Issuer, newKeySet(s.client, jwks), &config)
		m.logouts = oidc.NewVerifier(p.Issuer, newKeySet(s.client, jwks), &config)
	}
	return m, nil
}

// fetch reads the discovery document of OpenID Connect, or that of RFC 8414 if
// there is none. The document must name the requested issuer; otherwise one
// provider could pass off another's endpoints as its own.
func (s *metadataSource) fetch(ctx context.Context, d *document) error {
	p := s.provider
	err := p.getJSON(ctx, s.client, "discovery", strings.TrimSuffix(p.Issuer, "/")+"/.well-known/openid-configuration", "", d)
	if refusal, ok := errors.AsType[*ProviderError](err); ok && refusal.Status == http.StatusNotFound {
		err = p.getJSON(ctx, s.client, "discovery", wellKnown(p.Issuer), "", d)
	}
	if err != nil {
		return err
	}
	if d.Issuer != p.Issuer {
		return p.failed("discovery", errors.New("the document belongs to another issuer"))
	}
	return nil
}

// wellKnown returns the address of RFC 8414 section 3.1: the well-known part
// goes between the issuer's host and path.
func wellKnown(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // the issuer was parsed when the options were validated
		return issuer
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	return u.String()
}

// asymmetric lists the permitted signature algorithms of an ID token. It
// excludes none, and HS*, because anyone who knows the client secret can make
// such a signature.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// signatureAlgorithms returns the permitted algorithms among those announced,
// or RS256 if there are none.
func signatureAlgorithms(announced []string) []string {
	var good []string
	for _, a := range announced {
		if slices.Contains(asymmetric, a) {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		return []string{oidc.RS256}
	}
	return good
}
