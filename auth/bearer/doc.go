// Package bearer authenticates clients by OAuth 2.0 bearer tokens (RFC 6750).
// It verifies JSON Web Tokens with the keys of their issuer, and asks the
// issuing server about opaque tokens.
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
// Spring Security's counterparts are JwtAuthenticationProvider and
// OpaqueTokenAuthenticationProvider.
//
// # How a token is verified
//
// A signed JWT whose iss is that of a [JWT] is verified by the rules of that
// JWT alone. Every other token, including a JWT of another issuer, goes to the
// [Introspection] endpoints and then to the [UserInfo] endpoints, in the order
// in which they are listed. If there are none, the token is rejected.
//
// # What is checked
//
//	                 JWT                              Introspection and UserInfo
//	size, characters at most 8 KiB, b64token          the same
//	algorithm        on the list; none and HS* never  –
//	signature        by a public key of the issuer    by the server
//	                 whose type, curve, size, use and
//	                 alg fit the algorithm
//	crit, b64        rejected                         –
//	base64           canonical spelling only          –
//	typ (header)     at+jwt, JWT or absent            –
//	active           –                                true; for UserInfo, status 200
//	iss              exact                            the same if present and Issuer is set
//	aud              contains Audience                the same if Audience is set; not for UserInfo
//	sub              required                         –
//	exp              required; valid until 60 s after the same if present
//	nbf, iat         at most 60 s in the future       the same
//	cnf              rejected: bound to a key         the same
//	token_use, typ   not those of another kind        the same
//	user claim       an auth.ValidName; for email,    the same
//	                 email_verified is true
//	scope or scp     contains all Scopes              the same
//
// [JWT.Leeway] changes the 60 s.
//
// # ID tokens
//
// An ID token tells an application which user has logged in. Anyone who obtains
// an ID token, for example the owner of such an application, must not be able
// to connect here as that user. A token of type at+jwt (RFC 9068) is not an ID
// token, and [JWT.RequireType] accepts no other type. Many servers do not set
// that type; then a token is rejected as an ID token if
//
//   - it has a nonce, at_hash, c_hash, s_hash or events claim, or
//   - its token_use is not access, or its typ claim is ID, Refresh, Offline
//     or Logout, or
//   - its only audience is also its azp, and it has neither scope nor scp.
//
// An ID token without any of these marks remains possible. Its audience is the
// client id of an application, so it is accepted only if Audience is that
// client id. Give the broker an audience of its own.
//
// # Keys
//
// Keys are fetched for the first token and then once an hour in the background.
// A token with an unknown key causes a new fetch, at most once a minute for the
// clients of one network and once in 5 s for all. While there are no keys at
// all, any token causes a fetch, at most once in 5 s. A failed fetch keeps the
// old keys. Concurrent callers share one fetch, which takes at most 5 s and
// reads at most 1 MiB and 100 keys.
//
// # Answers of endpoints
//
// A positive answer is cached for 30 s or until the token's exp, whichever is
// sooner, so a revocation takes effect within 30 s. A negative answer is cached
// for 5 s. The cache is bounded, and its keys are the SHA-256 of the tokens.
//
// Concurrent questions about one token share one request. An endpoint gets at
// most 64 requests at once, each limited to 5 s and 64 KiB. At most 48 of them
// are about tokens from one network (an IPv4 address, or the /64 of an IPv6
// address; see [auth.WithRemote]), and at most 1,024 more from that network
// wait. The networks take turns, so clients that try many tokens delay other
// networks by at most one request.
//
// If an endpoint does not answer properly, nothing is cached and the token is
// rejected with [ErrUnavailable], status 503 and Retry-After, because it may be
// valid.
//
// # The principal
//
// Name and Roles are the configured claims, and Claims has all claims. Roles
// must be a list of texts, or one text, which is one role. A token with roles
// or scopes of another type is rejected, because a rule that denies by one of
// them would not apply. A claim name with dots is looked up as a name first and
// then as a path.
//
// Expires is exp plus 60 s, the time from which the token would be rejected; it
// is zero if an endpoint states no exp. Recheck asks the endpoint that accepted
// the token again while a session is open. Issued is iat. Scopes are scope, or
// else scp.
//
// For a JWT with a jti, [CredentialID] makes the CredentialID from the issuer
// and the jti. For other tokens it is "sha256:" and the first half of a SHA-256
// in 32 hexadecimal digits. For a JWT without a jti this is the hash of the
// token without its signature, because anyone can make a second ECDSA signature
// from the first and could so escape a revocation. For tokens that an endpoint
// accepts it is the hash of the whole token.
//
// Tokens are accepted in headers only. The broker rejects an access_token in a
// URL, because logs would keep it.
package bearer
