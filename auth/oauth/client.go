package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// Client signs users in at OAuth 2.0 and OpenID Connect providers, keeps their
// sessions and tokens, and provides the tokens to background work. It is safe
// for concurrent use. It runs goroutines only during a refresh or a request for
// keys, and with [Options.Records] until Close.
type Client struct {
	o           Options
	providers   map[string]*provider
	http        *http.Client // to providers
	cookies     cookies
	pending     *pending
	sessions    *sessions
	logoutIDs   *replays
	keeping     *keeping
	flights     flights
	crossOrigin *http.CrossOriginProtection
	quiet       loglimit.Limiter // for lines that any client can cause
}

// New returns a Client. It validates and copies o and sends nothing: providers
// are discovered when first needed. It reads [Options.Records], for 30 s at
// most. The error names the invalid field.
func New(o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	providers, err := o.compile()
	if err != nil {
		return nil, err
	}
	c := &Client{
		o:           o,
		providers:   providers,
		http:        providerClient(o.Transport),
		pending:     newPending(o.MaxPending),
		sessions:    newSessions(&o),
		logoutIDs:   newReplays(),
		keeping:     newKeeping(),
		flights:     flights{underway: make(map[Key]*flight)},
		crossOrigin: http.NewCrossOriginProtection(),
	}
	for _, p := range providers {
		p.source = newMetadataSource(p, c.http)
	}
	// All redirect URLs have one origin, the origin of this site.
	site := providers[o.Providers[0].Name].redirect
	c.cookies = newCookies(&o, site.Scheme == "https")
	if err := c.crossOrigin.AddTrustedOrigin(origin(site)); err != nil {
		return nil, ofProvider(0, &fieldError{"RedirectURL", err})
	}
	if o.Records != nil {
		ctx, cancel := context.WithTimeout(context.Background(), recordsTime)
		defer cancel()
		if err := c.follow(ctx); err != nil {
			c.keeping.stop()
			return nil, err
		}
	}
	return c, nil
}

// recordsTime limits how long New reads Options.Records.
const recordsTime = 30 * time.Second

// Close waits for running refreshes, which take a few seconds at most, so that
// no rotated token is lost. Afterwards [Client.Token] starts no refresh. Close
// may be called more than once.
func (c *Client) Close() {
	c.flights.close()
	c.keeping.stop()
}

// Handler serves [Client.Login], [Client.Callback], [Client.Logout] and
// [Client.BackchannelLogout] at
//
//	GET  /oauth/login
//	GET  /oauth/callback and /oauth/callback/{anything}
//	POST /oauth/logout
//	POST /oauth/backchannel-logout
//
// To use other paths, mount the methods one by one.
func (c *Client) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/login", c.Login)
	mux.HandleFunc("GET /oauth/callback", c.Callback)
	mux.HandleFunc("GET /oauth/callback/{provider}", c.Callback)
	mux.HandleFunc("POST /oauth/logout", c.Logout)
	mux.HandleFunc("POST /oauth/backchannel-logout", c.BackchannelLogout)
	return mux
}

// ended calls OnLogout for sessions that have ended. The caller holds no lock.
func (c *Client) ended(list ...*session) error {
	var errs []error
	for _, s := range list {
		errs = append(errs, c.o.OnLogout(s.credential, s.user))
	}
	return errors.Join(errs...)
}
