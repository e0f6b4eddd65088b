//go:build !nostore

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/frames"
)

func sessionOf(t *testing.T, n *node, user string) string {
	t.Helper()
	for s := range n.broker.Sessions() {
		if s.User == user {
			return s.ID
		}
	}
	t.Fatalf("%s: %s has no session", n.name, user)
	return ""
}

func body(t *testing.T, c *brokertest.Client, want string) *frames.Frame {
	t.Helper()
	f := c.Expect(t, frames.CommandMessage)
	if string(f.Body) != want {
		t.Fatalf("got %q, want %q", f.Body, want)
	}
	return f
}

func quiet(t *testing.T, c *brokertest.Client) {
	t.Helper()
	if seen := c.Sync(t); len(seen) > 0 {
		t.Errorf("got %v, want nothing", seen)
	}
}

// spread connects one client of a user to each node, and subscribes it.
func spread(t *testing.T, nodes []*node, user, destination string, headers ...string) []*brokertest.Client {
	t.Helper()
	var all []*brokertest.Client
	for _, n := range nodes {
		c := brokertest.Connect(t, n.broker, "login", user)
		c.Subscribe(t, "s", destination, headers...)
		all = append(all, c)
	}
	return all
}

func TestUsersOnThreeNodes(t *testing.T) {
	nodes := threeNodes(t, 0)
	t.Run("X-6: to a user, from every node, once", func(t *testing.T) {
		bob := spread(t, nodes, "bob", "/user/queue/x")
		eve := spread(t, nodes, "eve", "/user/queue/x")
		named := spread(t, nodes[:1], "bob", "/user/bob/queue/x")
		for i, n := range nodes {
			text := fmt.Sprint("from ", i)
			from := brokertest.Connect(t, n.broker, "login", "ann")
			from.Send(frames.CommandSend, text, "destination", "/user/bob/queue/x", "kind", "k")
			m := &broker.Message{Destination: "/user/bob/queue/x", Body: []byte(text)}
			ids := make(map[string]bool)
			for _, c := range append(bob[:len(bob):len(bob)], named...) {
				f := body(t, c, text)
				if f.Get("kind") != "k" {
					t.Errorf("the headers are %v", f.Headers)
				}
				ids[f.Get(frames.HeaderMessageID)] = true
			}
			if len(ids) != 1 {
				t.Errorf("the ids are %v, want one", ids)
			}
			if err := n.broker.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			for _, c := range append(bob[:len(bob):len(bob)], named...) {
				body(t, c, text)
			}
		}
		for _, c := range append(bob, eve...) {
			quiet(t, c)
		}
	})
	t.Run("X-6: PublishToUser counts all nodes", func(t *testing.T) {
		spread(t, nodes, "carl", "/user/queue/y")
		spread(t, nodes[1:], "carl", "/user/queue/y", "ack", "client-individual")
		for i, n := range nodes {
			d, err := n.broker.PublishToUser(t.Context(), "carl", &broker.Message{Destination: "/queue/y"})
			if want := (broker.Delivery{Subscriptions: 5, Unacknowledged: 2}); d != want || err != nil {
				t.Errorf("node %d: %+v, %v, want %+v", i, d, err, want)
			}
			d, err = n.broker.PublishToUser(t.Context(), "nobody", &broker.Message{Destination: "/queue/y"})
			if d.Subscriptions != 0 || err != nil {
				t.Errorf("node %d: %+v, %v for nobody", i, d, err)
			}
		}
	})
	t.Run("X-6: to a session by its id", func(t *testing.T) {
		c := spread(t, nodes[:1], "dora", "/user/queue/z")[0]
		id := sessionOf(t, nodes[0], "dora")
		for i, n := range nodes {
			d, err := n.broker.PublishToSession(t.Context(), id, &broker.Message{Destination: "/queue/z", Body: []byte("here")})
			if d.Subscriptions != 1 || err != nil {
				t.Errorf("node %d: %+v, %v", i, d, err)
			}
			body(t, c, "here")
		}
	})
	t.Run("X-6, X-7: an id that nobody has", func(t *testing.T) {
		c := spread(t, nodes[:1], "emil", "/user/queue/z")[0]
		id := []byte(sessionOf(t, nodes[0], "emil"))
		other := sessionOf(t, nodes[0], "emil")
		id[len(id)-1] ^= 1 // of the same node
		for _, wrong := range []string{string(id), "aaaaaa" + other[6:], "", "?", other + "a", nodes[1].links.Nodes()[0].ID[:6] + other[6:]} {
			if wrong == other {
				continue
			}
			for i, n := range nodes {
				if d, err := n.broker.PublishToSession(t.Context(), wrong, &broker.Message{Destination: "/queue/z"}); !errors.Is(err, broker.ErrNoSession) || d.Subscriptions != 0 {
					t.Errorf("node %d, session %q: %+v, %v", i, wrong, d, err)
				}
				if err := n.broker.Disconnect(wrong, ""); !errors.Is(err, broker.ErrNoSession) {
					t.Errorf("node %d, session %q: %v", i, wrong, err)
				}
			}
		}
		quiet(t, c)
	})
	t.Run("outcomes travel back", func(t *testing.T) { outcomesTravel(t, nodes) })
	t.Run("answers find the node of the request", func(t *testing.T) { answersReturn(t, nodes) })
	t.Run("sessions end from any node", func(t *testing.T) { sessionsEnd(t, nodes) })
}

