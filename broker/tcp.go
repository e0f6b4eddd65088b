package broker

import (
	"bytes"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// ServeTCP accepts plain STOMP connections from l, for backends and for
// Spring's broker relay; with a TLS listener it accepts STOMP over TLS. It
// returns nil when Close or Drain closes l, or the error of l. Above the limits
// for unauthenticated sockets it closes a connection at once.
func (b *Broker) ServeTCP(l net.Listener) error {
	forget, ok := b.addListener(l)
	if !ok {
		_ = l.Close() // the caller transferred ownership
		return ErrClosed
	}
	defer forget()
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if err != nil {
			if b.accepting() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// The most likely cause is a lack of file descriptors; other
			// connections will close and release some.
			b.warn("accept failed", source{}, "error", err)
			select {
			case <-time.After(pause):
				pause = min(2*pause, time.Second)
				continue
			case <-b.ctx.Done():
				return nil
			}
		}
		pause = 5 * time.Millisecond
		b.acceptTCP(nc)
	}
}

// A listener wraps a listener of the program, so that it can be the key of a
// map: the wrapped value need not be comparable.
type listener struct{ net.Listener }

// addListener registers l to be closed by Drain and Close, until forget is
// called. It returns false if either has already been called.
func (b *Broker) addListener(l net.Listener) (forget func(), ok bool) {
	entry := &listener{l}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.draining {
		return nil, false
	}
	b.listeners[entry] = struct{}{}
	return func() {
		b.mu.Lock()
		delete(b.listeners, entry)
		b.mu.Unlock()
	}, true
}

// takeListeners removes and returns the listeners. The caller holds the lock
// and must call closeListeners after releasing it.
func (b *Broker) takeListeners() []*listener {
	list := slices.Collect(maps.Keys(b.listeners))
	clear(b.listeners)
	return list
}

func closeListeners(list []*listener) {
	for _, l := range list {
		_ = l.Close() // it stops accepting, so the error does not matter
	}
}

func (b *Broker) acceptTCP(nc net.Conn) {
	c := stream.New(nc, nil)
	remote, _ := netip.ParseAddrPort(nc.RemoteAddr().String()) // zero for other networks
	entry, e := b.gate.Enter(remote)
	if e != nil {
		b.refuse(e, remote, "")
		b.stats.refused.Add(1)
		b.turnAway(c) // no answer is sent
		return
	}
	s, err := b.newSession(wire.NewTCP(c), &entry)
	if err != nil {
		entry.Leave()
		b.turnAway(c) // draining
		return
	}
	if !b.spawn(s.run) {
		s.abandon()
	}
}

// turnAway closes a connection that gets no session. The next connection is
// waiting to be accepted, so a Close that may block runs in a goroutine.
func (b *Broker) turnAway(c *stream.Conn) {
	closing := func() { _ = c.Close() } // the connection has no session, so the error is ignored
	if !c.AbortBlocks() || !b.spawn(closing) {
		closing()
	}
}

// logForeign logs a TCP client whose first bytes p belong to another protocol:
// no answer to the client would reach its user.
func (s *session) logForeign(p []byte) {
	if s.framed || s.wire.Kind() != "tcp" {
		return
	}
	switch {
	case len(p) > 1 && p[0] == 0x16 && p[1] == 3: // a handshake record of TLS
		s.b.warn("a client spoke TLS to a plain-text listener", s.source(""), "listener", "tcp", "remote", s.peer,
			"hint", "use tcp://, or configure tls.cert and tls.key")
	case bytes.HasPrefix(p, []byte("GET ")), bytes.HasPrefix(p, []byte("POST ")), bytes.HasPrefix(p, []byte("OPTIONS ")):
		s.b.warn("a client spoke HTTP to the STOMP listener", s.source(""), "listener", "tcp", "remote", s.peer,
			"hint", "WebSocket and SockJS are served at the address of listen")
	}
}
