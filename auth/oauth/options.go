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

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
)

// Options configure a [Client]. Only Providers is required; all other fields
// have defaults.
type Options struct {
	// Providers lists the providers where users can sign in: at least one.
	Providers []Provider
	// Store keeps the tokens. Nil means a new [MemoryStore].
	Store TokenStore
	// Records keep unfinished logins and sessions, so that they survive the
	// process, and for several processes that share them. Nil means in memory.
	// For tokens set Store to [NewRecordTokens].
	Records Records

	// SessionTTL is the maximum lifetime of a session after the login: 12 hours
	// if zero.
	SessionTTL time.Duration
	// SessionIdle is how long a session lives after its last use: 2 hours if
	// zero, no such limit if negative.
	SessionIdle time.Duration
	// MaxSessions is the maximum number of sessions of all users, 100,000 if
	// zero. Further logins get 503. The sessions take at most 4 KiB of memory
	// each on average, and one takes at most 64 KiB.
	MaxSessions int
	// MaxSessionsPerUser is the maximum number of sessions of one user, 32 if
	// zero. A further login ends the user's oldest session. The user's sessions
	// also take at most 4 KiB of memory each on average.
	MaxSessionsPerUser int
	// MaxPending is the maximum number of unfinished logins, 10,000 if zero. A
	// further login replaces the oldest of the network with the most unfinished
	// logins. A network is an IPv4 address, or the /64 of an IPv6 address. An
	// unfinished login expires after 10 minutes.
	MaxPending int
	// ClientAddress returns the client address of a request, for MaxPending,
	// Logger and the turns of callbacks. Nil means Request.RemoteAddr. Set it
	// behind a proxy; otherwise all clients share the proxy's address.
	ClientAddress func(*http.Request) netip.Addr

	// Cookie is the name of the session cookie, "hoofbeat" if empty. On https
	// the name gets the prefix "__Host-", or "__Secure-" if CookiePath is not
	// "/", so that no other site of the domain can set the cookie.
	Cookie string
	// CookiePath is the cookie's path, "/" if empty.
	CookiePath string
	// AfterLogin and AfterLogout are the default of return_to: a path of this
	// site, "/" if empty.
	AfterLogin, AfterLogout string

	// LocalUser, if not nil, returns the user who is signed in to the embedding
	// program, or "" if there is none. A login then attaches the provider's
	// tokens to that user, whatever name the provider reports; without a user
	// it gets 401. It is called at the start and at the end of the login.
	LocalUser func(*http.Request) string
	// SharedNames states that a user name means the same person at every
	// provider.
	SharedNames bool

	// OnLogout is called with the CredentialID of each session that ends early,
	// so that its sockets can be closed: revoke that credential in an
	// [auth.Revocations]. The revocation is not needed for longer than SessionTTL.
	// OnLogout runs in the request that ended the session and should not block
	// for long. If it returns an error, the session has ended all the same, but
	// the logout is not confirmed to whoever asked for it.
	OnLogout func(credentialID, user string) error
	// OnReconsent is called once when a user's token at a provider can no
	// longer be refreshed. Use it to ask the user to sign in again. It should
	// not block.
	OnReconsent func(user, provider string)

	// Transport carries the requests to providers and those of
	// [Client.HTTPClient]. Nil means [http.DefaultTransport].
	Transport http.RoundTripper
	// Logger logs why logins, logouts and revocations failed, without secrets:
	// at most one line a second for each kind and network, with the number of
	// omitted lines. Nil means no logging.
	Logger *slog.Logger
}

// DefaultSessionTTL is the default of [Options.SessionTTL].
const DefaultSessionTTL = 12 * time.Hour

const (
	loginTTL       = 10 * time.Minute // from the start of a login to its callback
	maxReturnBytes = 1 << 10          // bytes of a return_to
)

var cookieName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// withDefaults returns o with defaults for its zero values, or an error that
// names the invalid field.
func (o Options) withDefaults() (Options, error) {
	o.Providers = slices.Clone(o.Providers)
	o.SessionTTL = cmp.Or(o.SessionTTL, DefaultSessionTTL)
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
		o.OnLogout = func(string, string) error { return nil }
	}
	if o.OnReconsent == nil {
		o.OnReconsent = func(string, string) {}
	}
	return o, o.validate()
}

