//go:build !nostore

package cluster

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is a TCP connection between two servers that fails as networks do.
type proxy struct {
	target   string
	listener net.Listener
	bytes    atomic.Int64 // forwarded
	delay    atomic.Int64 // a time.Duration
	done     chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	moved  sync.Cond
	frozen bool
	ended  bool
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, listener: listener, done: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	p.moved.L = &p.mu
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.done)
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.moved.Broadcast()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return // the test is over
		}
		to, err := net.Dial("tcp", p.target)
		if err != nil {
			from.Close()
			continue
		}
		p.mu.Lock()
		if p.ended {
			from.Close()
			to.Close()
		}
		p.conns[from], p.conns[to] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.running.Go(func() { p.forward(from, to) })
		p.running.Go(func() { p.forward(to, from) })
	}
}

// chunk is what was read at once.
type chunk struct {
	data []byte
	due  time.Time
}

// forward copies one direction. What is on its way does not stop the reading.
func (p *proxy) forward(from, to net.Conn) {
	chunks := make(chan chunk, 1<<12)
	p.running.Go(func() {
		defer p.drop(to)
		for c := range chunks {
			if wait := time.Until(c.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-p.done:
				}
			}
			if _, err := to.Write(c.data); err != nil {
				p.drop(from)
			} else {
				p.bytes.Add(int64(len(c.data)))
			}
		}
	})
	defer close(chunks)
	buffer := make([]byte, 64<<10)
	for {
		p.mu.Lock()
		for p.frozen && !p.ended {
			p.moved.Wait()
		}
		p.mu.Unlock()
		n, err := from.Read(buffer)
		if n > 0 {
			chunks <- chunk{slices.Clone(buffer[:n]), time.Now().Add(time.Duration(p.delay.Load()))}
		}
		if err != nil {
			p.drop(from)
			return
		}
	}
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.conns[c]; ok {
		delete(p.conns, c)
		c.Close()
	}
}

// cut breaks all connections. New ones are possible.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		delete(p.conns, c)
		c.Close()
	}
}

// freeze stops or resumes the reading in both directions, without an error for
// anybody.
func (p *proxy) freeze(on bool) {
	p.mu.Lock()
	p.frozen = on
	p.mu.Unlock()
	p.moved.Broadcast()
}
