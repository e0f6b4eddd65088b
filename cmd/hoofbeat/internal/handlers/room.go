package handlers

import (
	"context"
	"sync"
)

// room is the memory of the requests that are not answered yet. Who finds none
// waits, and is served in turn.
type room struct {
	mu      sync.Mutex
	free    int64
	size    int64
	waiting []*place
}

type place struct {
	n     int64
	taken chan struct{} // closed when it is
}

func newRoom(size int64) *room { return &room{free: size, size: size} }

// take takes n bytes, or all there are if n is more. It returns false if ctx ends
// first.
func (r *room) take(ctx context.Context, n int64) bool {
	n = min(n, r.size)
	r.mu.Lock()
	if len(r.waiting) == 0 && n <= r.free {
		r.free -= n
		r.mu.Unlock()
		return true
	}
	p := &place{n, make(chan struct{})}
	r.waiting = append(r.waiting, p)
	r.mu.Unlock()
	select {
	case <-p.taken:
		return true
	case <-ctx.Done():
		r.leave(p)
		return false
	}
}

// leave gives up a place, taken or not.
func (r *room) leave(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiting {
		if other == p {
			r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
			r.admit() // who waited behind it may fit
			return
		}
	}
	r.free += p.n
	r.admit()
}

// give gives back what take took for the same n.
func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += min(n, r.size)
	r.admit()
}

// admit serves those who wait. The caller holds the lock.
func (r *room) admit() {
	for len(r.waiting) > 0 && r.waiting[0].n <= r.free {
		p := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.free -= p.n
		close(p.taken)
	}
}
