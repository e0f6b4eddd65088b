package config

import "time"

// bindAuth is the part of the table that says who may come in.
func bindAuth(t *table, a *Auth) {
	t.add("auth.anonymous", boolean{&a.Anonymous},
		"Let clients in that do not say who they are. Written out as true it allows listening beyond this machine without an authenticator.")
	t.flag("auth.shared_names", &a.SharedNames,
		"A user's name means the same person wherever it comes from: in auth.jwt, introspection, userinfo, oauth, users and webhook. Without it, entries that could give two people the same name are refused: give each a user_prefix.")
	t.duration("auth.recheck_grace", &a.RecheckGrace, 10*time.Minute, time.Second, 24*time.Hour, true,
		"How long a session goes on whose credential is looked at again (auth.introspection, userinfo, webhook) while nobody answers; then it ends. off: until the credential expires.")
	t.add("auth.trusted_proxies", prefixes{&a.TrustedProxies, &a.TrustUnix},
		"Networks of the reverse proxies whose X-Forwarded-For header is believed; unix is the proxy behind a socket of listen.")
	a.FirstFrame = true
	t.flag("auth.first_frame", &a.FirstFrame,
		"Let a WebSocket be opened without a credential, which CONNECT must bring then. With false the handshake has to bring it: a ticket, a bearer token, a cookie or HTTP Basic; without one it is refused with 401 and there is no socket. Plain TCP has no handshake and is not concerned.")
	t.flag("auth.soft_denial", &a.SoftDenial,
		"Answer a denied SUBSCRIBE or SEND with a message on /user/queue/errors instead of an ERROR, which ends the session.")
	t.duration("auth.expiry_notice", &a.ExpiryNotice, time.Minute, time.Second, time.Hour, true,
		"How long before its credential expires a session is told on /user/topic/session, so that it can renew.")

	t.add("auth.jwt", recordsOf(&a.JWT, bindJWT,
		`{issuer: "https://login.example.com", audience: "https://broker.example.com", roles: realm_access.roles}`),
		"Issuers of JSON Web Tokens that are accepted as bearer tokens.")
	t.add("auth.introspection", recordsOf(&a.Introspection, bindIntrospection,
		`{url: "https://login.example.com/introspect", client_id: broker, client_secret_file: introspection.secret}`),
		"Servers that are asked about every other bearer token (RFC 7662).")
	t.add("auth.userinfo", recordsOf(&a.UserInfo, bindUserInfo, `{url: "https://login.example.com/userinfo"}`),
		"Resources that answer a good bearer token with who the user is, for servers without introspection.")
	t.add("auth.oauth", recordsOf(&a.OAuth, bindOAuth,
		`{name: example, issuer: "https://login.example.com", client_id: broker, client_secret_file: oauth.secret, scopes: [openid], redirect_url: "https://app.example.com/oauth/callback"}`),
		"OAuth 2.0 and OpenID Connect providers where users sign in at /oauth/login. The session cookie then lets pages in.")

	t.file("auth.users.file", &a.Users.File,
		"YAML file of users: name, hash and roles, as `hoofbeat passwd` prints them. Naming one switches authentication on.")

	k := &a.Tickets
	t.flag("auth.tickets.enabled", &k.Enabled,
		"Let clients in by ticket and no other way: tickets of the admin API, or of your own backend. With a secret, or with anything else in auth, tickets are on anyway.")
	t.duration("auth.tickets.ttl", &k.TTL, 5*time.Minute, time.Second, time.Hour, false, "How long a ticket lives. It lets one client in once.")
	k.Path = "/ws_ticket"
	t.add("auth.tickets.path", word{p: &k.Path, kind: "path", want: "a path such as /ws_ticket", check: urlPath},
		"Path where a bearer token, a login session or, by HTTP Basic in a POST, a static user's passcode is exchanged for a ticket. Without any of these in auth the answer is 404.")
	t.flag("auth.tickets.signed", &k.Signed, "Mint tickets that carry their user, signed with the secret, so that other programs can mint them too.")
	t.secret("auth.tickets.secret", &k.Secret,
		"Key that signs tickets, as ID:KEY or KEY, which is called main: 32 characters or more. Of several, separated by commas or line ends, the first one signs and all are accepted.")
	t.count("auth.tickets.per_subject", &k.PerSubject, 100, 1_000_000, "Unused tickets of one user.")
	t.count("auth.tickets.outstanding", &k.Outstanding, 100_000, 100_000_000, "Unused tickets of all users together.")
	t.count("auth.tickets.rate", &k.Rate, 5, 1_000_000, "Tickets a second for one user, after a burst.")
	k.Burst = 50
	t.add("auth.tickets.burst", number[int]{&k.Burst, 1, 100_000, false, countUnit()}, "Tickets that one user gets at once.")
	t.flag("auth.tickets.bind_origin", &k.BindOrigin, "Let only pages of the origin use a ticket that one of its pages asked for.")

	s := &a.Sessions
	t.duration("auth.sessions.ttl", &s.TTL, 12*time.Hour, time.Minute, 8760*time.Hour, false, "How long after its login a session ends, whatever happens.")
	t.duration("auth.sessions.idle", &s.Idle, 2*time.Hour, time.Minute, 8760*time.Hour, true, "How long after its last use a session ends.")
	s.PerUser = 32
	t.add("auth.sessions.per_user", number[int]{&s.PerUser, 1, 100_000, false, countUnit()}, "Sessions of one user. A further login ends the oldest.")
	s.Cookie = "hoofbeat"
	t.add("auth.sessions.cookie", word{p: &s.Cookie, kind: "text", want: "letters, digits, - and _", check: cookieName},
		"Name of the cookie. On https it is preceded by __Host-.")
	s.AfterLogin, s.AfterLogout = "/", "/"
	t.add("auth.sessions.after_login", word{p: &s.AfterLogin, kind: "path", want: "a path such as /", check: urlPath}, "Where a browser goes after a login that does not say.")
	t.add("auth.sessions.after_logout", word{p: &s.AfterLogout, kind: "path", want: "a path such as /", check: urlPath}, "Where a browser goes after a logout that does not say.")
	t.file("auth.sessions.token_store", &s.TokenStore,
		"File in which the users' tokens are kept, encrypted. Empty: in memory only.")
	t.secret("auth.sessions.token_store_key", &s.TokenStoreKey, "Key of that file: 32 bytes in base64 or hexadecimal, as `openssl rand -base64 32` makes it.")

	w := &a.Webhook
	t.url("auth.webhook.url", &w.URL, "Your own backend, which decides by one POST for each question who may connect, and what no rule of yours names.")
	t.secret("auth.webhook.secret", &w.Secret, "Key that signs the questions.")
	t.duration("auth.webhook.timeout", &w.Timeout, 2*time.Second, 10*time.Millisecond, time.Minute, false, "How long the backend may take. No answer is a no.")
	w.Events = []string{"connect", "renew", "subscribe", "send"}
	t.add("auth.webhook.events", list{&w.Events, "handshake, connect, renew, subscribe, send and wait", event}, "What the backend is asked about. wait: a user wants a ticket for an operation that is not that user's own.")
	t.texts("auth.webhook.headers", &w.Headers, "names of headers", "Headers of the HTTP request that it is told. Empty: Authorization, Cookie, Origin and User-Agent.")
	t.texts("auth.webhook.frame_headers", &w.FrameHeaders, "names of headers", "Headers of the CONNECT frame that it is told besides login and passcode.")
	t.duration("auth.webhook.recheck", &w.Recheck, Off, time.Second, time.Hour, true,
		"How often at least the backend is asked, with the event recheck, whether somebody whom it has let in is still welcome. A no ends the session.")
	t.text("auth.webhook.user_prefix", &w.UserPrefix, "a text", prefixDoc)
	t.duration("auth.webhook.cache", &w.Cache, 10*time.Second, 100*time.Millisecond, 5*time.Minute, true, "How long its answers about subscribe and send are remembered.")
	t.flag("auth.webhook.allow_http", &w.AllowHTTP, "Accept an http URL beyond this machine, though everybody on the way can read the credentials.")
}
