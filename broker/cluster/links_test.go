//go:build !nostore

package cluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/frames"
)

// node is one of three brokers in this process.
type node struct {
	name   string
	links  *Links
	broker *broker.Broker

	revocations *auth.Revocations
}

// threeNodes starts three brokers, each with a server of its own. The times are
// long, so that a busy machine makes no node silent.
func threeNodes(t *testing.T, interests int) []*node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var nodes []*node
	var peers []string
	for _, name := range []string{"a", "b", "c"} {
		server, err := embedded.StartLink(ctx, embedded.LinkOptions{
			Name: name, Listen: "127.0.0.1:0", Peers: slices.Clone(peers), Secret: "of this test", Patience: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		peers = append(peers, server.Addr())
		conn, err := server.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		links, err := NewLinks(LinksOptions{Conn: conn, Interests: interests, Beat: 200 * time.Millisecond, Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := links.Close(); err != nil {
				t.Error(err)
			}
		})
		revocations := auth.NewRevocations()
		nodes = append(nodes, &node{name, links, brokertest.New(t, broker.Options{Relay: links, Revocations: revocations, Authorizer: everything(t)}), revocations})
	}
	for _, n := range nodes {
		brokertest.Eventually(t, n.name+" knows all three nodes", func() bool { return len(n.links.Nodes()) == 3 })
	}
	return nodes
}

// everything are rules that allow all, also to send to other users.
func everything(t *testing.T) *auth.Rules {
	t.Helper()
	rules, err := auth.NewRules(auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send, auth.Subscribe}, Destination: "/**", AnyUser: true})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// page is a client that reports what it does to the checker.
type page struct {
	*brokertest.Client
	session *checker.Session
	got     int
}

func newPage(t *testing.T, c *checker.Checker, n *node, name string) *page {
	t.Helper()
	client := brokertest.Connect(t, n.broker, "login", name)
	return &page{Client: client, session: c.Session(checker.Who{Node: n.name, User: name, Session: name})}
}

func (p *page) subscribe(t *testing.T, destination string) {
	t.Helper()
	sub := p.session.Subscribe("s", destination, checker.Auto, nil)
	p.Subscribe(t, "s", destination)
	sub.Receipted("")
}

func (p *page) send(t *testing.T, destination string) {
	t.Helper()
	id := p.session.Send(destination, "")
	p.Send(frames.CommandSend, string(checker.Body(id, 64)), "destination", destination, "receipt", "r")
	p.ExpectReceipt(t, "r")
	p.session.Receipted(id)
}

func (p *page) receive(t *testing.T, n int) {
	t.Helper()
	for range n {
		p.report(p.Expect(t, frames.CommandMessage))
	}
}

// report tells the checker of a MESSAGE.
func (p *page) report(f *frames.Frame) {
	p.session.Message(checker.Message{
		Subscription: f.Get(frames.HeaderSubscription), Destination: f.Get(frames.HeaderDestination),
		MessageID: f.Get(frames.HeaderMessageID), Body: f.Body,
	})
	p.got++
}

func clean(t *testing.T, c *checker.Checker) {
	t.Helper()
	if r := c.Report(); len(r.Violations) > 0 {
		t.Errorf("%v", r.Violations)
	}
}

func TestThreeNodes(t *testing.T) {
	nodes := threeNodes(t, 0)
	t.Run("X-1: once, from every node to every node", func(t *testing.T) {
		const sends = 50
		c := checker.New(checker.Options{})
		var subs, pubs []*page
		for _, n := range nodes {
			// The pattern covers the destination twice over: copies must not show.
			for i, destination := range []string{"/topic/all/x", "/topic/all/*", "/topic/all/**"} {
				p := newPage(t, c, n, fmt.Sprintf("sub-%s%d", n.name, i))
				p.subscribe(t, destination)
				subs = append(subs, p)
			}
			pubs = append(pubs, newPage(t, c, n, "pub-"+n.name))
		}
		for range sends {
			for _, p := range pubs {
				p.send(t, "/topic/all/x")
			}
			for _, s := range subs {
				s.receive(t, len(pubs))
			}
		}
		for _, s := range subs {
			if seen := s.Sync(t); len(seen) > 0 {
				t.Errorf("%d messages too many", len(seen))
			}
		}
		clean(t, c)
		for _, n := range nodes {
			if s := n.links.Stats(); s.Copies == 0 || s.Dropped+s.Unreadable > 0 {
				t.Errorf("%s: %+v", n.name, s)
			}
		}
	})
	t.Run("X-2: the receipt of a SUBSCRIBE is true on all nodes", func(t *testing.T) { receiptsAreTrue(t, nodes, 50) })
	t.Run("X-3: in order, with many messages on their way", func(t *testing.T) { ordersAreKept(t, nodes) })
	t.Run("X-5: a node without subscribers gets nothing", func(t *testing.T) {
		c := checker.New(checker.Options{})
		sub, pub := newPage(t, c, nodes[0], "x5-sub"), newPage(t, c, nodes[1], "x5-pub")
		sub.subscribe(t, "/topic/x5/**")
		before := nodes[2].links.Stats().Received
		for i := range 100 {
			pub.send(t, fmt.Sprintf("/topic/x5/%d/y", i))
			sub.receive(t, 1)
		}
		clean(t, c)
		if now := nodes[2].links.Stats().Received; now != before {
			t.Errorf("it got %d", now-before)
		}
	})
}