// outcome is what a publisher was told of a delivery.
type told struct {
	session string
	outcome broker.Outcome
}

func outcomesTravel(t *testing.T, nodes []*node) {
	list := spread(t, nodes, "fred", "/user/queue/ack", "ack", "client-individual")
	for _, by := range []func(m *broker.Message) error{
		func(m *broker.Message) error {
			m.Destination = "/queue/ack"
			d, err := nodes[0].broker.PublishToUser(context.Background(), "fred", m)
			if d.Unacknowledged != 3 {
				t.Errorf("%+v", d)
			}
			return err
		},
		func(m *broker.Message) error {
			m.Destination = "/user/fred/queue/ack"
			return nodes[0].broker.Publish(context.Background(), m)
		},
	} {
		outcomes := make(chan told, 16)
		if err := by(&broker.Message{Settled: func(s string, o broker.Outcome) { outcomes <- told{s, o} }}); err != nil {
			t.Fatal(err)
		}
		for i, c := range list {
			f := c.Expect(t, frames.CommandMessage)
			command, want := frames.CommandAck, told{sessionOf(t, nodes[i], "fred"), broker.Acknowledged}
			if i == 1 {
				command, want.outcome = frames.CommandNack, broker.Refused
			}
			c.Send(command, "", "id", f.Get(frames.HeaderAck))
			if got := testkit.Receive(t, outcomes); got != want {
				t.Errorf("node %d: %+v, want %+v", i, got, want)
			}
		}
	}
	// Who ends has lost it.
	outcomes := make(chan told, 16)
	id := sessionOf(t, nodes[2], "fred")
	d, err := nodes[0].broker.PublishToSession(t.Context(), id, &broker.Message{Destination: "/queue/ack", Settled: func(s string, o broker.Outcome) { outcomes <- told{s, o} }})
	if d.Unacknowledged != 1 || err != nil {
		t.Fatalf("%+v, %v", d, err)
	}
	list[2].Close()
	if got := testkit.Receive(t, outcomes); got != (told{id, broker.Lost}) {
		t.Errorf("%+v", got)
	}
	for _, n := range nodes {
		brokertest.Eventually(t, n.name+" waits for nothing", func() bool { return n.links.asks.size() == 0 })
	}
}

func (x *asks) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.open) + x.waiting
}

func answersReturn(t *testing.T, nodes []*node) {
	asker := brokertest.Connect(t, nodes[0].broker, "login", "gina")
	worker := brokertest.Connect(t, nodes[1].broker, "login", "work")
	worker.Subscribe(t, "w", "/topic/work")
	request := func() string {
		t.Helper()
		asker.Send(frames.CommandSend, "?", "destination", "/topic/work", "reply-to", "/temp-queue/a", "receipt", "q")
		asker.ExpectReceipt(t, "q")
		return worker.Expect(t, frames.CommandMessage).Get("reply-to")
	}
	to := request()
	worker.Send(frames.CommandSend, "one", "destination", to)
	worker.Send(frames.CommandSend, "two", "destination", to, "receipt", "r")
	if f := worker.Expect(t, frames.CommandReceipt); f.Get("unroutable") != "" {
		t.Errorf("%v", f.Headers)
	}
	body(t, asker, "one")
	body(t, asker, "two")
	worker.Send(frames.CommandBegin, "", "transaction", "t")
	worker.Send(frames.CommandSend, "three", "destination", to, "transaction", "t")
	worker.Send(frames.CommandCommit, "", "transaction", "t", "receipt", "c")
	worker.ExpectReceipt(t, "c")
	body(t, asker, "three")

	// In the order in which they were sent, also in one read.
	asker.Subscribe(t, "o", "/topic/order")
	asker.Subscribe(t, "u", "/user/queue/order")
	for range 20 {
		var all string
		for i, destination := range []string{"/topic/order", to, "/user/gina/queue/order", to, "/topic/order"} {
			all += fmt.Sprintf("SEND\ndestination:%s\n\n%d\x00", destination, i)
		}
		worker.Write([]byte(all))
		for i := range 5 {
			body(t, asker, fmt.Sprint(i))
		}
	}
	program := nodes[2].broker
	if err := program.Publish(t.Context(), &broker.Message{Destination: to, Body: []byte("four")}); err != nil {
		t.Fatal(err)
	}
	body(t, asker, "four")
	id := sessionOf(t, nodes[0], "gina")
	if d, err := program.PublishToSession(t.Context(), id, &broker.Message{Destination: to, Body: []byte("five")}); err != nil || d.Subscriptions != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	body(t, asker, "five")
	asker.Close()
	brokertest.Eventually(t, "the asker is gone", func() bool {
		return errors.Is(program.Publish(t.Context(), &broker.Message{Destination: to}), broker.ErrNoSession)
	})
	worker.Send(frames.CommandSend, "late", "destination", to, "receipt", "r")
	if f := worker.Expect(t, frames.CommandReceipt); f.Get("unroutable") != "true" {
		t.Errorf("%v", f.Headers)
	}
	worker.Send(frames.CommandBegin, "", "transaction", "t")
	worker.Send(frames.CommandSend, "late", "destination", to, "transaction", "t")
	worker.Send(frames.CommandCommit, "", "transaction", "t", "receipt", "c")
	if f := worker.Expect(t, frames.CommandReceipt); f.Get("unroutable") != "true" {
		t.Errorf("%v", f.Headers)
	}
	worker.Send(frames.CommandSend, "late", "destination", "/reply-queue/aaaaaa"+to[len("/reply-queue/aaaaaa"):], "receipt", "r")
	if f := worker.Expect(t, frames.CommandReceipt); f.Get("unroutable") != "true" {
		t.Errorf("of no node: %v", f.Headers)
	}
}

