//go:build !nostore

package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// quick are options of a node that notices within a second or two that a peer has
// stopped. On a busy machine it may take a living one for stopped, so a test that
// uses them must not count on a node to be live all the time.
var quick = LinksOptions{Beat: 100 * time.Millisecond, Deadline: time.Second}

// startNode starts a node. Its server closes a route that does not take anything
// for five heart-beats.
func startNode(t *testing.T, name string, o LinksOptions, peers ...string) (*node, *embedded.Link) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	server, err := embedded.StartLink(ctx, embedded.LinkOptions{Name: name, Listen: "127.0.0.1:0", Peers: peers, Patience: 5 * o.Beat})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	o.Conn, o.Name = conn, name
	links, err := NewLinks(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := links.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{name: name, links: links, broker: brokertest.New(t, broker.Options{Relay: links})}, server
}

// faultyPair starts two nodes with a proxy between them.
func faultyPair(t *testing.T, o LinksOptions) (a, b *node, between *proxy) {
	t.Helper()
	a, server := startNode(t, "a", o)
	between = newProxy(t, server.Addr())
	b, _ = startNode(t, "b", o, between.addr())
	together := func() bool { return len(a.links.Nodes()) == 2 && len(b.links.Nodes()) == 2 }
	brokertest.Eventually(t, "two nodes are live", together)
	return a, b, between
}

// receiver notes the numbers that come, and whether one is not above the last.
type receiver struct {
	mu         sync.Mutex
	last, n    int
	disordered string
}

