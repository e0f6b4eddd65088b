package oauth

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
)

// AuthStyle is how the client authenticates to a provider's token and
// revocation endpoints (RFC 6749 section 2.3).
type AuthStyle uint8

const (
	// AuthBasic sends client id and secret as HTTP Basic credentials. It is the
	// default.
	AuthBasic AuthStyle = iota
	// AuthPost sends them as client_id and client_secret in the form.
	AuthPost
	// AuthNone is for a public client, which has no secret and relies on PKCE.
	AuthNone
)

// String returns "basic", "post" or "none".
func (s AuthStyle) String() string {
	switch s {
	case AuthBasic:
		return "basic"
	case AuthPost:
		return "post"
	case AuthNone:
		return "none"
	default:
		return fmt.Sprintf("AuthStyle(%d)", uint8(s))
	}
}

// Provider is one authorization server and this program's registration there.
//
// With only an Issuer, the endpoints come from its discovery document (OpenID
// Connect Discovery 1.0, else RFC 8414), which is read at the first login and
// kept. A URL given here takes precedence; if both AuthURL and TokenURL are
// given, there is no discovery. Every URL must be https, or http on loopback.
type Provider struct {
	// Name identifies the provider in ?provider= and in the token store: 1 to
	// 64 of a-z, 0-9, '-' and '_'.
	Name string
	// Issuer is the iss of the provider's ID tokens and callbacks (RFC 9207).
	// It is compared byte for byte.
	Issuer string
	// AuthURL, TokenURL, RevocationURL (RFC 7009), UserInfoURL and JWKSURL are
	// the provider's endpoints.
	AuthURL, TokenURL, RevocationURL, UserInfoURL, JWKSURL string

	// ClientID and ClientSecret are this program's registration at the
	// provider.
	ClientID, ClientSecret string
	// AuthStyle is how ClientID and ClientSecret are sent.
	AuthStyle AuthStyle
	// Scopes are requested at the login. With "openid", the verified ID token
	// identifies the user; without it, UserInfoURL does.
	Scopes []string
	// Algorithms are the permitted signature algorithms of an ID token, for
	// example "ES256". Empty means those that the provider announces, or RS256
	// if it announces none. Only asymmetric algorithms are permitted.
	Algorithms []string
	// RedirectURL is the public address of [Client.Callback], exactly as
	// registered at the provider. The redirect URLs of all providers must have
	// the same origin. If several end in the same path segment, the provider
	// must name itself in the callback (RFC 9207), or the login fails:
	// otherwise one provider could be mistaken for another.
	RedirectURL string
	// AuthParams are further parameters of the authorization request, for
	// example "prompt" or "audience".
	AuthParams map[string]string

	// UserClaim is the claim that becomes the [auth.Principal]'s Name, "sub" if
	// empty. It must be a string or a whole number, unique and permanent at the
	// provider. "email" requires email_verified.
	UserClaim string
	// UserPrefix is put before the claim. Different providers may give the same
	// name to different people, so unless [Options.SharedNames] is set no
	// provider's prefix may begin another's.
	UserPrefix string
	// RolesClaim is the claim with the user's roles: a list of strings, or one
	// string of words. Empty means no roles. A dotted name such as
	// "realm_access.roles" leads into nested objects.
	RolesClaim string
	// Claims are further claims to keep in the principal, at most 4 KiB of JSON
	// in all.
	Claims []string
}

const (
	maxRoles      = 128     // roles of one user
	maxRoleBytes  = 256     // bytes of one role
	maxClaimBytes = 4 << 10 // bytes of the kept claims, as JSON
)

var providerName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// reserved are the parameters of the authorization request that AuthParams must
// not set.
var reserved = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "state", "scope", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri",
}

// oidc reports whether logins at p use an ID token.
func (p *Provider) oidc() bool { return slices.Contains(p.Scopes, "openid") }

// static reports whether p needs no discovery.
func (p *Provider) static() bool { return p.AuthURL != "" && p.TokenURL != "" }

func (p *Provider) userClaim() string {
	if p.UserClaim == "" {
		return "sub"
	}
	return p.UserClaim
}

// fieldError describes an invalid field of a Provider; nil means none.
type fieldError struct {
	field   string
	problem error
}

