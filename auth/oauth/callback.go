package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const maxQueryBytes = 16 << 10

// parameters parses a query. It rejects repeated parameters (RFC 6749 section
// 3.1), so that another component cannot read a different value.
func parameters(query string) (map[string]string, bool) {
	if len(query) > maxQueryBytes {
		return nil, false
	}
	all, err := url.ParseQuery(query)
	if err != nil {
		return nil, false
	}
	q := make(map[string]string, len(all))
	for name, values := range all {
		if len(values) != 1 {
			return nil, false
		}
		q[name] = values[0]
	}
	return q, true
}

// Callback is the endpoint to which the provider redirects the browser. It
// exchanges the code for tokens, stores them, starts a session under a new
// cookie and redirects the browser to the login's return_to. A callback that
// does not belong to a login of this browser gets 400 and causes no request. At
// most 64 callbacks at a time make requests to a provider, and at most 48 of
// them come from one network. A callback that waits 10 s for its turn gets 503;
// reloading the page repeats it. (Steps 8 to 12 of the flow; RFC 6749 section
// 4.1.2, RFC 9207.)
func (c *Client) Callback(w http.ResponseWriter, r *http.Request) {
	// A mux passes HEAD to GET handlers. Link checkers must not use up a login.
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		c.fail(w, r, "callback", &failure{status: http.StatusMethodNotAllowed, text: textMalformed})
		return
	}
	l, cookie, f := c.signIn(r)
	if f != nil {
		c.fail(w, r, "callback", f)
		return
	}
	// The cookie is always new, so an attacker gains nothing by planting an old
	// one in this browser.
	if old, _ := readCookie(r.Header, c.cookies.session.Name); old != "" {
		if _, err := c.end(r.Context(), digestOf(old)); err != nil {
			c.warn(r, "the end of the previous session could not be stored", err)
		}
	}
	setCookie(w, c.cookies.session, cookie)
	redirect(w, l.returnTo)
}

// signIn finds the login of a callback, completes it when its network gets a
// turn, and returns the session's cookie. Without a turn the login stays open
// and the callback may be repeated.
func (c *Client) signIn(r *http.Request) (l *login, cookie string, f *failure) {
	q, ok := parameters(r.URL.RawQuery)
	if !ok {
		return nil, "", &failure{status: http.StatusBadRequest, text: textMalformed}
	}
	browser, _ := readCookie(r.Header, c.cookies.browser.Name)
	if browser == "" || len(q["state"]) != secretLength {
		return nil, "", &failure{status: http.StatusBadRequest, text: textStale}
	}
	if l, _, f = c.findLogin(r.Context(), q["state"], browser); f != nil {
		return nil, "", f
	}
	p, network := l.provider, httpsec.Network(c.o.ClientAddress(r))
	patience, cancel := context.WithTimeout(r.Context(), callbackPatience)
	served := p.turns.Take(patience, network)
	cancel()
	if !served {
		return nil, "", &failure{http.StatusServiceUnavailable, textBusy, p.failed("token", errNoTurn)}
	}
	defer p.turns.Give(network)
	l, code, f := c.returned(r, q, browser)
	if f != nil {
		return nil, "", f
	}
	cookie, f = c.complete(r, l, code)
	return l, cookie, f
}

var errNoTurn = errors.New("the limit of 64 callbacks at a time, or 48 from this network, was reached for 10s")

// returned closes the login of a callback and returns the authorization code.
func (c *Client) returned(r *http.Request, q map[string]string, browser string) (l *login, code string, f *failure) {
	if l, f = c.takeLogin(r.Context(), q["state"], browser); f != nil {
		return nil, "", f
	}
	if err := l.answeredBy(r.URL.Path, q); err != nil {
		return nil, "", &failure{http.StatusBadRequest, textIdentity, l.provider.failed("authorization", err)}
	}
	if refusal, refused := q["error"]; refused {
		return nil, "", refusedAuthorization(l.provider, refusal)
	}
	if q["code"] == "" {
		return nil, "", &failure{status: http.StatusBadRequest, text: textMalformed}
	}
	if c.o.LocalUser != nil && c.o.LocalUser(r) != l.localUser {
		return nil, "", &failure{status: http.StatusUnauthorized, text: textNobody}
	}
	return l, q["code"], nil
}

