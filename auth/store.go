package auth

import (
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/expiring"
)

// Store holds what everything in a process that lets clients in has to agree on: which tickets are unused and which
// are spent, the credential epochs of users, and revocations. All [Tickets] and the broker of a process share one.
// It is in memory, so that a ticket is single-use within one Store, and a new process knows nothing of an old one's.
//
// What it keeps is bounded: unused tickets by [TicketOptions], spent ones until they would have expired, epochs and
// user revocations to one small record a user. Outdated entries go a few at a time whenever new ones come, without
// a goroutine. A Store is safe for concurrent use. The zero value is not ready: use [NewStore].
type Store struct {
	mu          sync.RWMutex
	clock       int64 // the last stamp
	born        int64 // the first one
	tickets     ticketMemory
	users       map[string]mark
	credentials expiring.Set // revoked CredentialIDs
	watchers    []*func(Revocation)
}

// mark is what is kept of a user whose credentials were changed or revoked.
type mark struct {
	epoch   int64     // a stamp
	revoked time.Time // what was issued before is refused
}

// NewStore returns an empty Store.
func NewStore() *Store {
	s := &Store{tickets: newTicketMemory(), users: make(map[string]mark)}
	s.born = s.stamp()
	return s
}

// stamp returns the time in nanoseconds since 1970, made strictly increasing, so that it tells for any two events
// which came first, also within one tick of the clock. s.mu is held.
func (s *Store) stamp() int64 {
	s.clock = max(time.Now().UnixNano(), s.clock+1)
	return s.clock
}

// now is a stamp for something that begins.
func (s *Store) now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamp()
}

// Epoch returns the credential epoch of a user: 0 until [Store.BumpEpoch] or a revocation of the user is called for
// it, and greater with each call. Only its order has a meaning. A ticket minted in an older epoch is dead.
func (s *Store) Epoch(user string) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(s.users[user].epoch)
}

// BumpEpoch begins a new credential epoch of a user, because its passcode or another credential was changed: all its
// unused tickets are dead when the call returns, also those that are being minted with the old credential. Sessions
// that are open stay open; to end them too, call [Store.Revoke].
func (s *Store) BumpEpoch(user string) {
	if user == "" {
		return // anonymous principals have no credential that could change
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