func optionError(field, problem string) error {
	return &auth.OptionError{Of: "oauth: Options", Field: field, Err: errors.New(problem)}
}

// ofProvider makes an error about a field of a provider one about the options.
func ofProvider(i int, err *fieldError) error {
	return &auth.OptionError{Of: "oauth: Options", Field: fmt.Sprintf("Providers[%d].%s", i, err.field), Err: err.problem}
}

func (o *Options) validate() error {
	switch {
	case len(o.Providers) == 0:
		return optionError("Providers", "is empty")
	case o.SessionTTL < time.Second:
		return optionError("SessionTTL", "is less than a second")
	case o.MaxSessions < 0:
		return optionError("MaxSessions", "is negative")
	case o.MaxSessionsPerUser < 0:
		return optionError("MaxSessionsPerUser", "is negative")
	case o.MaxPending < 0:
		return optionError("MaxPending", "is negative")
	case !cookieName.MatchString(o.Cookie):
		return optionError("Cookie", "is not 1 to 64 letters, digits, '-' and '_'")
	case !strings.HasPrefix(o.CookiePath, "/") || strings.ContainsAny(o.CookiePath, ";\r\n"):
		return optionError("CookiePath", "is not a path")
	case !localPath(o.AfterLogin):
		return optionError("AfterLogin", "is not a path of this site")
	case !localPath(o.AfterLogout):
		return optionError("AfterLogout", "is not a path of this site")
	}
	return nil
}

// compile validates each provider, and all providers together.
func (o *Options) compile() (map[string]*provider, error) {
	all := make(map[string]*provider, len(o.Providers))
	tails := make(map[string]*provider)
	var first *provider
	for i := range o.Providers {
		p := &provider{Provider: o.Providers[i].clone(), turns: turns.New[netip.Addr](turns.Fair(maxCallbacks))}
		if err := p.validate(o.LocalUser == nil); err != nil {
			return nil, ofProvider(i, err)
		}
		if all[p.Name] != nil {
			return nil, ofProvider(i, fieldErrorf("Name", "%s is taken", p.Name))
		}
		for name, other := range all {
			ambiguous := strings.HasPrefix(p.UserPrefix, other.UserPrefix) || strings.HasPrefix(other.UserPrefix, p.UserPrefix)
			if ambiguous && !o.SharedNames && o.LocalUser == nil {
				return nil, ofProvider(i, fieldErrorf("UserPrefix", "it and that of %s overlap, so two users could get the same name; make neither prefix begin the other", name))
			}
		}
		var err error
		if p.redirect, err = httpsec.SecureURL(p.RedirectURL); err != nil {
			return nil, ofProvider(i, &fieldError{"RedirectURL", err})
		}
		if first == nil {
			first = p
		}
		if origin(p.redirect) != origin(first.redirect) {
			return nil, ofProvider(i, fieldErrorf("RedirectURL", "is of another origin than that of %s", first.Name))
		}
		if other := tails[callbackTail(p.redirect)]; other != nil {
			p.shared, other.shared = true, true
		}
		tails[callbackTail(p.redirect)] = p
		all[p.Name] = p
	}
	for i := range o.Providers {
		if p := all[o.Providers[i].Name]; p.shared && p.Issuer == "" {
			return nil, ofProvider(i, fieldErrorf("RedirectURL", "must end in a path segment of its own, because the provider %s has no issuer", p.Name))
		}
	}
	return all, nil
}

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// localPath reports whether s is a path of this site, with an optional query,
// that no browser takes for an address of another site: browsers read '\' as
// '/', and drop control characters.
func localPath(s string) bool {
	if len(s) > maxReturnBytes || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, `\`) {
		return false
	}
	if strings.ContainsFunc(s, unicode.IsControl) { // url.Parse accepts them in a fragment
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && !strings.HasPrefix(u.Path, "//")
}
