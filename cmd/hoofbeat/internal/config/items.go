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
	prefixDoc  = "Prefix of the user's name, so that names of several issuers, providers and backends differ."
	userDoc    = "Claim that becomes the user's name. Empty: sub."
	issuerDoc  = "Issuer of the tokens that it knows: an answer with another iss is rejected, and its users are the same as those of another entry with the same issuer, user and user_prefix."
	recheckDoc = "Longest time between two checks of the token of an open session: if the token was revoked, the session ends within this time. auth.recheck_grace applies if the server does not answer."
	rolesDoc   = "Claim with the user's roles; dots select members of objects."
	scopesDoc  = "Scopes that a token must all have."
	claim      = "the name of a claim"
)

func bindJWT(j *JWT) []Key {
	t := new(table)
	t.url("issuer", &j.Issuer, "The iss of its tokens, byte for byte.").must = true
	t.text("audience", &j.Audience, "a text", "What aud must contain: the issuer's name for this broker.").must = true
	t.url("jwks", &j.JWKS, "The issuer's keys. Empty: found by OpenID Connect discovery.")
	t.texts("algorithms", &j.Algorithms, "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA", "Accepted signature algorithms. Empty: RS256.")
	t.flag("require_type", &j.RequireType, "Accept only tokens with the type at+jwt (RFC 9068). Set it if the issuer writes that type.")
	t.duration("leeway", &j.Leeway, time.Minute, 0, 5*time.Minute, false,
		"Allowed difference between the clocks of the issuer and of this machine: a token, and its session, ends this long after its exp.")
	t.text("user", &j.User, claim, userDoc)
	t.text("user_prefix", &j.UserPrefix, "a text", prefixDoc)
	t.text("roles", &j.Roles, claim, rolesDoc+" Empty: roles.")
	t.texts("scopes", &j.Scopes, "scopes", scopesDoc)
	return t.keys
}

func bindIntrospection(i *Introspection) []Key {
	t := new(table)
	t.url("url", &i.URL, "The endpoint.").must = true
	t.text("client_id", &i.ClientID, "a text", "Client id of this broker at the server.")
	t.secret("client_secret", &i.ClientSecret, "Client secret of this broker at the server.")
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
	t.text("name", &o.Name, "1 to 64 of a-z, 0-9, - and _", "Name of the provider in /oauth/login?provider=.").must = true
	t.url("issuer", &o.Issuer, "Issuer of the provider; its endpoints are discovered from it.")
	t.text("client_id", &o.ClientID, "a text", "Client id of this broker at the provider.").must = true
	t.secret("client_secret", &o.ClientSecret, "Client secret of this broker at the provider.")
	t.url("redirect_url", &o.RedirectURL, "Public URL of /oauth/callback, exactly as registered.").must = true
	t.texts("scopes", &o.Scopes, "scopes", "Scopes requested at the login; with openid the ID token identifies the user.")
	t.oneOf("auth_style", &o.AuthStyle, "How the secret is sent; use none for a public client.", "basic", "post", "none")
	t.texts("auth_params", &o.AuthParams, "name=value", "Additional parameters of the authorization request, such as prompt=login.")
	t.text("user", &o.User, claim, userDoc)
	t.text("user_prefix", &o.UserPrefix, "a text", prefixDoc)
	t.text("roles", &o.Roles, claim, rolesDoc+" Empty: none.")
	t.texts("claims", &o.Claims, "names of claims", "Additional claims to keep, for rules.")
	t.url("auth_url", &o.AuthURL, "Authorization endpoint, if it is not discovered.")
	t.url("token_url", &o.TokenURL, "Token endpoint, if it is not discovered.")
	t.url("revocation_url", &o.RevocationURL, "Revocation endpoint, if it is not discovered.")
	t.url("userinfo_url", &o.UserInfoURL, "UserInfo endpoint, if it is not discovered.")
	t.url("jwks_url", &o.JWKSURL, "Keys of the ID tokens, if they are not discovered.")
	t.add("fetch", recordsOf(&o.Fetch, bindFetch,
		`{name: mail, url: "https://mail.example.com/api/unread", every: 5m, destination: /user/queue/mail}`),
		"Resources that the broker fetches for every user who has signed in at this provider, with the user's token, while no page is open.")
	return t.keys
}

func bindFetch(f *Fetch) []Key {
	t := new(table)
	t.add("name", word{p: &f.Name, kind: "text", want: "1 to 64 of a-z, 0-9, - and _", check: fetchName},
		"Pages get the last answer for their user at GET /data/{name}, with the session cookie. The name must be unique among all resources.").must = true
	t.add("url", word{p: &f.URL, kind: "url", want: "a URL such as https://mail.example.com/api/unread, or http to this machine", check: grantedURL},
		"The resource. It must answer with 200 and JSON. Redirects are not followed.").must = true
	t.duration("every", &f.Every, 5*time.Minute, time.Second, 24*time.Hour, false,
		"Time between two requests for one user, less up to a tenth. While the resource fails, it doubles up to 1h.")
	t.text("destination", &f.Destination, "a private destination such as /user/queue/mail",
		"Destination to which an answer that differs from the previous one is published for the user. No client can send there. Empty: none.")
	return t.keys
}
