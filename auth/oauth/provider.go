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

// AuthStyle is how this client proves itself to a provider's token and revocation endpoints (RFC 6749 section 2.3).
type AuthStyle uint8

const (
	// AuthBasic sends client id and secret as HTTP Basic credentials. It is the default.
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
// With an Issuer alone the endpoints come from its discovery document (OpenID Connect Discovery 1.0, else RFC 8414),
// which is read at the first login and kept. A URL given here takes precedence over the discovered one; with AuthURL
// and TokenURL both given nothing is discovered. Every URL is https, or http on loopback.
type Provider struct {
	// Name identifies the provider in ?provider= and in the token store: 1 to 64 of a-z, 0-9, '-' and '_'.
	Name string
	// Issuer is the provider's identity: the iss of its ID tokens and of its callbacks (RFC 9207), byte for byte.
	Issuer string
	// AuthURL, TokenURL, RevocationURL (RFC 7009), UserInfoURL and JWKSURL are its endpoints.
	AuthURL, TokenURL, RevocationURL, UserInfoURL, JWKSURL string

	// ClientID and ClientSecret are what the provider registered this program under.
	ClientID, ClientSecret string
	// AuthStyle says how they are sent.
	AuthStyle AuthStyle
	// Scopes are asked for at the login. With "openid" among them the user is who the verified ID token says;
	// without it, who the UserInfoURL says.
	Scopes []string
	// Algorithms are the signatures that an ID token may have, for example "ES256". Empty means those that the
	// provider announces, or RS256 if it announces none. Only asymmetric ones count.
	Algorithms []string
	// RedirectURL is where the provider sends the browser back to, exactly as registered: the public address of
	// [Client.Callback]. All providers' redirect URLs are of one origin. Where several end in the same path segment
	// the provider must name itself in the callback (RFC 9207), or the login is refused: otherwise one provider
	// could be mistaken for another.
	RedirectURL string
	// AuthParams are further parameters of the authorization request, for example "prompt" or "audience".
	AuthParams map[string]string

	// UserClaim is the claim that becomes the [auth.Principal]'s Name, "sub" if empty: a string or a whole number,
	// and unique and unchangeable at the provider. "email" counts only with email_verified.
	UserClaim string
	// UserPrefix goes before it. With several providers none may be the beginning of another, because one provider's
	// alice is not another's, unless [Options.SharedNames].
	UserPrefix string
	// RolesClaim is the claim with the user's roles, a list of strings or one string of words; empty means that
	// there are none. A dotted name leads into nested objects, as in "realm_access.roles".
	RolesClaim string
	// Claims are further claims to keep in the principal, at most 4 KiB of JSON in all.
	Claims []string
}

const (
	maxRoles      = 128     // roles of one user
	maxRoleBytes  = 256     // bytes of one role
	maxClaimBytes = 4 << 10 // bytes of the kept claims, as JSON
)

var providerName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// reserved are the parameters of the authorization request that are not for AuthParams to set.
var reserved = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "state", "scope", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri",
}

// oidc reports whether logins at p end with an ID token.
func (p *Provider) oidc() bool { return slices.Contains(p.Scopes, "openid") }

// static reports whether nothing has to be discovered.
func (p *Provider) static() bool { return p.AuthURL != "" && p.TokenURL != "" }

func (p *Provider) userClaim() string {
	if p.UserClaim == "" {
		return "sub"
	}
	return p.UserClaim
}

// fieldError is what is wrong with a field, which its text names first.
type fieldError string

func (e fieldError) Error() string { return string(e) }

// validate returns an error that starts with the name of the bad field. needUser says whether p has to tell who
// the user is.
func (p *Provider) validate(needUser bool) error {
	if !providerName.MatchString(p.Name) {
		return fieldError("Name is not 1 to 64 of a-z, 0-9, '-' and '_'")
	}
	if p.ClientID == "" {
		return fieldError("ClientID is empty")
	}
	if err := p.validateSecret(); err != nil {
		return err
	}
	if err := p.validateURLs(); err != nil {
		return err
	}
	switch {
	case p.Issuer == "" && !p.static():
		return fieldError("Issuer is empty, and AuthURL and TokenURL are not both given")
	case p.oidc() && p.Issuer == "":
		return fieldError("Issuer is empty, so the ID token that the openid scope asks for cannot be verified")
	case p.oidc() && p.static() && p.JWKSURL == "":
		return fieldError("JWKSURL is empty, so the ID token that the openid scope asks for cannot be verified")
	case needUser && !p.oidc() && p.static() && p.UserInfoURL == "":
		return fieldError("UserInfoURL is empty, and without the openid scope nothing else tells who the user is")
	}
	for _, a := range p.Algorithms {
		if !slices.Contains(asymmetric, a) {
			return fieldError(fmt.Sprintf("Algorithms has %q, which is not an asymmetric signature algorithm of JWS", a))
		}
	}
	for name := range p.AuthParams {
		if slices.Contains(reserved, name) {
			return fmt.Errorf("AuthParams must not set %s", name)
		}
	}
	return nil
}

func (p *Provider) validateSecret() error {
	switch {
	case p.AuthStyle > AuthNone:
		return fieldError("AuthStyle is not one of AuthBasic, AuthPost and AuthNone")
	case p.AuthStyle == AuthNone && p.ClientSecret != "":
		return fieldError("ClientSecret is given, but AuthStyle is AuthNone")
	case p.AuthStyle != AuthNone && p.ClientSecret == "":
		return fmt.Errorf("ClientSecret is empty, but AuthStyle is %v", p.AuthStyle)
	}
	return nil
}

func (p *Provider) validateURLs() error {
	for _, f := range []struct{ name, value string }{
		{"Issuer", p.Issuer}, {"AuthURL", p.AuthURL}, {"TokenURL", p.TokenURL}, {"RevocationURL", p.RevocationURL},
		{"UserInfoURL", p.UserInfoURL}, {"JWKSURL", p.JWKSURL},
	} {
		if f.value == "" {
			continue
		}
		if _, err := httpsec.SecureURL(f.value); err != nil {
			return fmt.Errorf("%s %w", f.name, err)
		}
	}
	if _, err := httpsec.SecureURL(p.RedirectURL); err != nil {
		return fmt.Errorf("RedirectURL %w", err)
	}
	return nil
}

// clone returns a copy that shares nothing with p.
func (p *Provider) clone() Provider {
	c := *p
	c.Scopes, c.Algorithms, c.Claims = slices.Clone(p.Scopes), slices.Clone(p.Algorithms), slices.Clone(p.Claims)
	c.AuthParams = maps.Clone(p.AuthParams)
	return c
}

// provider is a Provider that has been validated, and what has been learnt about it.
type provider struct {
	Provider
	redirect *url.URL
	// shared says that another provider's callback looks like this one's, so that only iss tells them apart.
	shared bool
	source *metadataSource
	// turns are for the requests that callbacks cause, by the network of the browser.
	turns *turns.Turns[netip.Addr]
}

// maxCallbacks is for how many callbacks at one time requests go to one provider; further ones wait for a turn, at
// most for callbackPatience. Of those one network has at most three quarters, so that one that floods callbacks does
// not keep others from signing in.
const (
	maxCallbacks     = 64
	callbackPatience = 10 * time.Second
)

// callbackTail is the part of a callback's path that tells providers apart. It is the last segment, because what
// goes before it may have been stripped by a proxy or a mux.
func callbackTail(u *url.URL) string { return path.Base(u.Path) }
