package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// MaxLeeway is the maximum of [JWT.Leeway].
const MaxLeeway = 5 * time.Minute

// DefaultCacheSize is the default of [Options].CacheSize.
const DefaultCacheSize = 10_000

// Options configure the tokens that a [Verifier] accepts. At least one of JWT,
// Introspection and UserInfo must have an element. [New] copies what it needs.
// All URLs must be https, or http to loopback. They appear in error texts, so
// do not put secrets into them.
type Options struct {
	// JWT lists the issuers whose signed tokens are verified locally, without a
	// request for each token.
	JWT []JWT
	// Introspection lists the endpoints that are asked, in this order, about
	// every other token. The first endpoint that reports a token as active,
	// with acceptable claims, decides, also about its scope. Each endpoint sees
	// the tokens of the others: list only endpoints that you trust with them.
	Introspection []Introspection
	// UserInfo lists the endpoints that are asked, in this order, if no
	// introspection endpoint has decided.
	UserInfo []UserInfo
	// RecheckGrace is how long a session may continue while its token cannot be
	// checked again at an endpoint; see [auth.Recheck]. Zero means
	// [auth.DefaultRecheckGrace]; negative means until the token expires.
	RecheckGrace time.Duration
	// SharedNames states that a user name means the same person at every issuer
	// and endpoint. Without it, [New] returns an error if two elements could
	// give the same name to two people: give each a UserPrefix that no other
	// UserPrefix begins with. Elements with the same Issuer, UserClaim and
	// UserPrefix know the same people and need neither.
	SharedNames bool

	// Client makes all requests. It is copied; the copy never follows redirects
	// and limits each request to 5 s. Nil means a new client with the proxy of
	// the environment.
	Client *http.Client
	// Clock returns the current time. Nil means time.Now.
	Clock func() time.Time
	// CacheSize is the maximum number of cached answers of each endpoint, in
	// tokens. There is one cache for valid tokens and one for invalid ones, so
	// that a flood of invalid tokens does not displace the valid. Answers about
	// valid tokens take at most 4 KiB of memory each on average, and those of
	// one user at most a 32nd of that, or 256 KiB if that is more: an answer
	// beyond that is not cached. Zero means [DefaultCacheSize]; negative means
	// no cache.
	CacheSize int
	// WrongTokens is the number of invalid tokens from one network of clients
	// (see [auth.WithRemote]; IPv6: one /64) that are free. Beyond it the
	// endpoints are asked about uncached tokens of that network only every 50
	// ms; a token that would wait longer than 2 s is rejected with 429. The
	// count halves every two minutes. Neither cached answers nor the rechecks of
	// open sessions nor JSON Web Tokens wait. Zero means [DefaultWrongTokens];
	// negative means no limit.
	WrongTokens int
}

// JWT configures an issuer whose tokens are JSON Web Tokens (RFC 7519, RFC
// 9068).
type JWT struct {
	// Issuer is the iss of its tokens, compared byte by byte. It is required
	// and must be unique in [Options.JWT].
	Issuer string
	// Audience is a value that aud must contain: the issuer's name for this
	// broker. It is required. Do not use the client id of an application,
	// because that is the audience of the application's ID tokens.
	Audience string
	// JWKS is the URL of the issuer's key set. If it is empty, OpenID Connect
	// discovery below Issuer finds it.
	JWKS string
	// Algorithms are the accepted signature algorithms: any of RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA (with Ed25519).
	// Empty means RS256 only.
	Algorithms []string
	// RequireType accepts only tokens whose header has typ at+jwt, as RFC 9068
	// requires. Set it if the issuer writes that type: an ID token can then
	// never pass for an access token.
	RequireType bool

	// Leeway is the maximum difference between the clocks of the issuer and of
	// this machine. A token and its session end this long after the token's
	// exp, and a token whose nbf or iat is further in the future is rejected.
	// Zero means [Skew], negative means none; the maximum is [MaxLeeway].
	Leeway time.Duration

	// UserClaim is the claim that becomes the principal's name: "sub" if empty.
	UserClaim string
	// UserPrefix is put before the name, to distinguish alice of this issuer
	// from alice of another; see [Options.SharedNames].
	UserPrefix string
	// RolesClaim is the claim with the roles, a list of texts or one text:
	// "roles" if empty.
	RolesClaim string
	// Scopes are required scopes. A token that lacks one is rejected with
	// status 403.
	Scopes []string
}

