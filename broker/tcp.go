package broker

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

// ServeTCP accepts plain STOMP connections from l, for backends and for
// Spring's broker relay; with a TLS listener, STOMP over TLS. It returns when l
// is closed by Close or Drain (nil), or fails. Over the caps for
// unauthenticated sockets a connection is closed at once.
func (b *Broker) ServeTCP(l net.Listener) error {
	forget, ok := b.addListener(l)
	if !ok {
		_ = l.Close() // the caller handed it over
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
			// Out of file descriptors, most likely: others will be closed.
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

// A listener is one of the program's: the key of a map that its own value, which
// need not be comparable, could not be.
type listener struct{ net.Listener }

// addListener has l closed by Drain and Close, until it is forgotten. It reports
// false when they have been called.
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

// takeListeners returns the listeners, for the caller to close with
// closeListeners when it has given up the lock, which it holds now.
func (b *Broker) takeListeners() []*listener {
	list := slices.Collect(maps.Keys(b.listeners))
	clear(b.listeners)
	return list
}

func closeListeners(list []*listener) {
	for _, l := range list {
		_ = l.Close() // it stops accepting; there is nothing else to do about it
	}
}

func (b *Broker) acceptTCP(nc net.Conn) {
	c := stream.New(nc, nil)
	remote, _ := netip.ParseAddrPort(nc.RemoteAddr().String()) // zero for other networks
	p, e := b.caps.enter(remote.Addr())
	if e != nil {
		b.refuse(e, remote, "")
		b.stats.refused.Add(1)
		b.turnAway(c) // without a word
		return
	}
	a := &Admission{remote: remote, place: p}
	s, err := b.newSession(tcpWire{byteWire{c}}, a)
	if err != nil {
		p.leave()
		b.turnAway(c) // draining
		return
	}
	if !b.spawn(s.run) {
		s.abandon()
	}
}

// turnAway closes a connection that gets no session. The next one is waiting to
// be accepted, so a Close that may block gets a goroutine.
func (b *Broker) turnAway(c *stream.Conn) {
	closing := func() { _ = c.Close() } // nobody is left to tell
	if !c.AbortBlocks() || !b.spawn(closing) {
		closing()
	}
}
