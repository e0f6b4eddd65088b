package broker

import (
	"net"

	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// AcceptWebSocket runs a session over nc as behind a WebSocket handshake, so
// that tests can speak WebSocket over a pipe, in the time of a synctest bubble.
func (b *Broker) AcceptWebSocket(nc net.Conn) error {
	c := wsconn.New(nc, nil)
	entry, e := b.gate.Enter(c.RemoteAddr())
	if e != nil {
		return e
	}
	s, err := b.newSession(wire.NewWebSocket(c), &entry)
	if err != nil {
		entry.Leave()
		return err
	}
	if !b.spawn(s.run) {
		s.abandon()
	}
	return nil
}

// AcceptTCP runs a session over nc as ServeTCP does.
func (b *Broker) AcceptTCP(nc net.Conn) { b.acceptTCP(nc) }

// Places returns how many sockets count as unauthenticated, and from how many
// addresses they come.
func (b *Broker) Places() (all, addresses int) {
	return b.gate.Places()
}

// Held returns how many bytes the outboxes of all sessions count, those of
// sessions included that are ending.
func (b *Broker) Held() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		s.out.mu.Lock()
		n += s.out.bytes
		s.out.mu.Unlock()
	}
	return n
}

// Checked returns how many sessions lie in the sweeper's wheel.
func (b *Broker) Checked() (n int) { return b.sweeper.Len() }

// Sockets returns how many sessions the broker knows, whatever their state.
func (b *Broker) Sockets() int { return b.count() }

// Throttled returns how many counts of failures are kept.
func (b *Broker) Throttled() int { return b.gate.Throttled() }

// Seats returns how many sessions count as connected, and from how many networks.
func (b *Broker) Seats() (all, networks int) {
	return b.gate.Seats()
}
