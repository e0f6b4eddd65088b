package oauth

import (
	"context"
	"sync"
)

// MemoryStore is a [TokenStore] in memory. Its tokens are lost when the program
// ends.
type MemoryStore struct {
	mu     sync.Mutex
	tokens map[Key]*Token
}

var _ TokenStore = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{tokens: make(map[Key]*Token)} }

// Load returns the entry of k or [ErrNoToken].
func (s *MemoryStore) Load(_ context.Context, k Key) (*Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[k]; t != nil {
		return t, nil
	}
	return nil, ErrNoToken
}

// Update replaces the entry of k. It never fails.
func (s *MemoryStore) Update(_ context.Context, k Key, change func(*Token) *Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := change(s.tokens[k]); t != nil {
		s.tokens[k] = t
	} else {
		delete(s.tokens, k)
	}
	return nil
}
