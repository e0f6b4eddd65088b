package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// MaxLeeway is the most that [JWT.Leeway] can be.
const MaxLeeway = 5 * time.Minute

// DefaultCacheSize is the number of tokens whose answers are remembered for each endpoint.
const DefaultCacheSize = 10_000

// Options say which tokens a [Verifier] accepts. At least one of JWT, Introspection and UserInfo has an element.
// [New] copies what it needs. All URLs are https, or http to loopback; they appear in error texts, so nothing secret
// belongs in them.
type Options struct {
	// JWT lists the issuers whose signed tokens are verified here, without asking anybody about the single token.
	JWT []JWT
	// Introspection lists the endpoints that are asked, in this order, about every other token. The first that
	// calls a token active, with claims that are acceptable, decides also about its scope. Each of them sees the
	// tokens of the others: list those you trust with them.
	Introspection []Introspection
	// UserInfo lists the endpoints that are asked, in this order, when no introspection endpoint has decided.
	UserInfo []UserInfo
	// RecheckGrace is how long a session goes on whose token an endpoint cannot be
	// asked about again; see [auth.Recheck]. Zero means [auth.DefaultRecheckGrace];
	// negative means until the token expires.
	RecheckGrace time.Duration
	// SharedNames says that a user name means the same person at every issuer and
	// endpoint. Without it, elements that could give two people the same name are
	// an error of [New]: give each a UserPrefix that no other's begins with.
	// Elements of the same Issuer, UserClaim and UserPrefix are about the same
	// people and need neither.
	SharedNames bool

	// Client makes all requests. It is copied: redirects are never followed, whatever it says, and 5 s is the
	// longest that a request takes. Nil means a client of its own, with the proxy of the environment.
	Client *http.Client
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
	// CacheSize bounds the remembered answers of each endpoint, in tokens; there is one such cache for good
	// tokens and one for bad ones, so that a flood of bad tokens does not push out the good. Zero means
	// [DefaultCacheSize]; a negative size remembers nothing.
	CacheSize int
}

// JWT is an issuer whose tokens are JSON Web Tokens that anybody can verify (RFC 7519, RFC 9068).
type JWT struct {
	// Issuer is the iss of its tokens, compared byte by byte. Required, and once only in [Options.JWT].
	Issuer string
	// Audience is what aud has to contain: the name by which the issuer knows this broker. Required. It should not
	// be the client id of an application, because that is the audience of that application's ID tokens.
	Audience string
	// JWKS is the URL of the issuer's key set. If it is empty, OpenID Connect discovery below Issuer finds it.
	JWKS string
	// Algorithms are the signature algorithms that are accepted: RS256 alone if there are none, otherwise any of
	// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA (with Ed25519).
	Algorithms []string
	// RequireType accepts only tokens whose header says typ at+jwt, as RFC 9068 demands. Set it if the issuer
	// writes it: an ID token can then never pass for an access token.
	RequireType bool

	// Leeway is how far the clocks of the issuer and of this machine may be apart: a token, and the session that it lets
	// in, ends so long after its exp, and one with an nbf or iat that is further ahead is refused. Zero is [Skew],
	// negative none; at most [MaxLeeway].
	Leeway time.Duration

	// UserClaim names the claim that becomes the principal's name: "sub" if empty.
	UserClaim string
	// UserPrefix goes before the name, so that alice of this issuer is not
	// another's; see [Options.SharedNames].
	UserPrefix string
	// RolesClaim names the claim that becomes its roles, a list of texts or one text: "roles" if empty.
	RolesClaim string
	// Scopes are all required of a token; without one of them it is refused with status 403.
	Scopes []string
}

