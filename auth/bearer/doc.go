// Package bearer authenticates clients by the bearer tokens of OAuth 2.0 (RFC 6750): JSON Web Tokens, which it
// verifies with the keys of their issuer, and opaque tokens, about which it asks the server that issued them.
//
//	verifier, err := bearer.New(bearer.Options{
//		JWT: []bearer.JWT{{
//			Issuer:     "https://login.example.com", // its keys are found by OpenID Connect discovery
//			Audience:   "https://broker.example.com",
//			RolesClaim: "realm_access.roles",
//		}},
//	})
//	if err != nil {
//		return err
//	}
//	authenticator := auth.Chain(verifier, auth.Anonymous) // for the Authorization header of handshake and CONNECT
//	principal, err := verifier.Verify(ctx, token)         // for any other request
//
// Spring Security's counterparts are JwtAuthenticationProvider and OpaqueTokenAuthenticationProvider.
//
// # Who verifies a token
//
// A token in the form of a signed JWT whose iss is that of a [JWT] is verified by its rules alone. Every other token,
// a JWT of another issuer included, goes to the [Introspection] endpoints and then to the [UserInfo] endpoints, in
// the order in which they are listed. If there are none, it is refused.
//
// # What is checked
//
//	                 JWT                              Introspection and UserInfo
//	size, characters at most 8 KiB, b64token          the same
//	algorithm        on the list; none and HS* never  –
//	signature        by a public key of the issuer's  the server does
//	                 whose type, curve, size, use and
//	                 alg fit the algorithm
//	crit, b64        refused                          –
//	base64           the one canonical spelling       –
//	typ (header)     at+jwt, JWT or absent            –
//	active           –                                true; for UserInfo, status 200
//	iss              exact                            –
//	aud              contains Audience                the same if Audience is set; UserInfo cannot say
//	sub              required                         –
//	exp              required; good until 60 s after  the same if present
//	nbf, iat         at most 60 s in the future       the same
//	cnf              refused: bound to a key          the same
//	token_use, typ   not those of another kind        the same
//	user claim       an auth.ValidName; for email,    the same
//	                 email_verified is true
//	scope or scp     contains all Scopes              the same
//
// # ID tokens
//
// An ID token tells an application who has logged in. Whoever gets hold of one, for example because he runs such an
// application, must not become that user here. A token of type at+jwt (RFC 9068) is no ID token, and
// [JWT.RequireType] accepts nothing else. Many servers write no such type; then a token is refused as an ID token if
//
//   - it has a nonce, at_hash, c_hash, s_hash or events claim, or
//   - its token_use is not access, or its typ claim is ID, Refresh, Offline or Logout, or
//   - its one audience is also its azp, and it has neither scope nor scp.
//
// What remains is an ID token without any of these marks. Its audience is the client id of an application, so it
// passes only where Audience is such a client id: name the broker something of its own.
//
// # Keys
//
// Keys are fetched for the first token and then once an hour, without anybody waiting. A token of an unknown key
// fetches them again, at most once a minute for the clients of one network and once in 5 s for all; while there are no
// keys at all, any token does so once in 5 s. A fetch that fails leaves the keys as they are. Parallel needs share one
// fetch; a fetch takes at most 5 s and reads at most 1 MiB and 100 keys.
//
// # Answers of endpoints
//
// A good answer is believed for 30 s or until the token's exp, whichever is sooner, so that a revocation shows within
// 30 s; a bad one for 5 s. Answers are remembered under the SHA-256 of the token, a bounded number of them. Parallel
// questions about one token share one request; an endpoint gets at most 64 requests at once, each of which takes at
// most 5 s and 64 KiB. At most 48 of them are about tokens from one network (an IPv4 address, or the /64 of an IPv6
// address; [auth.WithRemote] says which), of which at most 1,024 more wait, and the turns go round among the networks,
// so that strangers who try tokens delay nobody of another network by more than one request. If it does not answer properly, nothing is remembered and the token is refused with
// [ErrUnavailable]: status 503 and Retry-After, for it may be good.
//
// # What a principal has
//
// Name and Roles are the claims that the options name, and Claims all of them. Roles are a list of texts or one
// text, which is one role; a token whose roles or scopes are anything else is refused, because a rule that denies by
// one of them would not apply. A claim name with dots is looked for as it is and then as a path. Expires is 60 s after
// exp, the moment from which the token would be refused; if an endpoint states no exp, it is zero. Recheck asks the
// endpoint that vouched for the token again while a session is open. Issued is iat. Scopes are scope, else scp.
//
// CredentialID is made of a JWT's issuer and jti by [CredentialID]. For other tokens it is "sha256:" and the first half of a SHA-256 in 32 hexadecimal
// digits: for a JWT without a jti that of the token up to its last dot, because from an ECDSA signature anybody can
// make a second one and would escape a revocation; for tokens that an endpoint vouches for that of the whole token.
//
// Tokens travel in headers only. The broker refuses an access_token in a URL, where logs would keep it.
package bearer
