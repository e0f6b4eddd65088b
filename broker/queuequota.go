package broker

import (
	"net/netip"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// quotas prevent one client from filling the queues for all others. The
// messages and queues of all sessions of a user count together, and so do those
// of all anonymous sessions of an address. The program and its backends have no
// such limit.
type quotas struct {
	mu      sync.Mutex
	all     map[quotaKey]*quota
	full    int   // number of entries at which unused ones are removed
	backend quota // shared by the sessions that have no quota: backends
}

// quotaKey is a user, or the address of anonymous sessions.
type quotaKey struct {
	user    string
	network netip.Addr
}

// share returns the name of the share for a QueueStore.
func (k quotaKey) share() string {
	if k.user != "" {
		return "user " + k.user
	}
	return "network " + k.network.String()
}

type quota struct {
	queueOwner
	sessions int // number of sessions that use it; guarded by quotas.mu
}

const minQuotas = 64

// owner returns the share that the session's messages and queues count against,
// or nil for none. Only the session's own goroutine calls it.
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
	return h.use(key)
}

// use returns the quota of a user or address until the caller leaves it.
func (h *quotas) use(key quotaKey) *quota {
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

// leave ends one use.
func (h *quotas) leave(one *quota) {
	h.mu.Lock()
	one.sessions--
	h.mu.Unlock()
}

// sweep removes the quotas that no session uses and for which nothing is
// stored. The caller holds the lock.
func (h *quotas) sweep() {
	for key, one := range h.all {
		if one.sessions == 0 && one.Empty() {
			delete(h.all, key)
		}
	}
	h.full = max(minQuotas, 2*len(h.all))
}

// release is called when a session has ended or its quota may have changed.
func (h *quotas) release(s *session) {
	if s.quota != nil && s.quota != &h.backend {
		h.leave(s.quota)
	}
	s.quota = nil
}
