package broker

import (
	"net/netip"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// quotas keep one client from filling the queues for everybody: what the sessions
// of a user put there counts together, and so does what the anonymous sessions of
// an address do. The program itself and its backends have no such bound.
type quotas struct {
	mu      sync.Mutex
	all     map[quotaKey]*quota
	full    int   // at so many they are looked through for those that can go
	backend quota // of sessions that have none
}

// quotaKey is a user, or an address of anonymous sessions.
type quotaKey struct {
	user    string
	network netip.Addr
}

type quota struct {
	queueOwner
	sessions int // that use it; guarded by quotas.mu
}

const minQuotas = 64

// owner returns whose share what the session puts into queues counts for, nil for
// nobody's. Only the session's own goroutine calls it.
func (s *session) owner() *queueOwner {
	if s.quota == nil {
		s.quota = s.b.quotas.acquire(s.principal.Load(), s.peer.Addr())
	}
	if s.quota == &s.b.quotas.backend {
		return nil
	}
	return &s.quota.queueOwner
}

func (h *quotas) acquire(p *auth.Principal, peer netip.Addr) *quota {
	if p.HasRole(auth.RoleBackend) {
		return &h.backend
	}
	key := quotaKey{user: p.Name}
	if p.Anonymous() {
		key.network = httpsec.Network(peer)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.all[key]
	if one == nil {
		if h.all == nil {
			h.all, h.full = make(map[quotaKey]*quota), minQuotas
		}
		if len(h.all) >= h.full {
			h.sweep()
		}
		one = new(quota)
		h.all[key] = one
	}
	one.sessions++
	return one
}

// sweep forgets those that nobody uses and for whom nothing is stored. The caller
// has the lock.
func (h *quotas) sweep() {
	for key, one := range h.all {
		if one.sessions == 0 && one.Empty() {
			delete(h.all, key)
		}
	}
	h.full = max(minQuotas, 2*len(h.all))
}

// release is called when a session has ended, or is somebody else's now.
func (h *quotas) release(s *session) {
	if s.quota != nil && s.quota != &h.backend {
		h.mu.Lock()
		s.quota.sessions--
		h.mu.Unlock()
	}
	s.quota = nil
}
