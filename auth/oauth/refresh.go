package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Token returns an access token of the user for background work; no browser is
// involved (steps 13 and 14 of the flow). It refreshes a token that expires
// within 60 s: once, however many callers ask at the same time. If the refresh
// fails, for example because the provider cannot be reached, it returns the old
// token until that expires.
//
// The error is [ErrNoToken], [ErrReconsent], [ErrUnknownProvider], [ErrClosed],
// ctx's, a [*ProviderError] or one of the network or the store.
func (c *Client) Token(ctx context.Context, user, provider string) (string, error) {
	t, err := c.current(ctx, Key{user, provider}, "")
	if err != nil {
		return "", err
	}
	return t.Access, nil
}

// current returns the token of k. It first refreshes a token that is about to
// expire, or whose access token is refused, which a resource has rejected.
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

// good reports whether t needs no refresh; usable reports whether t still works
// without one.
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

// renew refreshes the token of k. The flight guarantees that no other refresh
// of k runs in this process. It loads the token again, because the caller may
// have loaded it before the previous flight ended, and many providers revoke
// everything if a refresh token is used twice.
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

// rotate replaces old by fresh in the store. If a login has replaced old
// meanwhile, it keeps that token; if a logout has deleted old, it revokes
// fresh.
func (c *Client) rotate(ctx context.Context, p *provider, m *metadata, k Key, old, fresh *Token) (*Token, error) {
	var now *Token
	err := c.update(ctx, k, func(present *Token) *Token {
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

// lapse marks a grant as expired and calls OnReconsent once.
func (c *Client) lapse(ctx context.Context, k Key, old *Token) (*Token, error) {
	var now *Token
	var lapsed bool
	err := c.update(ctx, k, func(present *Token) *Token {
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
	return now, nil // another node or a login has stored a new token meanwhile
}

// same reports whether t is the same entry as other.
func (t *Token) same(other *Token) bool {
	return t != nil && !t.Reconsent && t.Access == other.Access && t.Refresh == other.Refresh
}

// flightTime limits one refresh: discovery, the request and the store.
const flightTime = 3 * providerTimeout

// flights are the running refreshes, one for each key. All callers for a key
// share its result.
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

// join returns the flight for k. It starts one if there is none.
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
		// The flight has several callers, so it must not depend on one caller's
		// context.
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

// guarded turns a panic in the embedder's store or hook into an error, because
// the goroutine is ours and a panic would end the embedder's program.
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
