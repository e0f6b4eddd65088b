//go:build !nostore

package embedded

import (
	"errors"
	"net"
	"sync"
	"time"
)

// gate holds back what the connections of a [Server] write to its engine. The
// zero value is open.
type gate struct {
	mu      sync.Mutex
	closed  chan struct{} // nil while it is open, closed when it opens
	writing int
	idle    chan struct{} // closed when nothing is written; nil if nobody waits
}

var errGate = errors.New("the engine takes nothing")

// enter waits while the gate is closed. leave must follow.
func (g *gate) enter() {
	g.mu.Lock()
	for g.closed != nil {
		opens := g.closed
		g.mu.Unlock()
		<-opens
		g.mu.Lock()
	}
	g.writing++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	if g.writing--; g.writing == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
	g.mu.Unlock()
}

// close closes the gate and waits until nobody is behind it. Whoever closes it
// opens it, and nobody else closes it meanwhile.
func (g *gate) close(timeout time.Duration) error {
	g.mu.Lock()
	g.closed = make(chan struct{})
	idle := make(chan struct{})
	if g.writing == 0 {
		close(idle)
	} else {
		g.idle = idle
	}
	g.mu.Unlock()
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-idle:
		return nil
	case <-late.C:
		g.open()
		return errGate
	}
}

// open lets everybody go on.
func (g *gate) open() {
	g.mu.Lock()
	close(g.closed)
	g.closed, g.idle = nil, nil
	g.mu.Unlock()
}

// gated is a connection that writes through a gate.
type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) Write(b []byte) (int, error) {
	c.gate.enter()
	defer c.gate.leave()
	return c.Conn.Write(b)
}
