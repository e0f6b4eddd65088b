package config

import "time"

// bindAuth binds the keys of the section auth: the authentication of clients.
func bindAuth(t *table, a *Auth) {
	t.add("auth.anonymous", boolean{&a.Anonymous},
		"Allow clients without a credential. Set it to true to listen on public addresses without authentication.")
	t.flag("auth.shared_names", &a.SharedNames,
		"A user's name means the same person in every source: auth.jwt, introspection, userinfo, oauth, users and webhook. If false, entries that could give two people the same name are refused: set a user_prefix for each.")
	t.duration("auth.recheck_grace", &a.RecheckGrace, 10*time.Minute, time.Second, 24*time.Hour, true,
		"How long a session continues while the server that checks its credential again (auth.introspection, userinfo, webhook) does not answer; then the session ends. off: until the credential expires.")
	t.add("auth.trusted_proxies", prefixes{&a.TrustedProxies, &a.TrustUnix},
		"Networks of the reverse proxies whose X-Forwarded-For header is trusted; unix is the proxy behind a Unix socket of listen.")
	a.FirstFrame = true
	t.flag("auth.first_frame", &a.FirstFrame,
		"Allow a client to open a WebSocket without a credential and to send it with CONNECT. If false, the handshake must have one: a ticket, a bearer token, a cookie or HTTP Basic; without it the handshake is refused with 401. This does not apply to plain TCP, which has no handshake.")
	t.flag("auth.soft_denial", &a.SoftDenial,
		"Answer a denied SUBSCRIBE or SEND with a message on /user/queue/errors instead of an ERROR, which ends the session.")
	t.duration("auth.expiry_notice", &a.ExpiryNotice, time.Minute, time.Second, time.Hour, true,
		"How long before its credential expires a session gets a notice on /user/topic/session, so that it can renew.")

	t.add("auth.jwt", recordsOf(&a.JWT, bindJWT,
		`{issuer: "https://login.example.com", audience: "https://broker.example.com", roles: realm_access.roles}`),
		"Issuers whose JSON Web Tokens are accepted as bearer tokens.")
	t.add("auth.introspection", recordsOf(&a.Introspection, bindIntrospection,
		`{url: "https://login.example.com/introspect", client_id: broker, client_secret_file: introspection.secret}`),
		"Servers that check every other bearer token (RFC 7662).")
	t.add("auth.userinfo", recordsOf(&a.UserInfo, bindUserInfo, `{url: "https://login.example.com/userinfo"}`),
		"Resources that return the user of a valid bearer token, for servers without introspection.")
	t.add("auth.oauth", recordsOf(&a.OAuth, bindOAuth,
		`{name: example, issuer: "https://login.example.com", client_id: broker, client_secret_file: oauth.secret, scopes: [openid], redirect_url: "https://app.example.com/oauth/callback"}`),
		"OAuth 2.0 and OpenID Connect providers where users sign in at /oauth/login. The session cookie then authenticates their pages.")

	t.file("auth.users.file", &a.Users.File,
		"YAML file of users: name, hash and roles, as `hoofbeat passwd` prints them. Setting it enables authentication.")

	k := &a.Tickets
	t.flag("auth.tickets.enabled", &k.Enabled,
		"Accept tickets of the admin API or of your own backend as the only credential. If auth.tickets.secret or any other method in auth is set, tickets are enabled anyway.")
	t.duration("auth.tickets.ttl", &k.TTL, 5*time.Minute, time.Second, time.Hour, false, "How long a ticket is valid. A ticket works once.")
	k.Path = "/ws_ticket"
	t.add("auth.tickets.path", word{p: &k.Path, kind: "path", want: "a path such as /ws_ticket", check: urlPath},
		"Path where a client exchanges a bearer token, a login session or, by HTTP Basic in a POST, a static user's passcode for a ticket. If none of these is configured in auth, the answer is 404.")
	t.flag("auth.tickets.signed", &k.Signed, "Mint tickets that contain their user, signed with the secret, so that other programs can mint them too.")
	t.secret("auth.tickets.secret", &k.Secret,
		"Key that signs tickets, as ID:KEY, or as KEY with the ID main: 32 characters or more. Of several keys, separated by commas or line ends, the first one signs and all are accepted.")
	t.count("auth.tickets.per_subject", &k.PerSubject, 100, 1_000_000, "Unused tickets of one user.")
	t.count("auth.tickets.outstanding", &k.Outstanding, 100_000, 100_000_000, "Unused tickets of all users.")
	t.count("auth.tickets.rate", &k.Rate, 5, 1_000_000, "Tickets a second for one user, after a burst.")
	k.Burst = 50
	t.add("auth.tickets.burst", number[int]{&k.Burst, 1, 100_000, false, countUnit()}, "Tickets that one user gets at once.")
	t.flag("auth.tickets.bind_origin", &k.BindOrigin, "Bind a ticket to the origin of the page that requested it; pages of other origins cannot use it.")

	s := &a.Sessions
	t.duration("auth.sessions.ttl", &s.TTL, 12*time.Hour, time.Minute, 8760*time.Hour, false, "Time after its login at which a session ends in any case.")
	t.duration("auth.sessions.idle", &s.Idle, 2*time.Hour, time.Minute, 8760*time.Hour, true, "Time after its last use at which a session ends.")
	s.PerUser = 32
	t.add("auth.sessions.per_user", number[int]{&s.PerUser, 1, 100_000, false, countUnit()}, "Sessions of one user. Beyond this a new login ends the oldest.")
	s.Cookie = "hoofbeat"
	t.add("auth.sessions.cookie", word{p: &s.Cookie, kind: "text", want: "letters, digits, - and _", check: cookieName},
		"Name of the cookie. With https it is prefixed with __Host-.")
	s.AfterLogin, s.AfterLogout = "/", "/"
	t.add("auth.sessions.after_login", word{p: &s.AfterLogin, kind: "path", want: "a path such as /", check: urlPath}, "Where a browser goes after a login without return_to.")
	t.add("auth.sessions.after_logout", word{p: &s.AfterLogout, kind: "path", want: "a path such as /", check: urlPath}, "Where a browser goes after a logout without return_to.")
	t.file("auth.sessions.token_store", &s.TokenStore,
		"File that stores the users' tokens, encrypted. Empty: in memory only.")
	t.secret("auth.sessions.token_store_key", &s.TokenStoreKey, "Key of auth.sessions.token_store: 32 bytes in base64 or hexadecimal, as `openssl rand -base64 32` generates it.")

	w := &a.Webhook
	t.url("auth.webhook.url", &w.URL, "URL of your backend. The broker sends it one POST for each question: whether a client can connect, and whether an action is allowed that none of your rules decides.")
	t.secret("auth.webhook.secret", &w.Secret, "Key that signs the requests to the backend.")
	t.duration("auth.webhook.timeout", &w.Timeout, 2*time.Second, 10*time.Millisecond, time.Minute, false, "How long the broker waits for the backend. Without an answer the request is denied.")
	w.Events = []string{"connect", "renew", "subscribe", "send"}
	t.add("auth.webhook.events", list{&w.Events, "handshake, connect, renew, subscribe, send and wait", event}, "Events that the broker asks the backend about. wait: a user requests a ticket for an operation that is not the user's own.")
	t.texts("auth.webhook.headers", &w.Headers, "names of headers", "Headers of the client's HTTP request that the broker passes to the backend. Empty: Authorization, Cookie, Origin and User-Agent.")
	t.texts("auth.webhook.frame_headers", &w.FrameHeaders, "names of headers", "Headers of the CONNECT frame that the broker passes to the backend besides login and passcode.")
	t.duration("auth.webhook.recheck", &w.Recheck, Off, time.Second, time.Hour, true,
		"Longest time between two checks, by the event recheck, of a user whom the backend has allowed to connect. If the backend denies it, the session ends.")
	t.text("auth.webhook.user_prefix", &w.UserPrefix, "a text", prefixDoc)
	t.duration("auth.webhook.cache", &w.Cache, 10*time.Second, 100*time.Millisecond, 5*time.Minute, true, "How long the broker caches the backend's answers about subscribe and send.")
	t.flag("auth.webhook.allow_http", &w.AllowHTTP, "Accept an http URL to an address other than loopback. Anyone on the network path can read the credentials.")
}
