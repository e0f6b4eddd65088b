package admission

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// caps limits the sockets that have not authenticated, per network and in
// total. At the limit per network, a new socket is refused. At the total limit,
// the oldest socket is closed to make room: a flood, from any number of
// addresses, displaces its own sockets, and a client that sends its CONNECT
// without delay can connect.
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
	gone       bool     // under the lock of caps
	occupant   Occupant // the same; nil until the connection has a session
}

// Occupant is the session of a socket that has not authenticated.
type Occupant interface {
	// Waiting reports whether the session waits for a CONNECT, not for the
	// answer to one. It must not block.
	Waiting() bool
	// Shed ends the session to make room for another socket, because this limit
	// is reached.
	Shed(*limit.Exceeded)
}

// minAge is the minimum age at which a socket may be closed to make room. It
// covers the one round trip that a client needs from the handshake to its
// CONNECT.
const minAge = 100 * time.Millisecond

// setLimits sets the caps. Existing sockets stay.
func (c *caps) setLimits(l Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxAll, c.maxNetwork = l.Unauthenticated, l.UnauthenticatedPerAddress
}

// enter takes a place, or returns the exceeded limit.
func (c *caps) enter(addr netip.Addr) (*place, *limit.Exceeded) {
	p := &place{c: c, network: httpsec.Network(addr), entered: time.Now()}
	c.mu.Lock()
	if p.network.IsValid() && c.networks[p.network] >= c.maxNetwork {
		most := c.maxNetwork
		c.mu.Unlock()
		return nil, &limit.Exceeded{Limit: limit.UnauthenticatedPerAddress, Value: most}
	}
	var shed Occupant
	most := c.maxAll
	if c.all >= most {
		oldest := c.sheddable(p.entered)
		if oldest == nil {
			c.mu.Unlock()
			return nil, &limit.Exceeded{Limit: limit.Unauthenticated, Value: most}
		}
		shed = oldest.occupant
		c.remove(oldest)
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
		shed.Shed(&limit.Exceeded{Limit: limit.Unauthenticated, Value: most})
	}
	return p, nil
}

// sheddable returns the oldest place whose socket still waits for a CONNECT,
// not for the answer to one. It returns nil if no such place has reached
// minAge. The caller holds the lock.
func (c *caps) sheddable(now time.Time) *place {
	for p := c.oldest; p != nil && now.Sub(p.entered) >= minAge; p = p.next {
		if p.occupant != nil && p.occupant.Waiting() {
			return p
		}
	}
	return nil
}

// remove removes a place. The caller holds the lock.
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
	p.prev, p.next, p.occupant = nil, nil, nil
	c.all--
	if c.networks[p.network]--; c.networks[p.network] == 0 {
		delete(c.networks, p.network)
	}
}

// occupy tells the caps which session the socket has.
func (p *place) occupy(o Occupant) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.occupant = o
}

func (p *place) leave() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.remove(p)
}
