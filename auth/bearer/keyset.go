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
	// keysInterval is the least time between two fetches of a key set that clients of one network cause, however many
	// tokens name unknown keys.
	keysInterval = time.Minute
	// emptyInterval is the least time between two fetches, whoever causes them, so that strangers who name unknown keys
	// do not keep the clients of other networks from a key that is new. It is also that between two fetches while there
	// are no keys at all and every token has to wait.
	emptyInterval = 5 * time.Second
	// keysAge is when keys are fetched anew although all tokens find theirs, so that a key which the issuer has
	// withdrawn is not trusted for ever.
	keysAge = time.Hour
)

// keySet is the keys of one issuer: fetched when they are first needed, and again when they are old or a token
// names one that is not there. A fetch that fails leaves the keys as they were.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time

	mu      sync.Mutex
	keys    []jose.JSONWebKey // never changed, only replaced
	fetched time.Time         // when keys was
	asked   time.Time         // when the last fetch began
	// causes are the networks whose tokens have caused a fetch within keysInterval, at most one for each emptyInterval.
	causes  map[netip.Addr]time.Time
	err     error // of the last fetch
	pending *call[[]jose.JSONWebKey]
}

// verify returns the payload of a token, which its issuer has signed.
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

// tryKeys returns the payload if one of keys is the token's and has signed it, else errKey or errSignature. A token
// that names no key may be of any that fits its algorithm.
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

// current returns the keys there are. It waits only for the first.
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

// newer returns keys that are not older than the last fetch, which it starts if it may, or why there are none.
func (s *keySet) newer(ctx context.Context) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	pending, keys, err := s.refresh(ctx), s.keys, s.err
	s.mu.Unlock()
	if pending != nil {
		return pending.wait(ctx)
	}
	return keys, err
}

// refresh returns the fetch that is under way, which it starts if the last one is long enough ago, or nil. The
// caller holds s.mu.
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

// fetchFrom returns a fetch of the key set at address, or, if that is empty, of the one that the issuer's OpenID
// Connect discovery names. Discovery is repeated each time, because the address may change.
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
	errMismatch  = errors.New("the document is that of another issuer")
	errJWKSURI   = fmt.Errorf("the jwks_uri %w", errInsecure)
)

// discover returns the jwks_uri of an issuer. The document has to name the same issuer.
func discover(ctx context.Context, c *http.Client, issuer string) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c), issuer)
	if err != nil {
		// The texts of the library's own errors have the document in them, however long it is.
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
