package oauth

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoList reports that the Client's [TokenStore] is not a [TokenLister].
var ErrNoList = errors.New("oauth: the token store cannot list its users")

// TokenLister is an optional interface of a [TokenStore] that lists all
// entries, for background work for every user. [MemoryStore] and [FileStore]
// implement it.
type TokenLister interface {
	// Keys returns the keys of all entries, in any order.
	Keys(ctx context.Context) ([]Key, error)
}

// Keys returns the keys of all entries. It never fails.
func (s *MemoryStore) Keys(context.Context) ([]Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return keysOf(&s.tokens), nil
}

// Keys returns the keys of all entries. It never fails.
func (s *FileStore) Keys(context.Context) ([]Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return keysOf(&s.tokens), nil
}

// Users returns the users with a token of a provider, including tokens that
// have lapsed ([ErrReconsent]). The error is [ErrUnknownProvider], [ErrNoList]
// or the store's.
func (c *Client) Users(ctx context.Context, provider string) ([]string, error) {
	if c.providers[provider] == nil {
		return nil, ErrUnknownProvider
	}
	lister, ok := c.o.Store.(TokenLister)
	if !ok {
		return nil, ErrNoList
	}
	keys, err := lister.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("oauth: token store: %w", err)
	}
	var users []string
	for _, k := range keys {
		if k.Provider == provider {
			users = append(users, k.User)
		}
	}
	return users, nil
}

// AccessToken is [Client.Token] with the token's expiry and scopes. The result
// does not contain the refresh token.
func (c *Client) AccessToken(ctx context.Context, user, provider string) (*Token, error) {
	t, err := c.current(ctx, Key{user, provider}, "")
	if err != nil {
		return nil, err
	}
	return &Token{Access: t.Access, Expires: t.Expires, Scopes: t.Scopes, Subject: t.Subject}, nil
}
