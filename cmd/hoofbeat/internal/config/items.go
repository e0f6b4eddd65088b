package config

import "time"

// The tables of the items of lists.

func bindNode(n *Node) []Key {
	t := new(table)
	t.text("id", &n.ID, "a text", "The node key of that broker.").must = true
	t.add("url", word{p: &n.URL, kind: "url", want: "a URL such as wss://one.example.com/ws", check: socketURL}, "Its WebSocket endpoint.").must = true
	return t.keys
}

const (
	prefixDoc  = "Goes before the user's name, so that names of several issuers, providers and backends differ."
	userDoc    = "Claim that becomes the user's name. Empty: sub."
	issuerDoc  = "Whose tokens it knows: an answer with another iss is refused, and its users are those of another entry of the same issuer, user and user_prefix."
	recheckDoc = "How often at least it is asked again about the token of a session that is open: one that was revoked ends the session within this time. See auth.recheck_grace for when it does not answer."
	rolesDoc   = "Claim with the user's roles; dots lead into objects."
	scopesDoc  = "Scopes that a token must have, all of them."
	claim      = "the name of a claim"
)

func bindJWT(j *JWT) []Key {
	t := new(table)
	t.url("issuer", &j.Issuer, "The iss of its tokens, byte for byte.").must = true
	t.text("audience", &j.Audience, "a text", "What aud must contain: the issuer's name for this broker.").must = true
	t.url("jwks", &j.JWKS, "The issuer's keys. Empty: found by OpenID Connect discovery.")
	t.texts("algorithms", &j.Algorithms, "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA", "Signatures that are accepted. Empty: RS256.")
	t.flag("require_type", &j.RequireType, "Accept only tokens that call themselves at+jwt (RFC 9068). Set it if the issuer writes that.")
	t.duration("leeway", &j.Leeway, time.Minute, 0, 5*time.Minute, false,
		"How far the clocks of the issuer and of this machine may be apart: a token, and the session that it lets in, ends so long after its exp.")
	t.text("user", &j.User, claim, userDoc)
	t.text("user_prefix", &j.UserPrefix, "a text", prefixDoc)
	t.text("roles", &j.Roles, claim, rolesDoc+" Empty: roles.")
	t.texts("scopes", &j.Scopes, "scopes", scopesDoc)
	return t.keys
}

func bindIntrospection(i *Introspection) []Key {
	t := new(table)
	t.url("url", &i.URL, "The endpoint.").must = true
	t.text("client_id", &i.ClientID, "a text", "This broker's name there.")
	t.secret("client_secret", &i.ClientSecret, "This broker's secret there.")
	t.url("issuer", &i.Issuer, issuerDoc)
	t.duration("recheck", &i.Recheck, time.Minute, time.Second, time.Hour, true, recheckDoc)
	t.text("audience", &i.Audience, "a text", "What aud must contain. Empty: every active token is meant for this broker.")
	t.text("user", &i.User, claim, userDoc)
	t.text("user_prefix", &i.UserPrefix, "a text", prefixDoc)
	t.text("roles", &i.Roles, claim, rolesDoc+" Empty: roles.")
	t.texts("scopes", &i.Scopes, "scopes", scopesDoc)
	return t.keys
}

func bindUserInfo(u *UserInfo) []Key {
	t := new(table)
	t.url("url", &u.URL, "The resource.").must = true
	t.url("issuer", &u.Issuer, issuerDoc)
	t.duration("recheck", &u.Recheck, time.Minute, time.Second, time.Hour, true, recheckDoc)
	t.text("user", &u.User, claim, userDoc)
	t.text("user_prefix", &u.UserPrefix, "a text", prefixDoc)
	t.text("roles", &u.Roles, claim, rolesDoc+" Empty: roles.")
	t.texts("scopes", &u.Scopes, "scopes", scopesDoc)
	return t.keys
}

func bindOAuth(o *OAuth) []Key {
	t := new(table)
	t.text("name", &o.Name, "1 to 64 of a-z, 0-9, - and _", "What the provider is called in /oauth/login?provider=.").must = true
	t.url("issuer", &o.Issuer, "The provider's identity, from which its endpoints are discovered.")
	t.text("client_id", &o.ClientID, "a text", "What this broker is registered as.").must = true
	t.secret("client_secret", &o.ClientSecret, "The secret of the registration.")
	t.url("redirect_url", &o.RedirectURL, "Public address of /oauth/callback, exactly as registered.").must = true
	t.texts("scopes", &o.Scopes, "scopes", "What is asked for at the login; with openid the user is who the ID token says.")
	t.oneOf("auth_style", &o.AuthStyle, "How the secret is sent; none is for a public client.", "basic", "post", "none")
	t.texts("auth_params", &o.AuthParams, "name=value", "Further parameters of the authorization request, such as prompt=login.")
	t.text("user", &o.User, claim, userDoc)
	t.text("user_prefix", &o.UserPrefix, "a text", prefixDoc)
	t.text("roles", &o.Roles, claim, rolesDoc+" Empty: none.")
	t.texts("claims", &o.Claims, "names of claims", "Further claims to keep, for rules.")
	t.url("auth_url", &o.AuthURL, "Authorization endpoint, if it is not discovered.")
	t.url("token_url", &o.TokenURL, "Token endpoint, if it is not discovered.")
	t.url("revocation_url", &o.RevocationURL, "Revocation endpoint, if it is not discovered.")
	t.url("userinfo_url", &o.UserInfoURL, "UserInfo endpoint, if it is not discovered.")
	t.url("jwks_url", &o.JWKSURL, "Keys of the ID tokens, if they are not discovered.")
	t.add("fetch", recordsOf(&o.Fetch, bindFetch,
		`{name: mail, url: "https://mail.example.com/api/unread", every: 5m, destination: /user/queue/mail}`),
		"Resources that are fetched for every user who has signed in at this provider, with the user's token, while no page is open.")
	return t.keys
}

func bindFetch(f *Fetch) []Key {
	t := new(table)
	t.add("name", word{p: &f.Name, kind: "text", want: "1 to 64 of a-z, 0-9, - and _", check: fetchName},
		"Pages get the last answer for their user at GET /data/{name}, by the session cookie. No other resource has this name.").must = true
	t.add("url", word{p: &f.URL, kind: "url", want: "a URL such as https://mail.example.com/api/unread, or http to this machine", check: grantedURL},
		"The resource, which answers with 200 and JSON. No redirect is followed.").must = true
	t.duration("every", &f.Every, 5*time.Minute, time.Second, 24*time.Hour, false,
		"Time between two requests for one user, less up to a tenth. While the resource fails, it doubles up to 1h.")
	t.text("destination", &f.Destination, "a private destination such as /user/queue/mail",
		"Where an answer that differs from the last one is published to the user. No client can send there. Empty: nowhere.")
	return t.keys
}
