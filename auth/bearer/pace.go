package bearer

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// DefaultWrongTokens is the default of [Options].WrongTokens.
const DefaultWrongTokens = 50

const (
	// paceGap is the time between two questions about tokens of a network that
	// has sent too many invalid ones.
	paceGap = 50 * time.Millisecond
	// paceWait is the longest that a question waits for its turn, less than
	// callTimeout.
	paceWait = 2 * time.Second
	// paceDecay is the time after which the count of a network halves.
	paceDecay = 2 * time.Minute
	// paceNetworks is the maximum number of networks that are counted.
	paceNetworks = 16384
)

// pace counts the invalid tokens of each network of clients, in all endpoints of
// a Verifier. Beyond the free ones, the questions about tokens of that network
// follow each other at paceGap, so that strangers cannot make the broker ask a
// server as fast as they can write. A question is delayed and not rejected while
// the line is short: clients with valid tokens can share the network.
type pace struct {
	free int // negative: no limit

	mu       sync.Mutex
	networks map[netip.Addr]*strikes
}

type strikes struct {
	n    int
	last time.Time // of the last invalid token, or when n was halved
	next time.Time // when the next question may be asked
}

func newPace(free int) *pace {
	p := &pace{networks: make(map[netip.Addr]*strikes)}
	p.set(free)
	return p
}

// set sets the free ones, as [Options].WrongTokens.
func (p *pace) set(free int) {
	if free == 0 {
		free = DefaultWrongTokens
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = free
}

// wrong counts an invalid token. Nobody knows who shares an unknown network.
func (p *pace) wrong(network netip.Addr) {
	if !network.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free < 0 {
		return
	}
	now := time.Now()
	s := p.get(network, now)
	if s == nil {
		p.makeRoom(now)
		s = new(strikes)
		p.networks[network] = s
	}
	s.n = min(s.n+1, p.free+64) // so that it halves away in a few steps
	s.last = now
}

// over reports whether the questions of a network are paced.
func (p *pace) over(network netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.get(network, time.Now())
	return p.free >= 0 && s != nil && s.n > p.free
}

// wait returns nil when a question of a paced network may be asked, or an error
// if the line is too long or ctx is done.
func (p *pace) wait(ctx context.Context, network netip.Addr) error {
	p.mu.Lock()
	now := time.Now()
	s := p.get(network, now)
	if s == nil {
		p.mu.Unlock()
		return nil
	}
	at := s.next
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > paceWait {
		defer p.mu.Unlock()
		return &pacedError{p.free}
	}
	s.next = at.Add(paceGap)
	p.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get returns the strikes of a network as they are at now, or nil if there are
// none. The caller holds the lock.
func (p *pace) get(network netip.Addr, now time.Time) *strikes {
	s := p.networks[network]
	if s == nil {
		return nil
	}
	if quiet := int(now.Sub(s.last) / paceDecay); quiet > 0 {
		s.n >>= min(quiet, 62)
		s.last = s.last.Add(time.Duration(quiet) * paceDecay)
	}
	if s.n == 0 {
		delete(p.networks, network)
		return nil
	}
	return s
}

// makeRoom keeps the number of networks bounded. The caller holds the lock.
func (p *pace) makeRoom(now time.Time) {
	if len(p.networks) < paceNetworks {
		return
	}
	for network := range p.networks {
		p.get(network, now) // deletes those that have halved away
	}
	for network := range p.networks { // still full: any, a quarter of them
		if len(p.networks) <= paceNetworks*3/4 {
			return
		}
		delete(p.networks, network)
	}
}

// pacedError says that a network has sent too many invalid tokens, and that too
// many of its tokens already wait to be checked.
type pacedError struct{ free int }

func (e *pacedError) Error() string {
	return fmt.Sprintf("more than %d invalid access tokens came from this network, and many more wait to be checked", e.free)
}