// together runs tasks at the same time. The first error of each fails the test.
func together(t *testing.T, tasks []func() error) {
	t.Helper()
	failed := make(chan error, len(tasks))
	for _, task := range tasks {
		go func() { failed <- task() }()
	}
	for range tasks {
		if err := <-failed; err != nil { // clients wait for a minute at most
			t.Error(err)
		}
	}
}

// until reads frames until a RECEIPT has come, or with "" the message with an id.
// It reports each message to the checker.
func (p *page) until(receipt string, id checker.ID) error {
	for {
		f, err := p.Receive()
		switch {
		case err != nil:
			return fmt.Errorf("waiting for receipt %q or message %v: %w", receipt, id, err)
		case f.Command == frames.CommandMessage:
			p.report(f)
			if got, err := checker.ParseBody(f.Body); receipt == "" && err == nil && got == id {
				return nil
			}
		case f.Command == frames.CommandReceipt && f.Get(frames.HeaderReceiptID) == receipt:
			return nil
		default:
			return fmt.Errorf("got %s %v while waiting for receipt %q or message %v", f.Command, f.Headers, receipt, id)
		}
	}
}

// receiptsAreTrue has two clients of each node subscribe to the same destination
// at the same time, again and again, each to one that is new. As soon as one has
// its RECEIPT, a client of another node sends what it must get.
func receiptsAreTrue(t *testing.T, nodes []*node, rounds int) {
	t.Helper()
	c := checker.New(checker.Options{})
	var tasks []func() error
	for i, n := range nodes {
		for j := range 2 {
			to := newPage(t, c, n, fmt.Sprintf("x2-sub-%s%d", n.name, j))
			from := newPage(t, c, nodes[(i+1+j)%len(nodes)], fmt.Sprintf("x2-pub-%s%d", n.name, j))
			tasks = append(tasks, func() error {
				for round := range rounds {
					destination, name := fmt.Sprintf("/topic/x2/%s/%d/%d/z", n.name, round/5, round), fmt.Sprint("s", round)
					sub := to.session.Subscribe(name, destination, checker.Auto, nil)
					to.Send(frames.CommandSubscribe, "", "id", name, "destination", destination, "receipt", name)
					if err := to.until(name, 0); err != nil {
						return err
					}
					sub.Receipted("")
					id := from.session.Send(destination, "")
					from.Send(frames.CommandSend, string(checker.Body(id, 64)), "destination", destination, "receipt", "r")
					if err := from.until("r", 0); err != nil {
						return err
					}
					from.session.Receipted(id)
					if err := to.until("", id); err != nil {
						return err
					}
					sub.Unsubscribe()
					to.Send(frames.CommandUnsubscribe, "", "id", name, "receipt", "u")
					if err := to.until("u", 0); err != nil {
						return err
					}
					sub.Unsubscribed()
				}
				return nil
			})
		}
	}
	together(t, tasks)
	clean(t, c)
}

// ordersAreKept has two clients on different nodes send as fast as they can, with
// hundreds of messages on their way, to subscribers on all nodes.
func ordersAreKept(t *testing.T, nodes []*node) {
	const sends, window = 1000, 300
	c := checker.New(checker.Options{})
	var tasks []func() error
	for _, n := range nodes {
		for i, destination := range []string{"/topic/x3/a", "/topic/x3/**"} {
			p := newPage(t, c, n, fmt.Sprintf("x3-sub-%s%d", n.name, i))
			p.subscribe(t, destination)
			tasks = append(tasks, func() error {
				for p.got < 2*sends {
					f, err := p.Receive()
					if err != nil {
						return fmt.Errorf("after %d messages: %w", p.got, err)
					}
					if f.Command != frames.CommandMessage {
						return fmt.Errorf("got %s %v", f.Command, f.Headers)
					}
					p.report(f)
				}
				return nil
			})
		}
	}
	for _, n := range nodes[:2] {
		p := newPage(t, c, n, "x3-pub-"+n.name)
		tasks = append(tasks, func() error {
			ids := make([]checker.ID, 0, sends)
			for i := range sends + window {
				if i < sends {
					id := p.session.Send("/topic/x3/a", "")
					ids = append(ids, id)
					p.Send(frames.CommandSend, string(checker.Body(id, 64)), "destination", "/topic/x3/a", "receipt", fmt.Sprint(i))
				}
				if i >= window {
					if err := p.until(fmt.Sprint(i-window), 0); err != nil {
						return err
					}
					p.session.Receipted(ids[i-window])
				}
			}
			return nil
		})
	}
	together(t, tasks)
	clean(t, c)
	if n := c.Counts(); n.Receipted != 2*sends || n.Messages != 2*sends*2*len(nodes) {
		t.Errorf("%+v", n)
	}
}
