package config

import (
	"net/netip"
	"time"
)

// Auth is the section auth.
type Auth struct {
	Anonymous      bool
	SharedNames    bool
	RecheckGrace   time.Duration
	TrustedProxies []netip.Prefix
	TrustUnix      bool // unix among trusted_proxies
	Users          Users
	FirstFrame     bool
	SoftDenial     bool
	ExpiryNotice   time.Duration
	Tickets        Tickets
	JWT            []JWT
	Introspection  []Introspection
	UserInfo       []UserInfo
	OAuth          []OAuth
	Sessions       Sessions
	Webhook        Webhook
}

// Users is the section auth.users.
type Users struct{ File string }

// Tickets is the section auth.tickets.
type Tickets struct {
	Enabled     bool
	TTL         time.Duration
	Path        string
	Signed      bool
	Secret      Secret
	PerSubject  int
	Outstanding int
	Rate        int
	Burst       int
	BindOrigin  bool
}

// JWT is one item of auth.jwt.
type JWT struct {
	Issuer, Audience, JWKS string
	Algorithms             []string
	RequireType            bool
	Leeway                 time.Duration
	User, UserPrefix       string
	Roles                  string
	Scopes                 []string
}

// Introspection is one item of auth.introspection.
type Introspection struct {
	URL, ClientID    string
	ClientSecret     Secret
	Issuer, Audience string
	Recheck          time.Duration
	User, UserPrefix string
	Roles            string
	Scopes           []string
}

// UserInfo is one item of auth.userinfo.
type UserInfo struct {
	URL, Issuer      string
	Recheck          time.Duration
	User, UserPrefix string
	Roles            string
	Scopes           []string
}

// OAuth is one item of auth.oauth; AuthStyle is "basic", "post" or "none".
type OAuth struct {
	Name, Issuer, ClientID                                 string
	ClientSecret                                           Secret
	RedirectURL                                            string
	Scopes                                                 []string
	AuthStyle                                              string
	AuthParams                                             []string
	User, UserPrefix, Roles                                string
	Claims                                                 []string
	AuthURL, TokenURL, RevocationURL, UserInfoURL, JWKSURL string
	Fetch                                                  []Fetch
}

// Fetch is one item of auth.oauth[].fetch.
type Fetch struct {
	Name, URL   string
	Every       time.Duration
	Destination string
}

// Sessions is the section auth.sessions: the login sessions of auth.oauth.
type Sessions struct {
	TTL, Idle               time.Duration
	PerUser                 int
	Cookie                  string
	AfterLogin, AfterLogout string
	TokenStore              string
	TokenStoreKey           Secret
}

// Webhook is the section auth.webhook.
type Webhook struct {
	URL                   string
	Secret                Secret
	Timeout               time.Duration
	Events                []string
	Headers, FrameHeaders []string
	UserPrefix            string
	Recheck               time.Duration
	Cache                 time.Duration
	AllowHTTP             bool
}

// Bearer reports whether bearer tokens are accepted.
func (a *Auth) Bearer() bool { return len(a.JWT)+len(a.Introspection)+len(a.UserInfo) > 0 }

// Authenticated reports whether clients are asked who they are.
func (c *Config) Authenticated() bool {
	a := &c.Auth
	return a.Users.File != "" || a.Bearer() || len(a.OAuth) > 0 || a.Webhook.URL != "" ||
		a.Tickets.Enabled || a.Tickets.Secret.Set()
}