// Introspection configures an endpoint that reports whether a token is active
// (RFC 7662).
type Introspection struct {
	// URL is the endpoint's address. Required.
	URL string
	// ClientID and ClientSecret authenticate this broker to the endpoint, by
	// HTTP Basic as RFC 6749 section 2.3.1 encodes it. Without a ClientID the
	// request has no authentication.
	ClientID, ClientSecret string
	// Issuer, if not empty, is compared: an answer with another iss is
	// rejected. With the Issuer of a [JWT], both know the same users.
	Issuer string
	// Audience, if not empty, is a value that aud must contain. Leave it empty
	// only if every active token of this server is meant for the broker.
	Audience string

	// Recheck is the maximum time between two checks of the token of an open
	// session, so that a revoked token ends the session. Zero means
	// [auth.DefaultRecheck]; negative means no rechecks.
	Recheck time.Duration

	// UserClaim, UserPrefix, RolesClaim and Scopes are as in [JWT].
	UserClaim, UserPrefix, RolesClaim string
	Scopes                            []string
}

// UserInfo configures a resource that answers GET with 200 and a JSON object
// about the user if the token is valid. It is a substitute for servers without
// introspection. Such an answer does not say for which application the token
// was issued: if several applications share the server, a token of any of them
// is accepted. Prefer [Introspection].
type UserInfo struct {
	// URL is the resource's address. Required.
	URL string
	// Issuer and Recheck are as in [Introspection].
	Issuer  string
	Recheck time.Duration

	// UserClaim, UserPrefix, RolesClaim and Scopes are as in [JWT], with
	// members of the object as claims. The scopes are its scope or scp.
	UserClaim, UserPrefix, RolesClaim string
	Scopes                            []string
}

// algorithms are the signature algorithms with a public key. It must not
// include none and the HMACs: with HMACs, anyone who can verify a token can
// also make one, and a public key is known to everyone.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA,
}

var errRequired = errors.New("is required")

// field adds the name of an option to err.
func field(name string, err error) error { return &fieldError{name, err} }

type fieldError struct {
	name string
	err  error
}

func (e *fieldError) Error() string { return e.name + ": " + e.err.Error() }

// inItem makes an error about a field of an item of a list one about the options.
func inItem(list string, n int, err error) error {
	o := &auth.OptionError{Of: "bearer: Options", Field: fmt.Sprintf("%s[%d]", list, n), Err: err}
	var about *fieldError
	if errors.As(err, &about) {
		o.Field, o.Err = o.Field+"."+about.name, about.err
	}
	return o
}

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
			return field("Issuer", fmt.Errorf("without the address of its keys it %w", err))
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
		return field("ClientSecret", errors.New("needs a client id"))
	}
	return validScopes(o.Scopes)
}

func (o *UserInfo) validate() error {
	if err := secureURL(o.URL); err != nil {
		return field("URL", err)
	}
	return validScopes(o.Scopes)
}

// validScopes rejects scopes that cannot be part of a challenge (RFC 6749
// section 3.3).
func validScopes(scopes []string) error {
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, func(c rune) bool {
			return c <= ' ' || c > '~' || c == '"' || c == '\\'
		}) {
			return field("Scopes", fmt.Errorf("%q is not a valid scope", s))
		}
	}
	return nil
}

var errInsecure = errors.New("must be an absolute https URL, or http to loopback, without user, password and fragment")

// secureURL returns nil if tokens and keys may be sent to and fetched from raw.
func secureURL(raw string) error {
	if _, err := httpsec.SecureURL(raw); err != nil {
		return errInsecure
	}
	return nil
}
