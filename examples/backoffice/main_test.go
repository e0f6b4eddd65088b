package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

var secret = ticket.Secret{ID: "main", Key: bytes.Repeat([]byte("s"), auth.MinSecretBytes)}

func testOptions(t *testing.T) broker.Options {
	t.Helper()
	o, err := options(secret)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func testPublisher(t *testing.T, url string, secret ticket.Secret) *publisher {
	t.Helper()
	p, err := newPublisher(url, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// userTicket returns a ticket for a page's user.
func userTicket(t *testing.T) string {
	t.Helper()
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{Signed: true, Secrets: []ticket.Secret{secret}})
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := tickets.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "ann"}})
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Value
}

// dialPage connects as a page does.
func dialPage(t *testing.T, srv *brokertest.Server, ticket string) *client.Conn {
	t.Helper()
	conn, err := client.Dial(t.Context(), srv.URL+"?ticket="+ticket, client.Options{Header: http.Header{"Origin": {srv.HTTP.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Abort)
	if user := conn.Header().Get("user-name"); user != "ann" {
		t.Fatalf("connected as %q", user)
	}
	return conn
}

// A job that panics and one that never ends affect neither the broker nor other
// jobs.
func TestS13Jobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, testOptions(t))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/topic/clock")
		var panics, hangs, global int
		start(ctx, b,
			job{name: "panics", every: time.Second, topic: "/topic/clock", run: func(context.Context) ([]byte, error) { panics++; panic("boom") }},
			job{name: "hangs", every: time.Second, run: func(ctx context.Context) ([]byte, error) { hangs++; <-ctx.Done(); return nil, ctx.Err() }},
			job{name: "fails", every: time.Second, run: func(context.Context) ([]byte, error) { return nil, errors.New("no") }},
			job{name: "clock", every: 3 * time.Second, topic: "/topic/clock", run: clock},
			job{name: "global", every: 2 * time.Second, run: func(context.Context) ([]byte, error) { global++; return nil, nil }},
		)
		want := time.Now()
		for range 3 {
			want = want.Add(3 * time.Second)
			if m := c.Expect(t, "MESSAGE"); !time.Now().Equal(want) || string(m.Body) != want.Format(time.TimeOnly) {
				t.Fatalf("at %v came %q, want %v", time.Now(), m.Body, want)
			}
		}
		synctest.Wait()
		if panics != 9 || hangs != 1 || global != 4 {
			t.Errorf("%d panics, %d begun without an end, %d turns of the global job", panics, hangs, global)
		}
	})
}

// Every subscriber gets the backend's messages; a page that tries to send is
// denied.
func TestS14Maintenance(t *testing.T) {
	srv := brokertest.Start(t, testOptions(t))
	page := dialPage(t, srv, userTicket(t))
	first, err := page.Subscribe("/topic/maintenance", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	anonymous := srv.Connect(t)
	anonymous.Subscribe(t, "1", "/topic/**")
	brokertest.Eventually(t, "both listen", func() bool { return srv.Broker.Stats().Subscriptions == 2 })

	const message = `{"isOn":true,"userId":1}`
	if err := testPublisher(t, srv.URL, secret).Publish(t.Context(), "/topic/maintenance", []byte(message)); err != nil {
		t.Fatal(err)
	}
	if m := testkit.Receive(t, first.C); m.Err != nil || string(m.Body) != message || m.ContentType != "application/json" {
		t.Errorf("the page got %+v", m)
	}
	if m := anonymous.Expect(t, "MESSAGE"); string(m.Body) != message {
		t.Errorf("the other got %q", m.Body)
	}

	if err := page.Send("/topic/maintenance", "application/json", []byte(`{"isOn":false}`), stomp.SendOpt.Receipt); err == nil {
		t.Error("a page may send")
	}
	testkit.Receive(t, page.Done())
	var closed *client.CloseError
	if !errors.As(page.Err(), &closed) || closed.Code != broker.ReasonDenied.CloseCode() {
		t.Errorf("it was refused with %v", page.Err())
	}
	if seen := anonymous.Sync(t); len(seen) > 0 {
		t.Errorf("it arrived all the same: %v", seen)
	}
}

// Failures are returned, and checking whether the broker can be reached uses no
// user's ticket.
func TestS15Publisher(t *testing.T) {
	srv := brokertest.Start(t, testOptions(t))
	p := testPublisher(t, srv.URL, secret)
	page := userTicket(t)
	for range 3 {
		if err := p.Connected(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := srv.Broker.Stats().Opened; n != 1 {
		t.Errorf("%d connections for three checks", n)
	}
	dialPage(t, srv, page)

	if err := p.Publish(t.Context(), "/user/ann/queue/news", nil); err == nil || !strings.Contains(err.Error(), "not allowed to send") {
		t.Errorf("where it may not send: %v", err)
	}
	if err := p.Publish(t.Context(), "/topic/a", nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}

	wrong := testPublisher(t, srv.URL, ticket.Secret{ID: "main", Key: bytes.Repeat([]byte("x"), auth.MinSecretBytes)})
	var answer *client.HTTPError
	if err := wrong.Connected(t.Context()); !errors.As(err, &answer) || answer.Status != http.StatusUnauthorized {
		t.Errorf("S-5 with another secret: %v", err)
	}
	if _, err := newPublisher(srv.URL, ticket.Secret{ID: "main"}); err == nil {
		t.Error("S-5 without a secret: no error")
	}

	if err := srv.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the check says that the broker is gone", func() bool { return p.Connected(t.Context()) != nil })
	if err := p.Publish(t.Context(), "/topic/a", nil); err == nil {
		t.Error("published to a broker that is gone")
	}
}
