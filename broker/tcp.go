package broker

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

// ServeTCP accepts plain STOMP connections from l, for back ends and for
// Spring's broker relay; with a TLS listener, STOMP over TLS. It returns when l
// is closed by Close or Drain (nil), or fails. Over the caps for
// unauthenticated sockets a connection is closed at once.
func (b *Broker) ServeTCP(l net.Listener) error {
	b.mu.Lock()
	if b.closed || b.draining {
		b.mu.Unlock()
		_ = l.Close() // the caller handed it over
		return ErrClosed
	}
	b.listeners[l] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.listeners, l)
		b.mu.Unlock()
	}()
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
			b.o.Logger.Warn("accept failed", "error", err)
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