func sessionsEnd(t *testing.T, nodes []*node) {
	ended := func(c *brokertest.Client, text string) {
		t.Helper()
		if f := c.Expect(t, frames.CommandError); f.Get("message") != text {
			t.Errorf("ended by %v", f.Headers)
		}
		_ = c.Ended(t) // with the error that the ERROR has said
	}
	one := spread(t, nodes[2:], "hugo", "/user/queue/x")[0]
	if err := nodes[0].broker.Disconnect(sessionOf(t, nodes[2], "hugo"), "go away"); err != nil {
		t.Fatal(err)
	}
	ended(one, "go away")
	all := spread(t, nodes, "ines", "/user/queue/x")
	if n, err := nodes[1].broker.DisconnectUser("ines", "all of you"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, c := range all {
		ended(c, "all of you")
	}
	stay := spread(t, nodes, "kurt", "/user/queue/x")
	for i, n := range nodes {
		jana, lars := fmt.Sprint("jana", i), fmt.Sprint("lars", i)
		all = spread(t, nodes, jana, "/user/queue/x")
		if err := n.revocations.Revoke(t.Context(), auth.Revocation{User: jana}); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			ended(c, "session revoked")
		}
		other := nodes[(i+1)%3]
		c := spread(t, []*node{other}, lars, "/user/queue/x")[0]
		if err := n.revocations.Revoke(t.Context(), auth.Revocation{Session: sessionOf(t, other, lars)}); err != nil {
			t.Fatal(err)
		}
		ended(c, "session revoked")
	}
	for _, c := range stay {
		quiet(t, c)
	}
}

// Pages that come by WebSocket to any node, and by another one each time they come
// again, get what is for their user, and are counted.
func TestUsersThroughAnyNode(t *testing.T) {
	nodes := threeNodes(t, 0)
	var urls []string
	for _, n := range nodes {
		mux := http.NewServeMux()
		mux.Handle("/ws", n.broker)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		urls = append(urls, "ws"+strings.TrimPrefix(server.URL, "http")+"/ws")
	}
	next := 0
	wait, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	defer cancel()
	open := func(user string) *client.Conn {
		t.Helper()
		conn, err := client.Dial(wait, urls[next%len(urls)], client.Options{Login: user})
		next++
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Abort)
		return conn
	}
	const pages, rounds = 5, 4 // not a multiple of the nodes
	from := open("ann")
	for round := range rounds {
		var conns []*client.Conn
		var subs []*stomp.Subscription
		for range pages {
			conn := open("bob")
			sub, receipt, err := conn.SubscribeWithReceipt("/user/queue/news", stomp.AckAuto)
			if err == nil {
				err = receipt.Wait(wait)
			}
			if err != nil {
				t.Fatal(err)
			}
			conns, subs = append(conns, conn), append(subs, sub)
		}
		text := fmt.Sprint("round ", round)
		if d, err := nodes[round%3].broker.PublishToUser(t.Context(), "bob", &broker.Message{Destination: "/queue/news", Body: []byte(text)}); d.Subscriptions != pages || err != nil {
			t.Errorf("round %d: %+v, %v, want %d", round, d, err, pages)
		}
		if err := from.Send("/user/bob/queue/news", "text/plain", []byte("a SEND")); err != nil {
			t.Fatal(err)
		}
		for _, sub := range subs {
			for _, want := range []string{text, "a SEND"} {
				if m := testkit.Receive(t, sub.C); m.Err != nil || string(m.Body) != want {
					t.Fatalf("round %d: got %q, %v, want %q", round, m.Body, m.Err, want)
				}
			}
		}
		for i, conn := range conns {
			if i%2 == 0 {
				conn.Abort()
			} else if err := conn.Disconnect(); err != nil {
				t.Error(err)
			}
		}
		brokertest.Eventually(t, "the pages are gone", func() bool {
			d, err := nodes[0].broker.PublishToUser(t.Context(), "bob", &broker.Message{Destination: "/queue/news"})
			return err == nil && d.Subscriptions == 0
		})
		from = open("ann")
	}
}
