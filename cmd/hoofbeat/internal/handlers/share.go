package handlers

import (
	"context"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
)

// shares keep one client from taking all of something: an owner gets at most
// half of it, and its further requests wait for its own earlier ones. An owner is
// a user or, for anonymous clients, the network of an address, whatever the
// number of its sessions. Requests of sessions that have ended count.
type shares struct {
	size   int64 // of one share
	mu     sync.Mutex
	owners map[string]*share
}

type share struct {
	*room
	users int // that hold a part of it or wait for it
}

func newShares(whole int64) *shares {
	return &shares{size: max(whole/2, 1), owners: make(map[string]*share)}
}

// take takes n for an owner, or the whole share if n is more. It returns false
// if ctx ends first.
func (s *shares) take(ctx context.Context, owner string, n int64) bool {
	s.mu.Lock()
	one := s.owners[owner]
	if one == nil {
		one = &share{room: newRoom(s.size)}
		s.owners[owner] = one
	}
	one.users++
	s.mu.Unlock()
	ok := one.take(ctx, n)
	if !ok {
		s.leave(owner, one)
	}
	return ok
}

// give gives back what take took for the same n.
func (s *shares) give(owner string, n int64) {
	s.mu.Lock()
	one := s.owners[owner]
	s.mu.Unlock()
	one.give(n)
	s.leave(owner, one)
}

func (s *shares) leave(owner string, one *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(s.owners, owner)
	}
}

// ownerOf returns the owner of a request.
func ownerOf(r *broker.Request) string {
	if r.Principal.Name != "" {
		return "user " + r.Principal.Name
	}
	return "network " + httpsec.Network(r.Remote.Addr()).String()
}