// receive subscribes a receiver. When it returns, all live nodes know it.
func (n *node) receive(t *testing.T, destination string) *receiver {
	t.Helper()
	r := &receiver{last: -1}
	_, err := n.broker.Subscribe(t.Context(), destination, broker.SubscribeOptions{Buffer: 1 << 16}, func(_ context.Context, m *broker.Message) error {
		number, _, _ := cutNumber(m.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if number <= r.last && r.disordered == "" {
			r.disordered = fmt.Sprint(number, " after ", r.last)
		}
		r.last, r.n = number, r.n+1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cutNumber reads the number at the beginning of a body.
func cutNumber(body []byte) (number int, rest []byte, err error) {
	end := 0
	for end < len(body) && body[end] >= '0' && body[end] <= '9' {
		end++
	}
	number, err = strconv.Atoi(string(body[:end]))
	return number, body[end:], err
}

// has waits until a number has come.
func (r *receiver) has(t *testing.T, number int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprint("number ", number, " has come"), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.last >= number
	})
}

func (r *receiver) inOrder(t *testing.T, all int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disordered != "" {
		t.Errorf("got %s", r.disordered)
	}
	if all > 0 && r.n != all {
		t.Errorf("got %d messages, want %d", r.n, all)
	}
}

// numbered publishes numbers with a body of so many bytes behind them.
type numbered struct {
	node *node
	next int
}

func (p *numbered) publish(t *testing.T, destination string, n, size int) {
	t.Helper()
	for range n {
		body := append(strconv.AppendInt(nil, int64(p.next), 10), make([]byte, size)...)
		if err := p.node.broker.Publish(t.Context(), &broker.Message{Destination: destination, Body: body}); err != nil {
			t.Fatal(err)
		}
		p.next++
	}
}

func (n *node) joins() uint64 {
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	return n.links.joins
}

// reaches publishes until a number has come, since each may be lost.
func (p *numbered) reaches(t *testing.T, destination string, r *receiver) {
	t.Helper()
	from := p.next
	brokertest.Eventually(t, "a message reaches the other node", func() bool {
		p.publish(t, destination, 1, 0)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.last >= from
	})
}

// truthful has b subscribe to destinations, to one that it knows and new ones,
// and a publish as soon as b's subscription is confirmed: it must arrive, unless
// a was not live meanwhile.
func truthful(t *testing.T, a, b *node, known string) {
	t.Helper()
	for i, judged := 0, 0; judged < 20; i++ {
		if i == 1000 {
			t.Fatal("the nodes are hardly ever live")
		}
		destination := known
		if i%2 == 0 {
			destination = fmt.Sprint("/topic/new", known, i)
		}
		joins := b.joins()
		r := b.receive(t, destination)
		live := len(b.links.Nodes()) == 2 && b.joins() == joins
		p := numbered{node: a, next: i}
		p.publish(t, destination, 1, 0)
		if live {
			r.has(t, i)
			judged++
		}
	}
}

// A route that is cut costs what was published meanwhile, and nothing else: when
// it is back, all interest is unsettled, receipts are true again, and nothing
// comes twice or in the wrong order.
func TestRouteThatIsCut(t *testing.T) {
	a, b, between := faultyPair(t, quick)
	here, there := a.receive(t, "/topic/cut"), b.receive(t, "/topic/cut")
	p := numbered{node: a}
	for round := range 2 {
		p.publish(t, "/topic/cut", 100, 10)
		p.reaches(t, "/topic/cut", there)
		joins := []uint64{a.joins(), b.joins()}
		between.cut()
		p.publish(t, "/topic/cut", 100, 10)
		here.has(t, p.next-1)
		brokertest.Eventually(t, fmt.Sprint("all interest is unsettled, round ", round), func() bool {
			return a.joins() > joins[0] && b.joins() > joins[1]
		})
		truthful(t, a, b, fmt.Sprint("/topic/known/", round))
		p.reaches(t, "/topic/cut", there)
	}
	here.has(t, p.next-1)
	here.inOrder(t, p.next)
	there.inOrder(t, 0)
}

// A slow route makes barriers slow, and loses nothing.
func TestRouteThatIsSlow(t *testing.T) {
	const delay = 200 * time.Millisecond
	a, b, between := faultyPair(t, LinksOptions{Beat: 2 * time.Second, Deadline: time.Minute})
	there := b.receive(t, "/topic/slow")
	between.delay.Store(int64(delay))
	p := numbered{node: a}
	p.publish(t, "/topic/slow", 500, 100)
	start := time.Now()
	r := b.receive(t, "/topic/slow/new")
	if took := time.Since(start); took < 2*delay {
		t.Errorf("a barrier took %v, though question and answer take %v each", took, delay)
	}
	p.publish(t, "/topic/slow/new", 1, 0)
	r.has(t, p.next-1)
	p.publish(t, "/topic/slow", 500, 100)
	there.has(t, p.next-1)
	there.inOrder(t, 1000)
}

// A peer that stops reading neither slows a publisher on the other node down nor
// keeps its SUBSCRIBEs waiting. When it goes on, it is a node as before.
func TestPeerThatStopsReading(t *testing.T) {
	const messages, size = 1000, 10 << 10
	a, b, between := faultyPair(t, quick)
	here, there := a.receive(t, "/topic/stop"), b.receive(t, "/topic/stop")
	p := numbered{node: a}
	publish := func() time.Duration {
		start := time.Now()
		for range 10 { // the subscriber here has room for all that wait
			p.publish(t, "/topic/stop", messages/10, size)
			here.has(t, p.next-1)
		}
		return time.Since(start)
	}
	before := publish()
	p.reaches(t, "/topic/stop", there)
	between.freeze(true)
	during := publish()
	start := time.Now()
	a.receive(t, "/topic/stop/new") // does not fail, and ends
	took := time.Since(start)
	brokertest.Eventually(t, "the node that has stopped is not live", func() bool { return len(a.links.Nodes()) == 1 })
	during += publish()
	t.Logf("%d messages took %v, and %v each while a peer did not read; a SUBSCRIBE took %v then", messages, before, during/2, took)
	if during/2 > 5*before+5*time.Second {
		t.Error("the publisher was slowed down")
	}
	between.freeze(false)
	p.reaches(t, "/topic/stop", there)
	truthful(t, a, b, "/topic/known")
	here.has(t, p.next-1)
	here.inOrder(t, p.next)
	there.inOrder(t, 0)
}

// pages that reload, 10,000 times on the same destinations, send nothing
// over the routes, since an interest outlives its last subscriber.
func TestX41ReloadsDoNotFloodTheRoutes(t *testing.T) {
	const reloads, pages = 10_000, 100
	a, b, between := faultyPair(t, quick)
	names := destinations("/topic/reload/%d", pages)
	r := reporter{links: b.links, last: 0}
	r.report(true, names...)
	settle := func() {
		known := make(chan error, 1)
		b.links.Settle(r.last, func(err error) { known <- err })
		settled(t, known)
	}
	settle()
	beat := func() uint64 {
		a.links.mu.Lock()
		defer a.links.mu.Unlock()
		for _, m := range a.links.nodes {
			return m.beat
		}
		return 0
	}
	bytes, first, start := between.bytes.Load(), beat(), time.Now()
	for i := range reloads {
		name := names[i%pages]
		r.report(false, name)
		r.report(true, name)
	}
	settle() // has nothing to ask
	brokertest.Eventually(t, "what was sent has arrived", func() bool { return beat() > first+1 })
	took := time.Since(start)
	sent := between.bytes.Load() - bytes
	t.Logf("%d reloads in %v: %d bytes on the route", reloads, took, sent)
	if sent > 15*reloads { // heart-beats; to end and begin an interest takes some 60
		t.Errorf("%d bytes on the route", sent)
	}
	b.links.mu.Lock()
	leaving := len(b.links.leaving)
	b.links.mu.Unlock()
	if leaving > 2*pages {
		t.Errorf("%d interests wait for their end", leaving)
	}
	if s := b.links.Stats(); s.Subjects != pages {
		t.Errorf("%+v", s)
	}
}