// answeredBy returns an error if the callback comes from another provider than
// the login's. This prevents the mix-up attack of RFC 9700 section 4.4, in
// which our code for an honest provider would be sent to a dishonest one.
func (l *login) answeredBy(callbackPath string, q map[string]string) error {
	p := l.provider
	if path.Base(callbackPath) != callbackTail(p.redirect) {
		return errors.New("the callback belongs to another provider")
	}
	issuer, named := q["iss"]
	switch {
	case named && p.Issuer != "" && issuer != p.Issuer:
		return errors.New("the callback names another issuer")
	case !named && l.metadata.namesItself:
		return errors.New("the callback names no issuer, though the provider always does")
	case !named && p.shared:
		return errors.New("the callback names no issuer, and another provider has the same redirect URL")
	}
	return nil
}

func refusedAuthorization(p *provider, code string) *failure {
	err := &ProviderError{Provider: p.Name, Op: "authorization", Status: http.StatusFound, Code: knownCode(code)}
	if code == "access_denied" {
		return &failure{http.StatusForbidden, textDenied, err}
	}
	return &failure{http.StatusBadGateway, textRefused, err}
}

// complete exchanges the code for tokens, starts a session and returns the
// session's cookie.
func (c *Client) complete(r *http.Request, l *login, code string) (cookie string, f *failure) {
	// The code is used up, so finish the login even if the browser disconnects.
	ctx := context.WithoutCancel(r.Context())
	p, asked := l.provider, time.Now()
	got, err := p.exchange(ctx, c.http, l.metadata, code, l.verifier)
	if err != nil {
		if isInvalidGrant(err) {
			return "", &failure{http.StatusBadRequest, textStale, err}
		}
		return "", &failure{http.StatusBadGateway, textRefused, err}
	}
	cookie, token, f := c.admit(ctx, l, got, asked)
	if f != nil {
		// Nobody owns the tokens now, so revoke them.
		if err := p.revoke(ctx, c.http, l.metadata, token); err != nil {
			c.warn(r, "revocation failed", err)
		}
		return "", f
	}
	return cookie, nil
}

// admit identifies the user of the tokens, starts the session and stores the
// tokens.
func (c *Client) admit(ctx context.Context, l *login, got *reply, asked time.Time) (cookie string, token *Token, f *failure) {
	p := l.provider
	token = got.token(asked, "", p.Scopes)
	id, err := p.identify(ctx, c.http, l.metadata, got, l)
	if err != nil {
		return "", token, &failure{http.StatusBadGateway, textIdentity, p.failed("identity", err)}
	}
	token.Subject = id.subject
	cookie = newSecret()
	s := &session{
		id: digestOf(cookie), credential: newCredentialID(), user: id.user, provider: p.Name, subject: id.subject,
		sid: id.sid, roles: id.roles, scopes: token.Scopes, claims: id.claims,
	}
	pushedOut, err := c.startSession(ctx, s, id.issued)
	if failed := c.ended(pushedOut...); failed != nil {
		c.o.Logger.Error("the sockets of a session that a newer one replaced could not be closed", "user", s.user, "error", failed)
	}
	if err != nil {
		if _, unkept := errors.AsType[*notKept](err); unkept {
			return "", token, &failure{http.StatusServiceUnavailable, textInternal, err}
		}
		if errors.Is(err, errLoggedOut) {
			return "", token, &failure{http.StatusBadRequest, textStale, p.failed("identity", err)}
		}
		if errors.Is(err, errSessionBytes) {
			return "", token, &failure{http.StatusBadGateway, textIdentity, p.failed("identity", err)}
		}
		return "", token, &failure{http.StatusServiceUnavailable, textFull, err}
	}
	err = c.update(ctx, Key{id.user, p.Name}, func(old *Token) *Token { return token.inheriting(old) })
	if err != nil {
		c.sessions.end(s.id)
		return "", token, &failure{http.StatusInternalServerError, textInternal, errors.Join(err, c.discard(ctx, s))}
	}
	// A logout happened meanwhile and found no token to delete.
	if _, live := c.sessions.use(s.id); !live {
		return "", token, c.retract(ctx, Key{id.user, p.Name}, token)
	}
	return cookie, token, nil
}

// retract deletes a token that was just stored.
func (c *Client) retract(ctx context.Context, k Key, token *Token) *failure {
	err := c.update(ctx, k, func(present *Token) *Token {
		if present != nil && present.Access == token.Access {
			return nil
		}
		return present
	})
	return &failure{http.StatusBadRequest, textStale, err}
}

// inheriting returns t, with the refresh token of old if t has none and the
// provider's subject is the same. Several providers send no new refresh token
// for a user who has consented before.
func (t *Token) inheriting(old *Token) *Token {
	if t.Refresh != "" || old == nil || old.Refresh == "" || t.Subject == "" || t.Subject != old.Subject {
		return t
	}
	merged := *t
	merged.Refresh = old.Refresh
	return &merged
}
