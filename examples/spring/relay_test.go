package spring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// The frames of the walk-through as Spring's relay sends them, against the
// configuration beside it.
func TestRelay(t *testing.T) {
	h := serve(t)
	node, other, page := h.relay(t, "system"), h.relay(t, "system"), h.relay(t, "pages")
	for _, c := range []*connection{node, other} {
		c.say("SUBSCRIBE\nid:0\ndestination:/topic/unresolved-user-destination\n\n\x00" +
			"SUBSCRIBE\nid:1\ndestination:/topic/simp-user-registry\n\n\x00")
		c.sure()
	}
	page.say("SUBSCRIBE\nid:sub-0\ndestination:/topic/greetings\n\n\x00" +
		"SUBSCRIBE\nid:sub-1\ndestination:/queue/replies-users1\nsimpOrigDestination:/user/queue/replies\n\n\x00")
	page.sure()
	direct := h.direct(t, "ann")
	greetings := subscribe(t, direct, "/topic/greetings")

	// SEND /app/hello stays in Spring; what hello() answers goes out on the
	// connection of the page.
	page.say("SEND\ndestination:/topic/greetings\ncontent-type:application/json\ncontent-length:15\n\n{\"text\":\"Ann!\"}\x00")
	page.want("sub-0", `{"text":"Ann!"}`)
	if m := testkit.Receive(t, greetings); m.Err != nil || string(m.Body) != `{"text":"Ann!"}` {
		t.Errorf("a page of Hoofbeat itself got %q, %v", m.Body, m.Err)
	}
	// SimpMessagingTemplate, on the connection of the application.
	node.say("SEND\nsimpOrigDestination:/user/queue/replies\ndestination:/queue/replies-users1\ncontent-length:2\n\n{}\x00")
	if got := page.want("sub-1", "{}").Get("simpOrigDestination"); got != "/user/queue/replies" {
		t.Errorf("the page is told %q", got)
	}
	// For a session that has gone: nothing is kept.
	node.say("SEND\ndestination:/queue/replies-usergone\ncontent-length:2\n\n{}\x00SEND\ndestination:/queue/orders/new-usergone\ncontent-length:2\n\n{}\x00")
	node.sure()
	var stats struct {
		QueueMessages *int `json:"queue_messages"`
	}
	h.call(t, "GET", "/api/v1/stats", nil, &stats)
	if stats.QueueMessages == nil || *stats.QueueMessages != 0 {
		t.Errorf("messages are kept: %v", stats.QueueMessages)
	}
	// The registry of a node with many users is a large frame.
	registry := `{"id":"node","userMap":{` + strings.Repeat(" ", 300<<10) + `}}`
	node.say("SEND\ndestination:/topic/simp-user-registry\n\n%s\x00", registry)
	other.want("1", registry)
}

// What the rules do not allow: the talk of the nodes, to pages of either kind,
// and private queues to those of Hoofbeat itself.
func TestRules(t *testing.T) {
	h := serve(t)
	for _, refused := range []string{
		"SEND\ndestination:/topic/unresolved-user-destination\nsimpOrigDestination:/user/bob/queue/replies\n\nx\x00",
		"SEND\ndestination:/topic/simp-user-registry\n\n{}\x00",
		"SUBSCRIBE\nid:s\ndestination:/topic/unresolved-user-destination\n\n\x00",
		"SUBSCRIBE\nid:s\ndestination:/topic/simp-user-registry\n\n\x00",
		"SUBSCRIBE\nid:s\ndestination:/queue/*-user*\n\n\x00",
		"SUBSCRIBE\nid:s\ndestination:/queue/orders\n\n\x00",
		"SEND\ndestination:/queue/orders\n\nx\x00",
	} {
		page := h.relay(t, "pages")
		page.say("%s", refused)
		if f := page.next(); f.Command != "ERROR" {
			t.Errorf("%q is answered with %s %v", refused, f.Command, f.Headers)
		}
	}
	for _, destination := range []string{"/queue/replies-users1", "/topic/simp-user-registry"} {
		s, err := h.direct(t, "ann").Subscribe(destination, stomp.AckAuto)
		if err == nil {
			err = testkit.Receive(t, s.C).Err
		}
		if err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v", destination, err)
		}
	}
	// A pattern gives a page nothing of it.
	node, page := h.relay(t, "system"), h.relay(t, "pages")
	page.say("SUBSCRIBE\nid:all\ndestination:/topic/**\n\n\x00")
	page.sure()
	node.say("SEND\ndestination:/topic/simp-user-registry\n\n{}\x00SEND\ndestination:/topic/greetings\n\nx\x00")
	page.want("all", "x")
}

// direct connects as direct.html does, with a ticket that the application got.
func (h hoofbeat) direct(t *testing.T, user string) *client.Conn {
	t.Helper()
	var ticket struct{ Ticket string }
	h.call(t, "POST", "/api/v1/tickets", map[string]any{"user": user, "ttl": 30}, &ticket)
	return h.withTicket(t, ticket.Ticket, user)
}

func (h hoofbeat) withTicket(t *testing.T, ticket, user string) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), strings.Replace(h.web, "http", "ws", 1)+"?ticket="+ticket, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	if got := c.Header().Get("user-name"); got != user {
		t.Fatalf("connected as %q, want %q", got, user)
	}
	return c
}

// subscribe returns when the subscription is there.
func subscribe(t *testing.T, c *client.Conn, destination string) <-chan *stomp.Message {
	t.Helper()
	s, err := c.Subscribe(destination, stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := c.Subscribe("/app/bootstrap", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	if m := testkit.Receive(t, answers.C); m.Err != nil { // which comes after the other has been dealt with
		t.Fatal(m.Err)
	}
	return s.C
}

// call asks the admin API.
func (h hoofbeat) call(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	if err := h.ask(t.Context(), method, path, body, answer); err != nil {
		t.Fatal(err)
	}
}

func (h hoofbeat) ask(ctx context.Context, method, path string, body, answer any) error {
	var octets []byte
	if body != nil {
		var err error
		if octets, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, h.admin+path, bytes.NewReader(octets))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: HTTP %d", method, path, res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(answer)
}
