package auth

import (
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/expiring"
)

// Store holds the state that all authentication in a process shares: unused and
// used tickets, the credential epochs of users, and revocations. The broker and
// all [Tickets] of a process share one Store. It is in memory, so a ticket is
// single-use within one Store, and a new process knows nothing about its
// predecessor's tickets.
//
// Its size is bounded: [TicketOptions] limit unused tickets, used tickets are
// kept until they would have expired, and epochs and user revocations take one
// small record per user. New entries remove a few outdated ones each; there is
// no goroutine. A Store is safe for concurrent use. Create it with [NewStore];
// the zero value is not ready.
type Store struct {
	mu          sync.RWMutex
	clock       int64 // the most recent stamp
	born        int64 // the first stamp
	tickets     ticketMemory
	users       map[string]mark
	credentials expiring.Set // revoked CredentialIDs
	watchers    []*func(Revocation)
}

// mark is the record of a user whose credentials were changed or revoked.
type mark struct {
	epoch   int64     // a stamp
	revoked time.Time // credentials issued earlier are rejected
}

// NewStore returns an empty Store.
func NewStore() *Store {
	s := &Store{tickets: newTicketMemory(), users: make(map[string]mark)}
	s.born = s.stamp()
	return s
}

// stamp returns the time in nanoseconds since 1970, made strictly increasing,
// so that stamps order any two events, even within one clock tick. The caller
// holds s.mu.
func (s *Store) stamp() int64 {
	s.clock = max(time.Now().UnixNano(), s.clock+1)
	return s.clock
}

// now returns a stamp for the beginning of an operation.
func (s *Store) now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamp()
}

// Epoch returns the credential epoch of a user: 0 before the first
// [Store.BumpEpoch] or revocation of the user, and greater with each call. Only
// the order of epochs has a meaning. A ticket minted in an older epoch is
// invalid.
func (s *Store) Epoch(user string) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(s.users[user].epoch)
}

// BumpEpoch begins a new credential epoch of a user. Call it when the user's
// passcode or another credential changes. When it returns, all of the user's
// unused tickets are invalid, including those being minted with the old
// credential. Open sessions stay open; to end them too, call [Store.Revoke].
func (s *Store) BumpEpoch(user string) {
	if user == "" {
		return // anonymous principals have no credential to change
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bump(user)
}

func (s *Store) bump(user string) {
	m := s.users[user]
	m.epoch = s.stamp()
	s.users[user] = m
	s.tickets.killAll(user, TicketRevoked)
}
