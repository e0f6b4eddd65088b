// Package faultproxy is a TCP proxy that makes the faults of a network: delay,
// little bandwidth, a cut after some bytes, a black hole, a reset, a freeze. It
// listens on loopback and is steered while it runs, for all connections or for one.
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

// Direction is a way through the proxy.
type Direction uint8

const (
	// ToServer is from the client, who connected to the proxy, to the target.
	ToServer Direction = 1 << iota
	// ToClient is from the target to the client.
	ToClient
	// Both are both directions.
	Both = ToServer | ToClient
)

// ways are the single directions, as an index of arrays.
var ways = [...]Direction{ToServer, ToClient}

// Fault is what happens to the bytes of one direction. The zero value is none.
type Fault struct {
	// Delay is added to each piece that was read; Jitter at most more, drawn from
	// the proxy's seed. The order of bytes stays.
	Delay, Jitter time.Duration
	// Rate is how many bytes a second may pass; 0: all.
	Rate int
	// Hole accepts bytes and swallows them. They do not come back when it is healed.
	Hole bool
	// Frozen takes no byte until it is healed. Then nothing is missing.
	Frozen bool
	// CutAfter ends the connection in order (FIN, both directions) when so
	// many more bytes have passed in this direction; 0: never. With Set of a proxy each
	// connection counts its own bytes.
	CutAfter int64
	// ResetAfter is CutAfter with a reset (RST).
	ResetAfter int64
}

// Options are for [New].
type Options struct {
	// Listen is where the proxy listens. Default 127.0.0.1:0. A host that is not
	// loopback is an error.
	Listen string
	// Seed decides about the jitter. The same seed gives the same delays to
	// the connection with the same number.
	Seed uint64
	// DialTimeout is how long the target may take to accept. Default 10s.
	DialTimeout time.Duration
}

// Proxy forwards connections to a target. All methods may be called from several
// goroutines. Close it.
type Proxy struct {
	o        Options
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex
	target string
	faults [2]Fault // of connections, those that come too
	conns  []*Conn
	count  uint64
	closed bool
	refuse bool
}

// Listen starts a proxy to a target on a loopback port that the system chose.
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

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Retarget sends the connections that come from now on to another target, such
// as a server that was started again.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Set replaces the fault of the directions, for the connections that there are
// and for those that come.
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

// Refuse resets new connections at once while it is true.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Heal takes all faults away. Connections that were ended stay ended.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Set(Both, Fault{})
}

// Conns returns the open connections, the oldest first.
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
		reset(client) // as the target refuses
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
