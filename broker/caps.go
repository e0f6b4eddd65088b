package broker

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// caps bound the sockets that have not authenticated, per network and in all.
// Over the first a newcomer is refused. Over the second the oldest is shed for
// it: a flood, from however many addresses, pushes out itself, and a client that
// sends its CONNECT as soon as it can gets in.
type caps struct {
	mu             sync.Mutex
	all            int
	networks       map[netip.Addr]int
	oldest, newest *place
	maxAll         int
	maxNetwork     int
}

// place is one socket's place in the caps, in a list by age.
type place struct {
	c          *caps
	network    netip.Addr
	prev, next *place
	entered    time.Time
	gone       bool // under the lock of caps
	session    atomic.Pointer[session]
}

// minAge is how old a socket must be to be shed: what a client needs from the
// handshake to its CONNECT, one round trip.
const minAge = 100 * time.Millisecond

// limit sets the caps. Those who are in already stay.
func (c *caps) limit(l Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxAll, c.maxNetwork = l.Unauthenticated, l.UnauthenticatedPerAddress
}

// enter takes a place, or returns the limit that forbids it.
func (c *caps) enter(addr netip.Addr) (*place, *exceeded) {
	p := &place{c: c, network: httpsec.Network(addr), entered: time.Now()}
	c.mu.Lock()
	if p.network.IsValid() && c.networks[p.network] >= c.maxNetwork {
		c.mu.Unlock()
		return nil, &exceeded{limit: limitUnauthenticatedPerAddress, value: c.maxNetwork}
	}
	var shed *place
	if c.all >= c.maxAll {
		if shed = c.sheddable(p.entered); shed == nil {
			c.mu.Unlock()
			return nil, &exceeded{limit: limitUnauthenticated, value: c.maxAll}
		}
		c.remove(shed)
	}
	c.all++
	c.networks[p.network]++
	if p.prev = c.newest; p.prev != nil {
		p.prev.next = p
	} else {
		c.oldest = p
	}
	c.newest = p
	c.mu.Unlock()
	if shed != nil {
		s := shed.session.Load()
		s.endNow(s.b.refuse(&exceeded{limit: limitUnauthenticated, value: c.maxAll}, s.peer, "").failure())
	}
	return p, nil
}

// sheddable returns the oldest place whose socket waits for a CONNECT, not for an
// answer to it; nil if there is none of minAge. The caller has the lock.
func (c *caps) sheddable(now time.Time) *place {
	for p := c.oldest; p != nil && now.Sub(p.entered) >= minAge; p = p.next {
		if s := p.session.Load(); s != nil && phase(s.phase.Load()) == phaseNew && !s.busy.Load() {
			return p
		}
	}
	return nil
}

// remove takes a place out. The caller has the lock.
func (c *caps) remove(p *place) {
	if p.gone {
		return
	}
	p.gone = true
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		c.oldest = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		c.newest = p.prev
	}
	p.prev, p.next = nil, nil
	c.all--
	if c.networks[p.network]--; c.networks[p.network] == 0 {
		delete(c.networks, p.network)
	}
}

func (p *place) leave() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.remove(p)
}