// Introspection is an endpoint that says whether a token is active (RFC 7662).
type Introspection struct {
	// URL is the endpoint's. Required.
	URL string
	// ClientID and ClientSecret authenticate this broker to the endpoint, by HTTP Basic as RFC 6749 section 2.3.1
	// encodes it. Without a ClientID the request goes out unauthenticated.
	ClientID, ClientSecret string
	// Issuer is whose tokens the server knows, if it is to be compared: an answer
	// with another iss is refused. With the Issuer of a [JWT] both are about the
	// same users.
	Issuer string
	// Audience, if not empty, is what aud has to contain. Leave it empty only if every active token of this server
	// is meant for the broker.
	Audience string

	// Recheck is how often at least the endpoint is asked again about the token of a
	// session that is open, so that one that was revoked ends it. Zero means
	// [auth.DefaultRecheck]; negative means never.
	Recheck time.Duration

	// UserClaim, UserPrefix, RolesClaim and Scopes are as in [JWT].
	UserClaim, UserPrefix, RolesClaim string
	Scopes                            []string
}

// UserInfo is a resource that answers GET with 200 and a JSON object about the user if the token is valid: the
// home-made check of servers that have no introspection. Such an answer does not say for whom the token was
// issued. If several applications share the server, a token of any of them passes: prefer [Introspection].
type UserInfo struct {
	// URL is the resource's. Required.
	URL string
	// Issuer and Recheck are as in [Introspection].
	Issuer  string
	Recheck time.Duration

	// UserClaim, UserPrefix, RolesClaim and Scopes are as in [JWT], with members of the object for claims. The scopes
	// are its scope or scp.
	UserClaim, UserPrefix, RolesClaim string
	Scopes                            []string
}

// algorithms that a public key verifies. None and the HMACs are absent for good: with them, who can verify a token
// can also make one, and a public key is known to everybody.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA,
}

var errRequired = errors.New("required")

// field says which option err is about.
func field(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }

func (o *JWT) algorithms() ([]jose.SignatureAlgorithm, error) {
	if len(o.Algorithms) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256}, nil
	}
	list := make([]jose.SignatureAlgorithm, len(o.Algorithms))
	for i, name := range o.Algorithms {
		if list[i] = jose.SignatureAlgorithm(name); !slices.Contains(algorithms, list[i]) {
			return nil, field("Algorithms", fmt.Errorf("%q is not one of %v", name, algorithms))
		}
	}
	return list, nil
}

func (o *JWT) validate() error {
	switch {
	case o.Issuer == "":
		return field("Issuer", errRequired)
	case o.Audience == "":
		return field("Audience", errRequired)
	case o.Leeway > MaxLeeway:
		return field("Leeway", fmt.Errorf("%v is more than %v", o.Leeway, MaxLeeway))
	}
	if o.JWKS == "" {
		if err := secureURL(o.Issuer); err != nil {
			return field("Issuer", fmt.Errorf("without JWKS it %w", err))
		}
	} else if err := secureURL(o.JWKS); err != nil {
		return field("JWKS", err)
	}
	return validScopes(o.Scopes)
}

func (o *Introspection) validate() error {
	if err := secureURL(o.URL); err != nil {
		return field("URL", err)
	}
	if o.ClientID == "" && o.ClientSecret != "" {
		return field("ClientSecret", errors.New("needs a ClientID"))
	}
	return validScopes(o.Scopes)
}

func (o *UserInfo) validate() error {
	if err := secureURL(o.URL); err != nil {
		return field("URL", err)
	}
	return validScopes(o.Scopes)
}

// validScopes keeps out what cannot stand in a challenge (RFC 6749 section 3.3).
func validScopes(scopes []string) error {
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, func(c rune) bool {
			return c <= ' ' || c > '~' || c == '"' || c == '\\'
		}) {
			return field("Scopes", fmt.Errorf("%q is no scope", s))
		}
	}
	return nil
}

var errInsecure = errors.New("must be an absolute https URL, or http to loopback, without user, password and fragment")

// secureURL returns nil if tokens and keys may travel to and from raw.
func secureURL(raw string) error {
	if _, err := httpsec.SecureURL(raw); err != nil {
		return errInsecure
	}
	return nil
}
