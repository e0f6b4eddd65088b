package config

import "time"

// Auth is the section auth.
type Auth struct {
	// Allow clients without a credential. Set it to true to listen on public
	// addresses without authentication.
	Anonymous bool `key:"auth.anonymous"`
	// A user's name means the same person in every source: auth.jwt,
	// introspection, userinfo, oauth, users and webhook. If false, entries
	// that could give two people the same name are refused: set a user_prefix
	// for each.
	SharedNames bool `key:"auth.shared_names" needs:"authentication"`
	// How long a session continues while the server that checks its credential
	// again (auth.introspection, userinfo, webhook) does not answer; then the
	// session ends. off: until the credential expires.
	RecheckGrace time.Duration `key:"auth.recheck_grace" default:"10m" range:"1s to 24h, or off" needs:"rechecks"`
	// Networks of the reverse proxies whose X-Forwarded-For header is trusted;
	// unix is the proxy behind a Unix socket of listen.
	TrustedProxies Proxies `key:"auth.trusted_proxies,live" is:"networks" needs:"listen"`
	// Allow a client to open a WebSocket without a credential and to send it
	// with CONNECT. If false, the handshake must have one: a ticket, a bearer
	// token, a cookie or HTTP Basic; without it the handshake is refused with
	// 401. This does not apply to plain TCP, which has no handshake.
	FirstFrame bool `key:"auth.first_frame" default:"true"`
	// Answer a denied SUBSCRIBE or SEND with a message on /user/queue/errors
	// instead of an ERROR, which ends the session.
	SoftDenial bool `key:"auth.soft_denial"`
	// How long before its credential expires a session gets a notice on
	// /user/topic/session, so that it can renew.
	ExpiryNotice time.Duration `key:"auth.expiry_notice" default:"1m" range:"1s to 1h, or off" needs:"authentication"`
	// Issuers whose JSON Web Tokens are accepted as bearer tokens.
	//
	//	{issuer: "https://login.example.com", audience: "https://broker.example.com", roles: realm_access.roles}
	JWT []JWT `key:"auth.jwt"`
	// Servers that check every other bearer token (RFC 7662).
	//
	//	{url: "https://login.example.com/introspect", client_id: broker, client_secret_file: introspection.secret}
	Introspection []Introspection `key:"auth.introspection"`
	// Resources that return the user of a valid bearer token, for servers
	// without introspection.
	//
	//	{url: "https://login.example.com/userinfo"}
	UserInfo []UserInfo `key:"auth.userinfo"`
	// OAuth 2.0 and OpenID Connect providers where users sign in at
	// /oauth/login. The session cookie then authenticates their pages.
	//
	//	{name: example, issuer: "https://login.example.com", client_id: broker, client_secret_file: oauth.secret, scopes: [openid], redirect_url: "https://app.example.com/oauth/callback"}
	OAuth []OAuth `key:"auth.oauth"`
	// Users with a password.
	Users Users `key:"auth.users"`
	// Single-use tickets, for pages that cannot send a header with their
	// WebSocket.
	Tickets Tickets `key:"auth.tickets"`
	// The login sessions of auth.oauth.
	Sessions Sessions `key:"auth.sessions" needs:"auth.oauth"`
	// Your own backend authenticates clients and decides about destinations.
	Webhook Webhook `key:"auth.webhook" needs:"auth.webhook.url"`
}

// Users is the section auth.users.
type Users struct {
	// YAML file of users: name, hash and roles, as `hoofbeat passwd` prints
	// them. Setting it enables authentication.
	File string `key:"auth.users.file" is:"file"`
}

