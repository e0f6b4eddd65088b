// Package mutant turns a correct broker into a faulty one, to prove that
// package checker detects the faults. It is a STOMP proxy between clients and
// broker that spoils one MESSAGE in a given number.
package mutant

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Fault is what the proxy does to a chosen MESSAGE.
type Fault string

const (
	// None changes nothing.
	None Fault = "none"
	// Lose drops it.
	Lose Fault = "lose"
	// Double writes it twice.
	Double Fault = "double"
	// Reorder moves it after the next one of the same publisher, destination
	// and subscription.
	Reorder Fault = "reorder"
	// Misdeliver writes a MESSAGE for a /user destination to another user
	// instead.
	Misdeliver Fault = "misdeliver"
	// ForgeRecovered adds recovered:true to the RECEIPT of each SUBSCRIBE that
	// asks for an offset. It chooses no MESSAGE.
	ForgeRecovered Fault = "forge recovered:true"
)

// Options configures [Start].
type Options struct {
	Fault Fault
	// OneIn says that one MESSAGE in OneIn is spoilt. Default 10,000. Seed
	// picks a MESSAGE from the first half of each OneIn; the proxy spoils the
	// first one from there on that the fault applies to.
	OneIn int
	Seed  uint64
}

// Proxy is the faulty broker. The caller must close it.
type Proxy struct {
	o        Options
	target   string
	server   *http.Server
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	group    sync.WaitGroup

	mu     sync.Mutex
	rnd    *rand.Rand
	seen   int // MESSAGEs so far
	due    int // number of the next MESSAGE to spoil
	spoilt int
	pairs  []*pair // open pairs, oldest first
	err    error   // first fault of the proxy itself
}

// Start starts a proxy to a WebSocket endpoint, ws://host:port/path.
func Start(target string, o Options) (*Proxy, error) {
	if o.OneIn == 0 {
		o.OneIn = 10_000
	}
	if _, err := url.Parse(target); err != nil {
		return nil, fmt.Errorf("mutant: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("mutant: %w", err)
	}
	p := &Proxy{o: o, target: target, listener: l, rnd: rand.New(rand.NewPCG(o.Seed, 0))}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.draw(0)
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve)}
	p.group.Go(func() { p.fail(p.server.Serve(l)) })
	return p, nil
}

// URL returns the address that clients connect to.
func (p *Proxy) URL() string {
	path := "/"
	if u, err := url.Parse(p.target); err == nil {
		path = u.Path
	}
	return "ws://" + p.listener.Addr().String() + path
}

// Spoilt returns how many frames were spoilt so far, and how many MESSAGEs
// there were.
func (p *Proxy) Spoilt() (spoilt, seen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spoilt, p.seen
}

// Close ends all connections. It returns an error if the proxy itself failed.
func (p *Proxy) Close() error {
	p.cancel()
	_ = p.server.Close() // closes the listener even on error
	p.group.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Proxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && err != nil && !errors.Is(err, http.ErrServerClosed) {
		p.err = err
	}
}

// draw chooses one of the OneIn MESSAGEs after from.
func (p *Proxy) draw(from int) { p.due = from + 1 + p.rnd.IntN(max(1, p.o.OneIn/2)) }

// pair is a client's connection and the matching one to the broker.
type pair struct {
	p        *Proxy
	client   *websocket.Conn
	broker   *websocket.Conn
	writing  sync.Mutex // guards writes to client
	out      []byte     // output for the current read
	held     []byte     // a delayed MESSAGE
	heldLane lane

	mu      sync.Mutex
	user    string
	own     string          // id of the subscription to a /user destination
	offsets map[string]bool // receipts of SUBSCRIBEs with an offset
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	broker, response, err := websocket.Dial(p.ctx, p.target, &websocket.DialOptions{
		Subprotocols: strings.Split(strings.ReplaceAll(r.Header.Get("Sec-WebSocket-Protocol"), " ", ""), ","),
	})
	if err != nil {
		status := http.StatusBadGateway
		if response != nil {
			status = response.StatusCode
		}
		http.Error(w, err.Error(), status)
		return
	}
	defer func() { _ = broker.CloseNow() }() // may be closed already
	client, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{broker.Subprotocol()}, InsecureSkipVerify: true,
	})
	if err != nil {
		p.fail(err)
		return
	}
	defer func() { _ = client.CloseNow() }()
	client.SetReadLimit(-1)
	broker.SetReadLimit(-1)
	x := &pair{p: p, client: client, broker: broker, offsets: make(map[string]bool)}
	p.mu.Lock()
	p.pairs = append(p.pairs, x)
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	var group sync.WaitGroup
	for _, way := range []func(context.Context) error{x.up, x.down} {
		group.Go(func() {
			defer cancel() // when one direction ends, so does the other
			if err := way(ctx); err != nil {
				p.fail(err)
			}
		})
	}
	group.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.pairs {
		if p.pairs[i] == x {
			p.pairs = append(p.pairs[:i], p.pairs[i+1:]...)
			break
		}
	}
}

// up forwards the client's frames unchanged and records what it needs from
// them. The error is a fault of the proxy, not of the network.
func (x *pair) up(ctx context.Context) error {
	dec := decoder()
	for {
		kind, data, err := x.client.Read(ctx)
		if err != nil {
			return nil
		}
		dec.Feed(data)
		for {
			f, ok, err := dec.Next()
			if err != nil {
				return fmt.Errorf("mutant: what the client sent: %w", err)
			}
			if !ok {
				break
			}
			x.learn(f)
		}
		if x.broker.Write(ctx, kind, data) != nil {
			return nil
		}
	}
}

func decoder() *frames.Decoder {
	dec := new(frames.Decoder)
	dec.SetVersion(frames.V12)
	dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	return dec
}

func (x *pair) learn(f *frames.Frame) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch f.Command {
	case frames.CommandConnect, frames.CommandStomp:
		x.user = f.Get(frames.HeaderLogin)
	case frames.CommandSubscribe:
		if strings.HasPrefix(f.Get(frames.HeaderDestination), "/user/") {
			x.own = f.Get(frames.HeaderID)
		}
		if receipt := f.Get(frames.HeaderReceipt); receipt != "" && f.Get("offset") != "" {
			x.offsets[receipt] = true
		}
	}
}
