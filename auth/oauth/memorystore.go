package oauth

import (
	"context"
	"sync"
)

// MemoryStore is a [TokenStore] in memory. Its tokens are lost when the program
// ends. They take at most [MaxStored] bytes.
type MemoryStore struct {
	mu     sync.Mutex
	tokens tokens
}

var _ TokenStore = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{tokens: newTokens()} }

// Load returns the entry of k or [ErrNoToken].
func (s *MemoryStore) Load(_ context.Context, k Key) (*Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens.token(k); t != nil {
		return t, nil
	}
	return nil, ErrNoToken
}

// Update replaces the entry of k. It never fails.
func (s *MemoryStore) Update(_ context.Context, k Key, change func(*Token) *Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.set(k, change(s.tokens.token(k)))
	return nil
}

func (s *MemoryStore) madeRoom() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens.madeRoom()
}
