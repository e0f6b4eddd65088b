package bearer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const (
	// keysInterval is the minimum time between two fetches of a key set that
	// clients of one network cause, however many tokens name unknown keys.
	keysInterval = time.Minute
	// emptyInterval is the minimum time between any two fetches. It is short,
	// so that clients that name unknown keys do not keep other networks from a
	// new key. It also applies while there are no keys at all and every token
	// must wait.
	emptyInterval = 5 * time.Second
	// keysAge is when keys are fetched again even if all tokens find theirs, so
	// that a key which the issuer has withdrawn is not trusted for ever.
	keysAge = time.Hour
)

// keySet holds the keys of one issuer. It fetches them when first needed, and
// again when they are old or a token names an unknown key. A failed fetch keeps
// the old keys.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time

	mu      sync.Mutex
	keys    []jose.JSONWebKey // replaced, never modified
	fetched time.Time         // when keys were fetched
	asked   time.Time         // when the last fetch began
	// causes are the networks whose tokens have caused a fetch within
	// keysInterval, at most one for each emptyInterval.
	causes  map[netip.Addr]time.Time
	err     error // of the last fetch
	pending *call[[]jose.JSONWebKey]
}

// verify verifies a token's signature and returns its payload.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	keys, err := s.current(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	payload, rule := tryKeys(keys, token)
	if rule == nil || rule == errSignature && token.Signatures[0].Protected.KeyID != "" {
		return payload, invalidUnless(rule)
	}
	if keys, err = s.newer(ctx); err != nil {
		return nil, unavailable(err)
	}
	payload, rule = tryKeys(keys, token)
	return payload, invalidUnless(rule)
}

func invalidUnless(rule error) error {
	if rule == nil {
		return nil
	}
	return invalid(rule)
}

// tryKeys returns the payload if one of keys is the token's and has signed it,
// else errKey or errSignature. For a token that names no key it tries every key
// that fits the algorithm.
func tryKeys(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, error) {
	header := &token.Signatures[0].Protected
	rule := errKey
	for i := range keys {
		key := &keys[i]
		if header.KeyID != "" && header.KeyID != key.KeyID || !fits(key, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, nil
		}
		rule = errSignature
	}
	return nil, rule
}

// current returns the current keys. It waits only for the first fetch.
func (s *keySet) current(ctx context.Context) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	if s.keys != nil {
		defer s.mu.Unlock()
		if s.now().Sub(s.fetched) >= keysAge {
			s.refresh(ctx)
		}
		return s.keys, nil
	}
	s.mu.Unlock()
	return s.newer(ctx)
}

// newer returns the keys after a new fetch, which it joins or, if permitted,
// starts. Without one it returns the current keys or the last error.
func (s *keySet) newer(ctx context.Context) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	pending, keys, err := s.refresh(ctx), s.keys, s.err
	s.mu.Unlock()
	if pending != nil {
		return pending.wait(ctx)
	}
	return keys, err
}

// refresh returns the running fetch. If there is none, it starts one, or
// returns nil if the last fetch is too recent. The caller holds s.mu.
func (s *keySet) refresh(ctx context.Context) *call[[]jose.JSONWebKey] {
	if s.pending != nil {
		return s.pending
	}
	now, network := s.now(), httpsec.Network(auth.RemoteOf(ctx))
	if !s.asked.IsZero() && now.Sub(s.asked) < emptyInterval {
		return nil
	}
	maps.DeleteFunc(s.causes, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) >= keysInterval })
	if _, caused := s.causes[network]; caused && s.keys != nil {
		return nil
	}
	if s.causes == nil {
		s.causes = make(map[netip.Addr]time.Time)
	}
	s.causes[network] = now
	s.asked = now
	s.pending = start(ctx, s.fetch, func(keys []jose.JSONWebKey, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending, s.err = nil, err
		if err == nil {
			s.keys, s.fetched = keys, now
		}
	})
	return s.pending
}

// fetchFrom returns a function that fetches the key set at address. If address
// is empty, it uses the issuer's OpenID Connect discovery, each time because
// the address may change.
func fetchFrom(c *http.Client, issuer, address string) func(context.Context) ([]jose.JSONWebKey, error) {
	return func(ctx context.Context) ([]jose.JSONWebKey, error) {
		at := address
		if at == "" {
			var err error
			if at, err = discover(ctx, c, issuer); err != nil {
				return nil, fmt.Errorf("discovery of %s: %w", issuer, err)
			}
		}
		document, err := get(ctx, c, at)
		if err != nil {
			return nil, err
		}
		keys, err := parseKeys(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		return keys, nil
	}
}

var (
	errDiscovery = errors.New("no usable document")
	errMismatch  = errors.New("the document belongs to another issuer")
	errJWKSURI   = fmt.Errorf("the jwks_uri %w", errInsecure)
)

// discover returns the jwks_uri of an issuer. The document must name the same
// issuer.
func discover(ctx context.Context, c *http.Client, issuer string) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c), issuer)
	if err != nil {
		// The library's own error texts contain the whole document.
		var request *url.Error
		var mismatch *oidc.IssuerMismatchError
		switch {
		case errors.As(err, &request):
			return "", err
		case errors.As(err, &mismatch):
			return "", errMismatch
		}
		return "", errDiscovery
	}
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	if provider.Claims(&document) != nil {
		return "", errDiscovery
	}
	if secureURL(document.JWKS) != nil {
		return "", errJWKSURI
	}
	return document.JWKS, nil
}
