package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"
)

// This file keeps unfinished logins in Options.Records, so that a callback is
// accepted by another process than the one that began the login, and by one
// only.

// loginRecord is a login as it is kept. The endpoints must be the same when it
// ends as they were when it began.
type loginRecord struct {
	Provider                               string
	Browser                                digest
	Verifier, Nonce, ReturnTo, LocalUser   string
	Authorize, Token, Revocation, UserInfo string
	NamesItself                            bool
	Began                                  time.Time
}

func (l *login) record() loginRecord {
	m := l.metadata
	return loginRecord{
		Provider: l.provider.Name, Browser: l.browser, Verifier: l.verifier, Nonce: l.nonce, ReturnTo: l.returnTo, LocalUser: l.localUser,
		Authorize: m.authorize, Token: m.token, Revocation: m.revocation, UserInfo: m.userinfo, NamesItself: m.namesItself, Began: time.Now(),
	}
}

// beginLogin keeps a login until its callback.
func (c *Client) beginLogin(ctx context.Context, state string, l *login, from netip.Addr) error {
	removed := c.pending.add(state, l, from)
	if c.o.Records == nil {
		return nil
	}
	value, err := json.Marshal(l.record())
	if err != nil {
		return err
	}
	revision, err := c.o.Records.Create(ctx, kindLogin, digestOf(state).name(), value, time.Now().Add(loginTTL))
	if err == nil && revision == 0 {
		err = errRecord // the state is random
	}
	c.forgetLogins(ctx, removed)
	return err
}

// forgetLogins removes the logins that made room for another one. Those that
// cannot be removed expire.
func (c *Client) forgetLogins(ctx context.Context, removed []digest) {
	for _, state := range removed {
		if _, revision, err := c.o.Records.Get(ctx, kindLogin, state.name()); err == nil {
			_, _ = c.o.Records.Remove(ctx, kindLogin, state.name(), revision)
		}
	}
}

// findLogin returns the login with that state if this browser started it, and
// the revision of its record.
func (c *Client) findLogin(ctx context.Context, state, browser string) (l *login, revision uint64, f *failure) {
	stale := &failure{status: http.StatusBadRequest, text: textStale}
	if c.o.Records == nil {
		l, ok := c.pending.find(state, browser)
		if !ok {
			return nil, 0, stale
		}
		return l, 0, nil
	}
	value, revision, err := c.o.Records.Get(ctx, kindLogin, digestOf(state).name())
	if err != nil {
		return nil, 0, &failure{http.StatusServiceUnavailable, textInternal, err}
	}
	var r loginRecord
	if revision == 0 {
		return nil, 0, stale
	}
	if json.Unmarshal(value, &r) != nil {
		return nil, 0, &failure{http.StatusInternalServerError, textInternal, errRecord}
	}
	if r.Browser != digestOf(browser) || time.Since(r.Began) >= loginTTL {
		return nil, 0, stale
	}
	l = &login{provider: c.providers[r.Provider], browser: r.Browser, verifier: r.Verifier, nonce: r.Nonce, returnTo: r.ReturnTo, localUser: r.LocalUser}
	if l.provider == nil { // of an earlier configuration
		return nil, 0, stale
	}
	if l.metadata, err = l.provider.source.get(ctx); err != nil {
		return nil, 0, &failure{http.StatusServiceUnavailable, textUnavailable, err}
	}
	r.Began = time.Time{}
	if now := l.record(); !now.sameEndpoints(&r) {
		return nil, 0, stale
	}
	return l, revision, nil
}

func (r *loginRecord) sameEndpoints(other *loginRecord) bool {
	return r.Authorize == other.Authorize && r.Token == other.Token && r.Revocation == other.Revocation &&
		r.UserInfo == other.UserInfo && r.NamesItself == other.NamesItself
}

// takeLogin is findLogin, and also closes the login, so that each state is valid
// for one callback. If it is not known whether this callback closed it, nobody
// signs in.
func (c *Client) takeLogin(ctx context.Context, state, browser string) (*login, *failure) {
	stale := &failure{status: http.StatusBadRequest, text: textStale}
	if c.o.Records == nil {
		l, ok := c.pending.take(state, browser)
		if !ok {
			return nil, stale
		}
		return l, nil
	}
	l, revision, f := c.findLogin(ctx, state, browser)
	if f != nil {
		return nil, f
	}
	removed, err := c.o.Records.Remove(ctx, kindLogin, digestOf(state).name(), revision)
	switch {
	case err != nil:
		return nil, &failure{http.StatusServiceUnavailable, textInternal, err}
	case !removed:
		return nil, stale
	}
	c.pending.forget(state)
	return l, nil
}
