package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
)

// Options configure a [Client]. Only Providers is needed; the zero value of everything else is a sensible default.
type Options struct {
	// Providers are where users can sign in: at least one.
	Providers []Provider
	// Store keeps the tokens. Nil is a new [MemoryStore].
	Store TokenStore

	// SessionTTL is how long after the login a session ends, whatever happens: 12 hours if zero.
	SessionTTL time.Duration
	// SessionIdle is how long after its last use a session ends: 2 hours if zero, no such limit if negative.
	SessionIdle time.Duration
	// MaxSessions bounds the sessions of all users, 100,000 if zero. Beyond it logins are refused with 503.
	MaxSessions int
	// MaxSessionsPerUser bounds those of one user, 32 if zero. Beyond it a login ends the user's oldest session.
	MaxSessionsPerUser int
	// MaxPending bounds the logins that have been started and not finished, 10,000 if zero. Beyond it a new one
	// takes the place of the oldest of the network (an IPv4 address, or the /64 of an IPv6 address) that has started
	// the most. Each is dropped after 10 minutes.
	MaxPending int
	// ClientAddress says where a request comes from, for MaxPending, Logger and the turns of callbacks:
	// Request.RemoteAddr if nil. Set it behind a proxy, or all clients share the proxy's address.
	ClientAddress func(*http.Request) netip.Addr

	// Cookie is the session cookie's name, "hoofbeat" if empty. On https it is preceded by "__Host-", or by
	// "__Secure-" if CookiePath is not "/", so that no other site of the domain can set it.
	Cookie string
	// CookiePath is the cookie's path, "/" if empty.
	CookiePath string
	// AfterLogin and AfterLogout are where the browser goes when its request has no return_to: a path of this
	// site, "/" if empty.
	AfterLogin, AfterLogout string

	// LocalUser, if not nil, says who is signed in to the embedding program, or "" if nobody is. A login then
	// attaches the provider's tokens to that user, whatever the provider calls them, and is refused with 401 for
	// nobody. It is asked at the start of the login and again at its end.
	LocalUser func(*http.Request) string
	// SharedNames says that a user name means the same person at every provider.
	SharedNames bool

	// OnLogout is called for each session that ends before its time, with the CredentialID of its principals, so
	// that their sockets can be closed: a revocation of that credential in an [auth.Store], of which nothing is left
	// to refuse after SessionTTL. It runs in the request that ended the session and should not block.
	OnLogout func(credentialID, user string)
	// OnReconsent is called once when a user's token at a provider can no longer be refreshed, so that the user can
	// be told to sign in again. It should not block.
	OnReconsent func(user, provider string)

	// Transport carries the requests to providers and those of [Client.HTTPClient]: [http.DefaultTransport] if nil.
	Transport http.RoundTripper
	// Logger is told why logins, logouts and revocations failed, without any secret: once a second for each kind and
	// network, with the number of those left out. Nil discards that.
	Logger *slog.Logger
}

const (
	loginTTL       = 10 * time.Minute // from the start of a login to its callback
	maxReturnBytes = 1 << 10          // bytes of a return_to
)

