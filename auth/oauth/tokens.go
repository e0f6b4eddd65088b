package oauth

import (
	"context"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// MaxStored is the maximum memory of the tokens in a [MemoryStore] or a
// [FileStore], in bytes, the bookkeeping included: more than 100,000 usual
// entries. An entry beyond that replaces those that have not been used for the
// longest time; their users must sign in again.
const MaxStored = 256 << 20

// tokens are the entries of a store. They are not safe for concurrent use.
type tokens struct {
	entries map[Key]*stored
	bytes   int64
	uses    int64 // numbers the uses
	removed int   // entries that made room and were not reported yet
	max     int64
}

type stored struct {
	token *Token
	bytes int64
	used  int64 // number of the latest use
}

func newTokens() tokens { return tokens{entries: make(map[Key]*stored), max: MaxStored} }

// storedBytes is the memory of an entry without its texts: the Token, its key,
// and its place in the map.
const storedBytes = 256

// bytesOf returns the memory of an entry.
func bytesOf(k Key, t *Token) int64 {
	return storedBytes + int64(len(k.User)+len(t.Access)+len(t.Refresh)+len(t.Subject)) + weight.Texts(t.Scopes)
}

// token returns the entry of k, or nil.
func (s *tokens) token(k Key) *Token {
	one := s.entries[k]
	if one == nil {
		return nil
	}
	s.uses++
	one.used = s.uses
	return one.token
}

// set replaces the entry of k, or deletes it if t is nil.
func (s *tokens) set(k Key, t *Token) {
	if old := s.entries[k]; old != nil {
		s.bytes -= old.bytes
		delete(s.entries, k)
	}
	if t == nil {
		return
	}
	s.uses++
	one := &stored{t, bytesOf(k, t), s.uses}
	s.entries[k] = one
	if s.bytes += one.bytes; s.bytes > s.max {
		s.shrink(k)
	}
}

// shrink removes the entries that have not been used for the longest time, but
// not that of new. It makes more room than is needed, so that a full store does
// not sort its entries for each new one.
func (s *tokens) shrink(new Key) {
	keys := keysOf(s)
	slices.SortFunc(keys, func(a, b Key) int { return int(s.entries[a].used - s.entries[b].used) })
	for _, k := range keys {
		if s.bytes <= s.max-s.max/16 {
			return
		}
		if k != new {
			s.set(k, nil)
			s.removed++
		}
	}
}

// forgetful is a store that removes entries to make room.
type forgetful interface {
	// madeRoom returns how many entries were removed since it was last called.
	madeRoom() int
}

func (s *tokens) madeRoom() int {
	n := s.removed
	s.removed = 0
	return n
}

// update changes an entry of the store, and logs if others made room for it:
// their users must sign in again.
func (c *Client) update(ctx context.Context, k Key, change func(*Token) *Token) error {
	err := c.o.Store.Update(ctx, k, change)
	if s, ok := c.o.Store.(forgetful); ok {
		if n := s.madeRoom(); n > 0 {
			c.o.Logger.Warn("the store of tokens is full: the least recently used were removed, their users must sign in again",
				"removed", n, "limit_bytes", MaxStored)
		}
	}
	return err
}

func keysOf(s *tokens) []Key {
	keys := make([]Key, 0, len(s.entries))
	for k := range s.entries {
		keys = append(keys, k)
	}
	return keys
}
