package config

import "time"

// Claims are the keys that all sources of bearer tokens have: what a token says
// of its user.
type Claims struct {
	// Claim that becomes the user's name. Empty: sub.
	User string `key:"user" want:"the name of a claim"`
	// Prefix of the user's name, so that names of several issuers, providers
	// and backends differ.
	UserPrefix string `key:"user_prefix"`
	// Claim with the user's roles; dots select members of objects. Empty:
	// roles.
	Roles string `key:"roles" want:"the name of a claim"`
	// Scopes that a token must all have.
	Scopes []string `key:"scopes" want:"scopes"`
}

// JWT is one item of auth.jwt.
type JWT struct {
	// The iss of its tokens, byte for byte.
	Issuer string `key:"issuer,must" is:"url"`
	// What aud must contain: the issuer's name for this broker.
	Audience string `key:"audience,must"`
	// The issuer's keys. Empty: found by OpenID Connect discovery.
	JWKS string `key:"jwks" is:"url"`
	// Accepted signature algorithms. Empty: RS256.
	Algorithms []string `key:"algorithms" want:"RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA"`
	// Accept only tokens with the type at+jwt (RFC 9068). Set it if the issuer
	// writes that type.
	RequireType bool `key:"require_type"`
	// Allowed difference between the clocks of the issuer and of this machine:
	// a token, and its session, ends this long after its exp.
	Leeway time.Duration `key:"leeway" default:"1m" range:"0s to 5m"`
	Claims
}

// Introspection is one item of auth.introspection.
type Introspection struct {
	// The endpoint.
	URL string `key:"url,must" is:"url"`
	// Client id of this broker at the server.
	ClientID string `key:"client_id"`
	// Client secret of this broker at the server.
	ClientSecret Secret `key:"client_secret"`
	// Issuer of the tokens that it knows: an answer with another iss is
	// rejected, and its users are the same as those of another entry with the
	// same issuer, user and user_prefix.
	Issuer string `key:"issuer" is:"url"`
	// Longest time between two checks of the token of an open session: if the
	// token was revoked, the session ends within this time. auth.recheck_grace
	// applies if the server does not answer.
	Recheck time.Duration `key:"recheck" default:"1m" range:"1s to 1h, or off"`
	// What aud must contain. Empty: every active token is meant for this
	// broker.
	Audience string `key:"audience"`
	Claims
}

// UserInfo is one item of auth.userinfo.
type UserInfo struct {
	// The resource.
	URL string `key:"url,must" is:"url"`
	// Issuer of the tokens that it knows: an answer with another iss is
	// rejected, and its users are the same as those of another entry with the
	// same issuer, user and user_prefix.
	Issuer string `key:"issuer" is:"url"`
	// Longest time between two checks of the token of an open session: if the
	// token was revoked, the session ends within this time. auth.recheck_grace
	// applies if the server does not answer.
	Recheck time.Duration `key:"recheck" default:"1m" range:"1s to 1h, or off"`
	Claims
}

// OAuth is one item of auth.oauth.
type OAuth struct {
	// Name of the provider in /oauth/login?provider=.
	Name string `key:"name,must" want:"1 to 64 of a-z, 0-9, - and _"`
	// Issuer of the provider; its endpoints are discovered from it.
	Issuer string `key:"issuer" is:"url"`
	// Client id of this broker at the provider.
	ClientID string `key:"client_id,must"`
	// Client secret of this broker at the provider.
	ClientSecret Secret `key:"client_secret"`
	// Public URL of /oauth/callback, exactly as registered.
	RedirectURL string `key:"redirect_url,must" is:"url"`
	// Scopes requested at the login; with openid the ID token identifies the
	// user.
	Scopes []string `key:"scopes" want:"scopes"`
	// How the secret is sent; use none for a public client.
	AuthStyle string `key:"auth_style" oneof:"basic post none" default:"basic"`
	// Additional parameters of the authorization request, such as
	// prompt=login.
	AuthParams []string `key:"auth_params" want:"name=value"`
	// Claim that becomes the user's name. Empty: sub.
	User string `key:"user" want:"the name of a claim"`
	// Prefix of the user's name, so that names of several issuers, providers
	// and backends differ.
	UserPrefix string `key:"user_prefix"`
	// Claim with the user's roles; dots select members of objects. Empty:
	// none.
	Roles string `key:"roles" want:"the name of a claim"`
	// Additional claims to keep, for rules.
	Claims []string `key:"claims" want:"names of claims"`
	// Authorization endpoint, if it is not discovered.
	AuthURL string `key:"auth_url" is:"url"`
	// Token endpoint, if it is not discovered.
	TokenURL string `key:"token_url" is:"url"`
	// Revocation endpoint, if it is not discovered.
	RevocationURL string `key:"revocation_url" is:"url"`
	// UserInfo endpoint, if it is not discovered.
	UserInfoURL string `key:"userinfo_url" is:"url"`
	// Keys of the ID tokens, if they are not discovered.
	JWKSURL string `key:"jwks_url" is:"url"`
	// Resources that the broker fetches for every user who has signed in at
	// this provider, with the user's token, while no page is open.
	//
	//	{name: mail, url: "https://mail.example.com/api/unread", every: 5m, destination: /user/queue/mail}
	Fetch []Fetch `key:"fetch"`
}

// Fetch is one item of auth.oauth[].fetch.
type Fetch struct {
	// Pages get the last answer for their user at GET /data/{name}, with the
	// session cookie. The name must be unique among all resources.
	Name string `key:"name,must" is:"fetch name"`
	// The resource. It must answer with 200 and JSON. Redirects are not
	// followed.
	URL string `key:"url,must" is:"granted url"`
	// Time between two requests for one user, less up to a tenth. While the
	// resource fails, it doubles up to 1h.
	Every time.Duration `key:"every" default:"5m" range:"1s to 24h"`
	// Destination to which an answer that differs from the previous one is
	// published for the user. No client can send there. Empty: none.
	Destination string `key:"destination" want:"a private destination such as /user/queue/mail"`
}