var cookieName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// withDefaults returns o with its zero values replaced, or an error that names the bad field.
func (o Options) withDefaults() (Options, error) {
	o.Providers = slices.Clone(o.Providers)
	o.SessionTTL = cmp.Or(o.SessionTTL, 12*time.Hour)
	o.SessionIdle = cmp.Or(o.SessionIdle, 2*time.Hour)
	if o.SessionIdle < 0 {
		o.SessionIdle = o.SessionTTL
	}
	o.MaxSessions = cmp.Or(o.MaxSessions, 100_000)
	o.MaxSessionsPerUser = cmp.Or(o.MaxSessionsPerUser, 32)
	o.MaxPending = cmp.Or(o.MaxPending, 10_000)
	o.Cookie = cmp.Or(o.Cookie, "hoofbeat")
	o.CookiePath = cmp.Or(o.CookiePath, "/")
	o.AfterLogin = cmp.Or(o.AfterLogin, "/")
	o.AfterLogout = cmp.Or(o.AfterLogout, "/")
	if o.Store == nil {
		o.Store = NewMemoryStore()
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ClientAddress == nil {
		o.ClientAddress = peerAddress
	}
	if o.OnLogout == nil {
		o.OnLogout = func(string, string) {}
	}
	if o.OnReconsent == nil {
		o.OnReconsent = func(string, string) {}
	}
	return o, o.validate()
}

func (o *Options) validate() error {
	switch {
	case len(o.Providers) == 0:
		return errors.New("oauth: Options.Providers is empty")
	case o.SessionTTL < time.Second:
		return errors.New("oauth: Options.SessionTTL is less than a second")
	case o.MaxSessions < 0:
		return errors.New("oauth: Options.MaxSessions is negative")
	case o.MaxSessionsPerUser < 0:
		return errors.New("oauth: Options.MaxSessionsPerUser is negative")
	case o.MaxPending < 0:
		return errors.New("oauth: Options.MaxPending is negative")
	case !cookieName.MatchString(o.Cookie):
		return errors.New("oauth: Options.Cookie is not 1 to 64 letters, digits, '-' and '_'")
	case !strings.HasPrefix(o.CookiePath, "/") || strings.ContainsAny(o.CookiePath, ";\r\n"):
		return errors.New("oauth: Options.CookiePath is not a path")
	case !localPath(o.AfterLogin):
		return errors.New("oauth: Options.AfterLogin is not a path of this site")
	case !localPath(o.AfterLogout):
		return errors.New("oauth: Options.AfterLogout is not a path of this site")
	}
	return nil
}

// compile validates the providers one by one and against each other.
func (o *Options) compile() (map[string]*provider, error) {
	all := make(map[string]*provider, len(o.Providers))
	tails := make(map[string]*provider)
	var first *provider
	for i := range o.Providers {
		p := &provider{Provider: o.Providers[i].clone(), turns: turns.New[netip.Addr](turns.Fair(maxCallbacks))}
		if err := p.validate(o.LocalUser == nil); err != nil {
			return nil, fmt.Errorf("oauth: Options.Providers[%d].%w", i, err)
		}
		if all[p.Name] != nil {
			return nil, fmt.Errorf("oauth: Options.Providers[%d].Name %s is taken", i, p.Name)
		}
		for name, other := range all {
			ambiguous := strings.HasPrefix(p.UserPrefix, other.UserPrefix) || strings.HasPrefix(other.UserPrefix, p.UserPrefix)
			if ambiguous && !o.SharedNames && o.LocalUser == nil {
				return nil, fmt.Errorf("oauth: Options.Providers[%d].UserPrefix and that of %s begin alike, so their users could not be told apart", i, name)
			}
		}
		var err error
		if p.redirect, err = httpsec.SecureURL(p.RedirectURL); err != nil {
			return nil, fmt.Errorf("oauth: Options.Providers[%d].RedirectURL %w", i, err)
		}
		if first == nil {
			first = p
		}
		if origin(p.redirect) != origin(first.redirect) {
			return nil, fmt.Errorf("oauth: Options.Providers[%d].RedirectURL is of another origin than that of %s", i, first.Name)
		}
		if other := tails[callbackTail(p.redirect)]; other != nil {
			p.shared, other.shared = true, true
		}
		tails[callbackTail(p.redirect)] = p
		all[p.Name] = p
	}
	for _, p := range all {
		if p.shared && p.Issuer == "" {
			return nil, fmt.Errorf("oauth: provider %s has no Issuer, so its RedirectURL must end in a path segment of its own", p.Name)
		}
	}
	return all, nil
}

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// localPath reports whether s is a path of this site, with or without a query, and nothing that a browser would take
// for another site's address: browsers read '\' as '/', and drop control characters.
func localPath(s string) bool {
	if len(s) > maxReturnBytes || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, `\`) {
		return false
	}
	if strings.ContainsFunc(s, unicode.IsControl) { // url.Parse lets them through in a fragment
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && !strings.HasPrefix(u.Path, "//")
}
