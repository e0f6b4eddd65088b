// Package faultproxy is a TCP proxy that simulates network faults: delay, low
// bandwidth, a cut after some bytes, a black hole, a reset, a freeze. It
// listens on loopback. The faults can be changed while it runs, for all
// connections or for one.
//
//	p, err := faultproxy.Listen("127.0.0.1:8080")
//	p.Set(faultproxy.Both, faultproxy.Fault{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond})
//	p.Set(faultproxy.ToClient, faultproxy.Fault{Hole: true})
//	p.Heal()
//	for _, c := range p.Conns() { c.Reset() }
package faultproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Direction is a direction through the proxy, or both.
type Direction uint8

const (
	// ToServer is the direction from the client to the target.
	ToServer Direction = 1 << iota
	// ToClient is the direction from the target to the client.
	ToClient
	// Both are both directions.
	Both = ToServer | ToClient
)

// ways lists the single directions, in the order of arrays indexed by
// direction.
var ways = [...]Direction{ToServer, ToClient}

// Fault is what the proxy does to the bytes of one direction. The zero value
// does nothing.
type Fault struct {
	// Delay delays each piece of data. Jitter adds a random time up to its
	// value, determined by the proxy's seed. The order of bytes is kept.
	Delay, Jitter time.Duration
	// Rate is how many bytes may pass per second; 0 means no limit.
	Rate int
	// Hole accepts and discards bytes. They are still lost after healing.
	Hole bool
	// Frozen accepts no bytes until it is healed. Nothing is lost.
	Frozen bool
	// CutAfter closes the connection normally (FIN, both directions) after this
	// many more bytes have passed in this direction; 0 means never. If it is
	// set for a proxy, each connection counts its own bytes.
	CutAfter int64
	// ResetAfter is like CutAfter, with a reset (RST).
	ResetAfter int64
}

// Options configures [New].
type Options struct {
	// Listen is the address on which the proxy listens. Default 127.0.0.1:0. It
	// must be a loopback address.
	Listen string
	// Seed determines the jitter. The same seed gives the same delays to the
	// connection with the same number.
	Seed uint64
	// DialTimeout is how long the target may take to accept. Default 10 s.
	DialTimeout time.Duration
}

// Proxy forwards connections to a target. All methods are safe for concurrent
// use. The caller must close it.
type Proxy struct {
	o        Options
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex
	target string
	faults [2]Fault // for existing and new connections
	conns  []*Conn
	count  uint64
	closed bool
	refuse bool
}

// Listen starts a proxy to a target, on a loopback port that the system
// chooses.
func Listen(target string) (*Proxy, error) { return New(target, Options{}) }

// New starts a proxy to a target, host:port.
func New(target string, o Options) (*Proxy, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("faultproxy: %s is not a loopback address", o.Listen)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{o: o, listener: l, target: target}
	p.group.Go(p.accept)
	return p, nil
}

// Addr returns the address that clients connect to, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Retarget sends new connections to another target, such as a restarted server.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Set replaces the fault of the given directions, for existing and new
// connections.
func (p *Proxy) Set(d Direction, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, way := range ways {
		if d&way != 0 {
			p.faults[i] = f
		}
	}
	for _, c := range p.conns {
		c.Set(d, f)
	}
}

// Refuse resets new connections at once while it is set.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Heal removes all faults. Ended connections stay ended.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Set(Both, Fault{})
}

// Conns returns the open connections, oldest first.
func (p *Proxy) Conns() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.conns)
}

// Close stops listening, ends all connections and waits for their end.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	err := p.listener.Close()
	for _, c := range conns {
		c.Cut()
	}
	p.group.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // too many open files: try again
			continue
		}
		p.group.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	p.mu.Lock()
	target, refuse := p.target, p.refuse || p.closed
	p.mu.Unlock()
	if refuse {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", target, p.o.DialTimeout)
	if err != nil {
		reset(client) // behave like a target that refuses
		return
	}
	p.mu.Lock()
	p.count++
	c := newConn(client, server.(*net.TCPConn), p.count, p.faults, rand.New(rand.NewPCG(p.o.Seed, p.count)))
	p.conns = append(p.conns, c)
	closed := p.closed
	p.mu.Unlock()
	if closed {
		c.Cut()
	}
	c.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(x *Conn) bool { return x == c })
}
