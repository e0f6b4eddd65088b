package faultproxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Conn is one connection through a proxy.
type Conn struct {
	// Number counts the proxy's connections, from 1.
	Number uint64

	client, server *net.TCPConn
	pipes          [2]*pipe
	once           sync.Once
	done           chan struct{}
}

// piece is the data of one read, and when to forward it. A piece without data
// is the end of the sender's direction.
type piece struct {
	data []byte
	due  time.Time
}

// ahead is how many pieces may wait for their time. It limits the memory of a
// delay.
const ahead = 256

// pipe is one direction of a connection.
type pipe struct {
	from, to *net.TCPConn
	pieces   chan piece // closed by the reader

	mu      sync.Mutex
	fault   Fault
	rnd     *rand.Rand
	changed chan struct{} // closed when fault is replaced
	passed  int64
}

func newConn(client, server *net.TCPConn, number uint64, faults [2]Fault, rnd *rand.Rand) *Conn {
	c := &Conn{Number: number, client: client, server: server, done: make(chan struct{})}
	ends := [2][2]*net.TCPConn{{client, server}, {server, client}}
	for i := range c.pipes {
		c.pipes[i] = &pipe{
			from: ends[i][0], to: ends[i][1], fault: faults[i], changed: make(chan struct{}), pieces: make(chan piece, ahead),
			rnd: rand.New(rand.NewPCG(rnd.Uint64(), uint64(i))),
		}
	}
	return c
}

// RemoteAddr returns the address of the client.
func (c *Conn) RemoteAddr() net.Addr { return c.client.RemoteAddr() }

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Set replaces the fault of the given directions of this connection.
func (c *Conn) Set(d Direction, f Fault) {
	for i, way := range ways {
		if d&way != 0 {
			c.pipes[i].set(f)
		}
	}
}

// Passed returns how many bytes have passed in a direction, or in both.
func (c *Conn) Passed(d Direction) (n int64) {
	for i, way := range ways {
		if d&way != 0 {
			c.pipes[i].mu.Lock()
			n += c.pipes[i].passed
			c.pipes[i].mu.Unlock()
		}
	}
	return n
}

// Cut closes both sides normally, at once. Delayed data is lost.
func (c *Conn) Cut() { c.end(func(s *net.TCPConn) { _ = s.Close() }) }

// Reset closes both sides with RST, at once.
func (c *Conn) Reset() { c.end(reset) }

func reset(s *net.TCPConn) {
	_ = s.SetLinger(0) // fails only on a closed socket
	_ = s.Close()
}

func (c *Conn) end(end func(*net.TCPConn)) {
	c.once.Do(func() {
		end(c.client)
		end(c.server)
		close(c.done)
	})
}

func (c *Conn) run() {
	var group sync.WaitGroup
	for i := range c.pipes {
		group.Go(func() { c.read(c.pipes[i]) })
		group.Go(func() { c.write(c.pipes[i]) })
	}
	group.Wait()
	c.Cut()
}

// read reads the sender's data, unless the direction is frozen.
func (c *Conn) read(p *pipe) {
	defer close(p.pieces)
	for {
		if !c.thawed(p) {
			return
		}
		buf := make([]byte, 16<<10)
		n, err := p.from.Read(buf)
		if n > 0 {
			select {
			case p.pieces <- piece{buf[:n], time.Now().Add(p.delay())}:
			case <-c.done:
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			select {
			case p.pieces <- piece{due: time.Now().Add(p.delay())}:
			case <-c.done:
			}
			return
		default: // one side was reset, so reset the other
			c.Reset()
			return
		}
	}
}

// write forwards each piece when its time has come.
func (c *Conn) write(p *pipe) {
	for piece := range p.pieces {
		if !c.sleep(time.Until(piece.due)) || !c.thawed(p) {
			return
		}
		if piece.data == nil {
			_ = p.to.CloseWrite() // fails if the connection has ended
			return
		}
		if !c.pass(p, piece.data) {
			return
		}
	}
}

// pass writes data as the fault allows, and reports whether the connection
// continues.
func (c *Conn) pass(p *pipe, data []byte) bool {
	for len(data) > 0 {
		if !c.thawed(p) {
			return false
		}
		f := p.now()
		n := len(data)
		if f.Rate > 0 {
			n = min(n, max(1, f.Rate/100)) // the amount for 10 ms
		}
		limit, end := f.CutAfter, c.Cut
		if f.ResetAfter > 0 && (limit == 0 || f.ResetAfter < limit) {
			limit, end = f.ResetAfter, c.Reset
		}
		if limit > 0 {
			n = int(min(int64(n), limit))
		}
		if !f.Hole {
			if _, err := p.to.Write(data[:n]); err != nil {
				c.Cut() // the other side is gone; tell the sender
				return false
			}
		}
		if p.count(n) {
			end()
			return false
		}
		if f.Rate > 0 && !c.sleep(time.Duration(n)*time.Second/time.Duration(f.Rate)) {
			return false
		}
		data = data[n:]
	}
	return true
}

// thawed waits while the direction is frozen. It reports whether the connection
// is still open.
func (c *Conn) thawed(p *pipe) bool {
	for {
		p.mu.Lock()
		frozen, changed := p.fault.Frozen, p.changed
		p.mu.Unlock()
		if !frozen {
			return true
		}
		select {
		case <-changed:
		case <-c.done:
			return false
		}
	}
}

// sleep waits, and reports whether the connection is still open.
func (c *Conn) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

func (p *pipe) set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) now() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

func (p *pipe) delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.fault.Delay
	if p.fault.Jitter > 0 {
		d += time.Duration(p.rnd.Int64N(int64(p.fault.Jitter)))
	}
	return d
}

// count adds to the bytes passed, and reports whether this reaches a limit.
func (p *pipe) count(n int) (reached bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed += int64(n)
	for _, limit := range []*int64{&p.fault.CutAfter, &p.fault.ResetAfter} {
		if *limit > 0 {
			*limit = max(0, *limit-int64(n))
			reached = reached || *limit == 0
		}
	}
	return reached
}
