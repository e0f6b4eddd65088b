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
		if err := c.logout(ctx, digestOf(cookie), r.PostForm.Get("all") == "true"); err != nil {
			c.warn(r, "revocation failed", err)
		}
	}
	setCookie(w, c.cookies.session, "")
	redirect(w, returnTo)
}

func (c *Client) logout(ctx context.Context, id digest, all bool) error {
	s := c.sessions.end(id)
	if s == nil {
		return nil
	}
	c.ended(s)
	if all {
		return c.LogoutUser(ctx, s.user)
	}
	if c.sessions.has(s.user, s.provider) {
		return nil
	}
	return c.forget(ctx, Key{s.user, s.provider})
}

// LogoutUser ends all sessions of a user, and revokes and deletes the user's
// tokens at all providers. The sessions end even if there is an error, which
// concerns the tokens.
func (c *Client) LogoutUser(ctx context.Context, user string) error {
	c.ended(c.sessions.endUser(user, "")...)
	var errs []error
	for name := range c.providers {
		errs = append(errs, c.forget(ctx, Key{user, name}))
	}
	return errors.Join(errs...)
}

// Disconnect ends all sessions of a user that began at a provider, and revokes
// and deletes the user's tokens there. The sessions end even if there is an
// error, which concerns the tokens.
func (c *Client) Disconnect(ctx context.Context, user, provider string) error {
	if c.providers[provider] == nil {
		return ErrUnknownProvider
	}
	c.ended(c.sessions.endUser(user, provider)...)
	return c.forget(ctx, Key{user, provider})
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
