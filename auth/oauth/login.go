package oauth

import (
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Login redirects the browser to a provider: GET ?provider=&return_to=.
// provider is optional if there is only one. After the login the browser goes
// to return_to, a path of this site. (Steps 1 and 2 of the flow; RFC 6749
// section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section 3.1.2.1.)
func (c *Client) Login(w http.ResponseWriter, r *http.Request) {
	l, f := c.begin(r)
	if f != nil {
		c.fail(w, r, "login", f)
		return
	}
	// A browser keeps its cookie, so that several tabs can sign in at once. The
	// value identifies neither user nor session, so its origin does not matter.
	browser, _ := readCookie(r.Header, c.cookies.browser.Name)
	if browser == "" {
		browser = newSecret()
	}
	l.browser = digestOf(browser)
	state := newSecret()
	if err := c.beginLogin(r.Context(), state, l, c.o.ClientAddress(r)); err != nil {
		c.fail(w, r, "login", &failure{http.StatusServiceUnavailable, textInternal, err})
		return
	}

	setCookie(w, c.cookies.browser, browser)
	secureHeaders(w.Header())
	w.Header().Set("Location", l.authorizeURL(state))
	w.WriteHeader(http.StatusFound)
}

// begin decides whether a login may start.
func (c *Client) begin(r *http.Request) (*login, *failure) {
	q, ok := parameters(r.URL.RawQuery)
	if !ok {
		return nil, &failure{status: http.StatusBadRequest, text: textMalformed}
	}
	p := c.chosen(q["provider"])
	if p == nil {
		return nil, &failure{status: http.StatusBadRequest, text: textUnknown}
	}
	returnTo, given := q["return_to"]
	if !given {
		returnTo = c.o.AfterLogin
	}
	if !localPath(returnTo) {
		return nil, &failure{status: http.StatusBadRequest, text: textMalformed}
	}
	l := &login{provider: p, verifier: oauth2.GenerateVerifier(), returnTo: strings.Clone(returnTo)} // do not keep the whole query
	if c.o.LocalUser != nil {
		if l.localUser = c.o.LocalUser(r); l.localUser == "" {
			return nil, &failure{status: http.StatusUnauthorized, text: textNobody}
		}
	}
	if p.oidc() {
		l.nonce = newSecret()
	}
	var err error
	if l.metadata, err = p.source.get(r.Context()); err != nil {
		return nil, &failure{http.StatusServiceUnavailable, textUnavailable, err}
	}
	return l, nil
}

// chosen returns the named provider. Without a name it returns the only
// provider.
func (c *Client) chosen(name string) *provider {
	if name == "" && len(c.providers) == 1 {
		name = c.o.Providers[0].Name
	}
	return c.providers[name]
}

// authorizeURL returns the URL of the authorization request.
func (l *login) authorizeURL(state string) string {
	p := l.provider
	config := oauth2.Config{
		ClientID:    p.ClientID,
		RedirectURL: p.RedirectURL,
		Scopes:      p.Scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: l.metadata.authorize},
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(l.verifier)}
	if l.nonce != "" {
		options = append(options, oidc.Nonce(l.nonce))
	}
	for name, value := range p.AuthParams {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return config.AuthCodeURL(state, options...)
}
