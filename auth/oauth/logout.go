package oauth

import (
	"context"
	"errors"
	"net/http"
)

const maxLogoutForm = 4 << 10 // bytes

// revocationTime limits how long a logout waits for the provider.
const revocationTime = providerTimeout

// Logout ends the browser's session: POST, from this site only, with optional
// return_to= and all= in the form. If it was the user's last session from that
// provider, or with all=true, it revokes the provider's tokens (RFC 7009) and
// deletes them. With all=true it ends all the user's sessions. It then
// redirects the browser to return_to.
//
// The logout succeeds even if the provider cannot be reached; that costs at
// most 5 s and is logged.
func (c *Client) Logout(w http.ResponseWriter, r *http.Request) {
	if err := c.crossOrigin.Check(r); err != nil {
		c.fail(w, r, "logout", &failure{status: http.StatusForbidden, text: textCrossOrigin})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutForm)
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		c.fail(w, r, "logout", &failure{status: http.StatusBadRequest, text: textMalformed})
		return
	}
	returnTo := c.o.AfterLogout
	if r.PostForm.Has("return_to") {
		returnTo = r.PostForm.Get("return_to")
	}
	if !localPath(returnTo) {
		c.fail(w, r, "logout", &failure{status: http.StatusBadRequest, text: textMalformed})
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), revocationTime)
	defer cancel()
	if cookie, _ := readCookie(r.Header, c.cookies.session.Name); cookie != "" {
		unsaved, err := c.logout(ctx, digestOf(cookie), r.PostForm.Get("all") == "true")
		if err != nil {
			c.warn(r, "revocation failed", err)
		}
		if unsaved != nil { // the cookie stays, so that the user can try again
			c.fail(w, r, "logout", &failure{http.StatusServiceUnavailable, textLogout, unsaved})
			return
		}
	}
	setCookie(w, c.cookies.session, "")
	redirect(w, returnTo)
}

// logout ends a session. The first error means that it may come back, the
// second is about the tokens.
func (c *Client) logout(ctx context.Context, id digest, all bool) (unsaved, err error) {
	s, unsaved := c.end(ctx, id)
	switch {
	case s == nil:
		return unsaved, nil
	case all:
		return errors.Join(unsaved, c.finish(ctx, c.sessions.endUser(s.user, "")...)), c.forgetAll(ctx, s.user)
	case c.sessions.has(s.user, s.provider):
		return unsaved, nil
	}
	return unsaved, c.forget(ctx, Key{s.user, s.provider})
}

// LogoutUser ends all sessions of a user, and revokes and deletes the user's
// tokens at all providers. The sessions end even if there is an error. It
// concerns the tokens, or says that with [Options.Records] a session may come
// back with the next process.
func (c *Client) LogoutUser(ctx context.Context, user string) error {
	return errors.Join(c.finish(ctx, c.sessions.endUser(user, "")...), c.forgetAll(ctx, user))
}

// forgetAll is forget for all providers.
func (c *Client) forgetAll(ctx context.Context, user string) error {
	var errs []error
	for name := range c.providers {
		errs = append(errs, c.forget(ctx, Key{user, name}))
	}
	return errors.Join(errs...)
}

// Disconnect ends all sessions of a user that began at a provider, and revokes
// and deletes the user's tokens there. The sessions end even if there is an
// error, as with [Client.LogoutUser].
func (c *Client) Disconnect(ctx context.Context, user, provider string) error {
	if c.providers[provider] == nil {
		return ErrUnknownProvider
	}
	return errors.Join(c.finish(ctx, c.sessions.endUser(user, provider)...), c.forget(ctx, Key{user, provider}))
}

// forget deletes the token of k and then revokes it at the provider.
func (c *Client) forget(ctx context.Context, k Key) error {
	var t *Token
	err := c.update(ctx, k, func(old *Token) *Token { t = old; return nil })
	if err != nil || t == nil {
		return err
	}
	p := c.providers[k.Provider]
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	m, err := p.source.get(ctx)
	if err != nil {
		return err
	}
	return p.revoke(ctx, c.http, m, t)
}