func fieldErrorf(field, format string, args ...any) *fieldError {
	return &fieldError{field, fmt.Errorf(format, args...)}
}

// validate returns an error about the first invalid field. needUser reports
// whether p must identify the user.
func (p *Provider) validate(needUser bool) *fieldError {
	if !providerName.MatchString(p.Name) {
		return fieldErrorf("Name", "is not 1 to 64 of a-z, 0-9, '-' and '_'")
	}
	if p.ClientID == "" {
		return fieldErrorf("ClientID", "is empty")
	}
	if err := p.validateSecret(); err != nil {
		return err
	}
	if err := p.validateURLs(); err != nil {
		return err
	}
	switch {
	case p.Issuer == "" && !p.static():
		return fieldErrorf("Issuer", "is empty, and the authorization and the token endpoint are not both given")
	case p.oidc() && p.Issuer == "":
		return fieldErrorf("Issuer", "is empty, so the ID token that the openid scope asks for cannot be verified")
	case p.oidc() && p.static() && p.JWKSURL == "":
		return fieldErrorf("JWKSURL", "is empty, so the ID token that the openid scope asks for cannot be verified")
	case needUser && !p.oidc() && p.static() && p.UserInfoURL == "":
		return fieldErrorf("UserInfoURL", "is empty; without the openid scope it is needed to identify the user")
	}
	for _, a := range p.Algorithms {
		if !slices.Contains(asymmetric, a) {
			return fieldErrorf("Algorithms", "has %q, which is not an asymmetric signature algorithm of JWS", a)
		}
	}
	for name := range p.AuthParams {
		if slices.Contains(reserved, name) {
			return fieldErrorf("AuthParams", "must not set %s", name)
		}
	}
	return nil
}

func (p *Provider) validateSecret() *fieldError {
	switch {
	case p.AuthStyle > AuthNone:
		return fieldErrorf("AuthStyle", "is not one of basic, post and none")
	case p.AuthStyle == AuthNone && p.ClientSecret != "":
		return fieldErrorf("ClientSecret", "is given, but the style of authentication is none")
	case p.AuthStyle != AuthNone && p.ClientSecret == "":
		return fieldErrorf("ClientSecret", "is empty, but the style of authentication is %v", p.AuthStyle)
	}
	return nil
}

func (p *Provider) validateURLs() *fieldError {
	for _, f := range []struct{ name, value string }{
		{"Issuer", p.Issuer}, {"AuthURL", p.AuthURL}, {"TokenURL", p.TokenURL}, {"RevocationURL", p.RevocationURL},
		{"UserInfoURL", p.UserInfoURL}, {"JWKSURL", p.JWKSURL},
	} {
		if f.value == "" {
			continue
		}
		if _, err := httpsec.SecureURL(f.value); err != nil {
			return &fieldError{f.name, err}
		}
	}
	if _, err := httpsec.SecureURL(p.RedirectURL); err != nil {
		return &fieldError{"RedirectURL", err}
	}
	return nil
}

// clone returns a deep copy of p.
func (p *Provider) clone() Provider {
	c := *p
	c.Scopes, c.Algorithms, c.Claims = slices.Clone(p.Scopes), slices.Clone(p.Algorithms), slices.Clone(p.Claims)
	c.AuthParams = maps.Clone(p.AuthParams)
	return c
}

// provider is a validated Provider with its run-time state.
type provider struct {
	Provider
	redirect *url.URL
	// shared reports that another provider has the same callback path, so that
	// only iss distinguishes them.
	shared bool
	source *metadataSource
	// turns limit the requests that callbacks cause, by the network of the
	// browser.
	turns *turns.Turns[netip.Addr]
}

// maxCallbacks is the maximum number of callbacks that make requests to one
// provider at a time. Further ones wait for a turn, at most callbackPatience.
// One network gets at most three quarters of the turns, so that a network that
// floods callbacks does not prevent others from signing in.
const (
	maxCallbacks     = 64
	callbackPatience = 10 * time.Second
)

// callbackTail returns the part of a callback's path that distinguishes
// providers: the last segment, because a proxy or a mux may strip the part
// before it.
func callbackTail(u *url.URL) string { return path.Base(u.Path) }
