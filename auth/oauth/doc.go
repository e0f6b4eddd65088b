// Package oauth signs users in at OAuth 2.0 and OpenID Connect providers, with
// the authorization code flow. It serves the login, callback and logout pages,
// keeps the login sessions on the server, and keeps the users' tokens for
// background work. It is the client (the relying party), never the provider.
//
//	client, err := oauth.New(oauth.Options{
//		Providers: []oauth.Provider{{
//			Name: "example", Issuer: "https://login.example.com",
//			ClientID: "app", ClientSecret: secret, Scopes: []string{"openid", "offline_access"},
//			RedirectURL: "https://app.example.com/oauth/callback",
//		}},
//		OnLogout: func(credentialID, user string) error { /* close the sockets of this credential */ return nil },
//	})
//	mux.Handle("/oauth/", client.Handler())
//	principal, ok := client.Session(r)                    // in your handler: the signed-in user
//	reply, err := client.HTTPClient("alice", "example").Get(api) // in the background: with alice's token
//
// # The flow
//
//	browser                        Client                                provider
//	   │ GET /oauth/login             │                                      │
//	   │ ────────────────────────────▶│ (discovery, once) ──────────────────▶│
//	   │ 302, login cookie            │ keeps state, verifier, nonce 10 min  │
//	   │ ◀────────────────────────────│                                      │
//	   │ GET authorize?client_id&redirect_uri&response_type=code&state&code_challenge&scope&nonce
//	   │ ───────────────────────────────────────────────────────────────────▶│ the user signs in
//	   │ 302 /oauth/callback?code&state&iss                                  │
//	   │ ◀───────────────────────────────────────────────────────────────────│
//	   │ GET /oauth/callback, login cookie                                   │
//	   │ ────────────────────────────▶│ state, browser, iss; then forgets    │
//	   │                              │ POST token: code, code_verifier ────▶│
//	   │                              │ ◀──── access, refresh and ID tokens  │
//	   │ 303 return_to, new session   │ verifies the ID token, stores        │
//	   │ cookie                       │ the tokens under (user, provider)    │
//	   │ ◀────────────────────────────│                                      │
//	   │                              │ Token, HTTPClient: refresh ─────────▶│
//	   │ POST /oauth/logout           │ OnLogout; POST revoke ──────────────▶│
//	   │ ────────────────────────────▶│                                      │
//	   │                              │ ◀── POST /oauth/backchannel-logout   │
//
// The browser gets two random cookies and nothing else: no token, code verifier
// or user name. The Client keeps only the SHA-256 of cookies and states. No
// error, log record or page of this package contains a secret, and pages repeat
// nothing from a request.
//
// # Sessions
//
// A [Client] is an [auth.Authenticator] for the session cookie at the
// handshake. [Client.Session] serves handlers, such as the one that mints
// tickets. A session ends when the user signs out here or at the provider, when
// it is idle for too long, and at the latest after [Options.SessionTTL]; its
// principals expire with it. Each login ends the browser's previous session and
// makes a session with its own cookie and CredentialID, "oidc:" and 32 random
// hex digits, so revoking one credential never blocks the next login.
//
// Sessions and unfinished logins are in this process's memory, and bounded.
// Tokens are in a [TokenStore].
package oauth