// Tickets is the section auth.tickets.
type Tickets struct {
	// Accept tickets of the admin API or of your own backend as the only
	// credential. If auth.tickets.secret or any other method in auth is set,
	// tickets are enabled anyway.
	Enabled bool `key:"auth.tickets.enabled"`
	// How long a ticket is valid. A ticket works once.
	TTL time.Duration `key:"auth.tickets.ttl" default:"5m" range:"1s to 1h" needs:"minting"`
	// Path where a client exchanges a bearer token, a login session or, by
	// HTTP Basic in a POST, a static user's passcode for a ticket. If none of
	// these is configured in auth, the answer is 404.
	Path string `key:"auth.tickets.path" is:"path" want:"a path such as /ws_ticket" default:"/ws_ticket" needs:"exchange"`
	// Mint tickets that contain their user, signed with the secret, so that
	// other programs can mint them too.
	Signed bool `key:"auth.tickets.signed"`
	// Key that signs tickets, as ID:KEY, or as KEY with the ID main: 32
	// characters or more. Of several keys, separated by commas or line ends,
	// the first one signs and all are accepted.
	Secret Secret `key:"auth.tickets.secret"`
	// Unused tickets of one user.
	PerSubject int `key:"auth.tickets.per_subject" default:"100" range:"1 to 1000000, or off" needs:"minting"`
	// Unused tickets of all users.
	Outstanding int `key:"auth.tickets.outstanding" default:"100000" range:"1 to 100000000, or off" needs:"minting"`
	// Tickets a second for one user, after a burst.
	Rate int `key:"auth.tickets.rate" default:"5" range:"1 to 1000000, or off" needs:"minting"`
	// Tickets that one user gets at once.
	Burst int `key:"auth.tickets.burst" default:"50" range:"1 to 100000" needs:"minting"`
	// Bind a ticket to the origin of the page that requested it; pages of
	// other origins cannot use it.
	BindOrigin bool `key:"auth.tickets.bind_origin" needs:"exchange"`
}

// Sessions is the section auth.sessions: the login sessions of auth.oauth.
type Sessions struct {
	// Time after its login at which a session ends in any case.
	TTL time.Duration `key:"auth.sessions.ttl" default:"12h" range:"1m to 8760h"`
	// Time after its last use at which a session ends.
	Idle time.Duration `key:"auth.sessions.idle" default:"2h" range:"1m to 8760h, or off"`
	// Sessions of one user. Beyond this a new login ends the oldest.
	PerUser int `key:"auth.sessions.per_user" default:"32" range:"1 to 100000"`
	// Name of the cookie. With https it is prefixed with __Host-.
	Cookie string `key:"auth.sessions.cookie" is:"cookie" default:"hoofbeat"`
	// Where a browser goes after a login without return_to.
	AfterLogin string `key:"auth.sessions.after_login" is:"path" want:"a path such as /" default:"/"`
	// Where a browser goes after a logout without return_to.
	AfterLogout string `key:"auth.sessions.after_logout" is:"path" want:"a path such as /" default:"/"`
	// File that stores the users' tokens, encrypted. Empty: in memory only. With
	// store.dir its tokens are moved there at the next start, and the file is
	// renamed.
	TokenStore string `key:"auth.sessions.token_store" is:"file"`
	// Key of auth.sessions.token_store: 32 bytes in base64 or hexadecimal, as
	// `openssl rand -base64 32` generates it. With store.dir it encrypts the
	// tokens there; with neither it nor store.key they are in memory only.
	TokenStoreKey Secret `key:"auth.sessions.token_store_key"`
}

// Webhook is the section auth.webhook.
type Webhook struct {
	// URL of your backend. The broker sends it one POST for each question:
	// whether a client can connect, and whether an action is allowed that none
	// of your rules decides.
	URL string `key:"auth.webhook.url" is:"url" needs:"-"`
	// Key that signs the requests to the backend.
	Secret Secret `key:"auth.webhook.secret"`
	// How long the broker waits for the backend. Without an answer the request
	// is denied.
	Timeout time.Duration `key:"auth.webhook.timeout" default:"2s" range:"10ms to 1m"`
	// Events that the broker asks the backend about. wait: a user requests a
	// ticket for an operation that is not the user's own.
	Events []string `key:"auth.webhook.events" is:"events" default:"connect,renew,subscribe,send"`
	// Headers of the client's HTTP request that the broker passes to the
	// backend. Empty: Authorization, Cookie, Origin and User-Agent.
	Headers []string `key:"auth.webhook.headers" want:"names of headers"`
	// Headers of the CONNECT frame that the broker passes to the backend
	// besides login and passcode.
	FrameHeaders []string `key:"auth.webhook.frame_headers" want:"names of headers" needs:"admissions"`
	// Longest time between two checks, by the event recheck, of a user whom
	// the backend has allowed to connect. If the backend denies it, the
	// session ends.
	Recheck time.Duration `key:"auth.webhook.recheck" default:"off" range:"1s to 1h, or off"`
	// Prefix of the user's name, so that names of several issuers, providers
	// and backends differ.
	UserPrefix string `key:"auth.webhook.user_prefix"`
	// How long the broker caches the backend's answers about subscribe and
	// send.
	Cache time.Duration `key:"auth.webhook.cache" default:"10s" range:"100ms to 5m, or off" needs:"decisions"`
	// Accept an http URL to an address other than loopback. Anyone on the
	// network path can read the credentials.
	AllowHTTP bool `key:"auth.webhook.allow_http"`
}
