package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Token returns an access token of the user's for background work, with no browser involved (steps 13 and 14 of the
// flow). One that expires within 60 s is refreshed first: once, however many callers ask at the same time. If the
// provider cannot be reached it is returned all the same until it has expired.
//
// The error is [ErrNoToken], [ErrReconsent], [ErrUnknownProvider], [ErrClosed], ctx's, a [*ProviderError] or one of
// the network or the store.
func (c *Client) Token(ctx context.Context, user, provider string) (string, error) {
	t, err := c.current(ctx, Key{user, provider}, "")
	if err != nil {
		return "", err
	}
	return t.Access, nil
}

// current returns the token of k, refreshed if it is about to expire or its access token is the one that a resource
// has refused.
func (c *Client) current(ctx context.Context, k Key, refused string) (*Token, error) {
	p := c.providers[k.Provider]
	if p == nil {
		return nil, ErrUnknownProvider
	}
	t, err := c.load(ctx, k)
	if err != nil || t.good(refused) {
		return t, err
	}
	fresh, err := c.flights.do(ctx, k, func(ctx context.Context) (*Token, error) { return c.renew(ctx, p, k, refused) })
	if err != nil && t.usable(refused) && !errors.Is(err, ErrReconsent) && !errors.Is(err, ErrNoToken) && ctx.Err() == nil {
		return t, nil
	}
	return fresh, err
}

// good reports whether t needs no refresh, usable whether it may do without one.
func (t *Token) good(refused string) bool   { return t.Access != refused && !t.stale(time.Now()) }
func (t *Token) usable(refused string) bool { return t.Access != refused && !t.expired(time.Now()) }

func (c *Client) load(ctx context.Context, k Key) (*Token, error) {
	t, err := c.o.Store.Load(ctx, k)
	switch {
	case errors.Is(err, ErrNoToken):
		return nil, ErrNoToken
	case err != nil:
		return nil, fmt.Errorf("oauth: token store: %w", err)
	case t.Reconsent:
		return nil, ErrReconsent
	}
	return t, nil
}

// renew refreshes the token of k. It is one flight: nobody else in this process does so at the same time. What it
// decides on is read anew, because whoever started it may have looked before the previous flight had landed, and a
// refresh token that is used twice makes many a provider revoke everything.
func (c *Client) renew(ctx context.Context, p *provider, k Key, refused string) (*Token, error) {
	t, err := c.load(ctx, k)
	if err != nil || t.good(refused) {
		return t, err
	}
	if t.Refresh == "" {
		if t.usable(refused) {
			return t, nil
		}
		return c.lapse(ctx, k, t)
	}
	m, err := p.source.get(ctx)
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	got, err := p.refresh(ctx, c.http, m, t.Refresh)
	if isInvalidGrant(err) {
		return c.lapse(ctx, k, t)
	}
	if err != nil {
		return nil, err
	}
	fresh := got.token(asked, t.Subject, t.Scopes)
	if fresh.Refresh == "" {
		fresh.Refresh = t.Refresh
	}
	return c.rotate(ctx, p, m, k, t, fresh)
}

// rotate puts fresh in the place of old, unless that has been replaced by a login meanwhile, or deleted by a logout,
// after which the new tokens have to go as well.
func (c *Client) rotate(ctx context.Context, p *provider, m *metadata, k Key, old, fresh *Token) (*Token, error) {
	var now *Token
	err := c.o.Store.Update(ctx, k, func(present *Token) *Token {
		if now = present; present.same(old) {
			now = fresh
		}
		return now
	})
	if err != nil {
		return nil, fmt.Errorf("oauth: token store: %w", err)
	}
	if now == nil {
		return nil, errors.Join(ErrNoToken, p.revoke(ctx, c.http, m, fresh))
	}
	if now.Reconsent {
		return nil, ErrReconsent
	}
	return now, nil
}

// lapse marks a grant as come to its end and tells the program, once.
func (c *Client) lapse(ctx context.Context, k Key, old *Token) (*Token, error) {
	var now *Token
	var lapsed bool
	err := c.o.Store.Update(ctx, k, func(present *Token) *Token {
		now, lapsed = present, present.same(old)
		if lapsed {
			now = &Token{Reconsent: true, Subject: old.Subject}
		}
		return now
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("oauth: token store: %w", err)
	case now == nil:
		return nil, ErrNoToken
	case lapsed:
		c.o.OnReconsent(k.User, k.Provider)
		return nil, ErrReconsent
	case now.Reconsent:
		return nil, ErrReconsent
	}
	return now, nil // somebody else, on another node or at a login, has got a new one meanwhile
}

// same reports whether t is still the entry that other was.
func (t *Token) same(other *Token) bool {
	return t != nil && !t.Reconsent && t.Access == other.Access && t.Refresh == other.Refresh
}

// flightTime bounds one refresh: discovery, the request and the store.
const flightTime = 3 * providerTimeout

// flights are the refreshes underway: one at a time for each key, and all who ask for it get its result.
type flights struct {
	mu       sync.Mutex
	underway map[Key]*flight
	running  sync.WaitGroup
	closed   bool
}

type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

func (f *flights) do(ctx context.Context, k Key, fn func(context.Context) (*Token, error)) (*Token, error) {
	one, err := f.join(ctx, k, fn)
	if err != nil {
		return nil, err
	}
	select {
	case <-one.done:
		return one.token, one.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the flight for k, which it starts if there is none.
func (f *flights) join(ctx context.Context, k Key, fn func(context.Context) (*Token, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if one := f.underway[k]; one != nil {
		return one, nil
	}
	one := &flight{done: make(chan struct{})}
	f.underway[k] = one
	f.running.Go(func() {
		// It is not only for the one who started it, so that one's leaving does not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
		defer cancel()
		one.token, one.err = guarded(ctx, fn)
		f.mu.Lock()
		delete(f.underway, k)
		f.mu.Unlock()
		close(one.done)
	})
	return one, nil
}

// guarded turns a panic of the embedder's store or hook into an error: the goroutine is ours, and the program is not.
func guarded(ctx context.Context, fn func(context.Context) (*Token, error)) (t *Token, err error) {
	defer func() {
		if recover() != nil {
			t, err = nil, errors.New("oauth: the token store or OnReconsent panicked")
		}
	}()
	return fn(ctx)
}

func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.running.Wait()
}
