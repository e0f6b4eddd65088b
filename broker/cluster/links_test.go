//go:build !nostore

package cluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

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
}

// threeNodes starts three brokers, each with a server of its own. The times are
// long, so that a busy machine makes no node silent.
func threeNodes(t *testing.T) []*node {
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
		links, err := NewLinks(LinksOptions{Conn: conn, Beat: 200 * time.Millisecond, Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := links.Close(); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, &node{name, links, brokertest.New(t, broker.Options{Relay: links})})
	}
	for _, n := range nodes {
		brokertest.Eventually(t, n.name+" knows all three nodes", func() bool { return len(n.links.Nodes()) == 3 })
	}
	return nodes
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
		f := p.Expect(t, frames.CommandMessage)
		p.session.Message(checker.Message{
			Subscription: f.Get(frames.HeaderSubscription), Destination: f.Get(frames.HeaderDestination),
			MessageID: f.Get(frames.HeaderMessageID), Body: f.Body,
		})
		p.got++
	}
}

func clean(t *testing.T, c *checker.Checker) {
	t.Helper()
	if r := c.Report(); len(r.Violations) > 0 {
		t.Errorf("%v", r.Violations)
	}
}

func TestThreeNodes(t *testing.T) {
	nodes := threeNodes(t)
	t.Run("X-1, X-3: once and in order, from every node to every node", func(t *testing.T) {
		const sends = 300
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
	t.Run("X-2: the receipt of a SUBSCRIBE is true on all nodes", func(t *testing.T) {
		c := checker.New(checker.Options{})
		var all []*page
		for _, n := range nodes {
			all = append(all, newPage(t, c, n, "x2-"+n.name))
		}
		for i := range 300 {
			from, to := all[(i+1+i%2)%3], all[i%3]
			destination := fmt.Sprintf("/topic/x2/%d", i)
			name := fmt.Sprintf("s%d", i)
			sub := to.session.Subscribe(name, destination, checker.Auto, nil)
			to.Subscribe(t, name, destination)
			sub.Receipted("")
			from.send(t, destination)
			to.receive(t, 1)
			sub.Unsubscribe()
			to.Send(frames.CommandUnsubscribe, "", "id", name, "receipt", "u")
			to.ExpectReceipt(t, "u")
			sub.Unsubscribed()
		}
		clean(t, c)
	})
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
