package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

func TestBootstrap(t *testing.T) { // N-7
	for name, nodes := range map[string][]broker.Node{
		"alone": nil,
		"three": {{ID: "a", URL: "wss://a.example/ws"}, {ID: "b", URL: "wss://b.example/ws"}, {ID: "c", URL: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			nothing, err := auth.NewRules() // one's own business needs no rule
			if err != nil {
				t.Fatal(err)
			}
			b := brokertest.New(t, broker.Options{Node: "b", Nodes: nodes, Authorizer: nothing})
			c := brokertest.Connect(t, b, "login", "alice")
			c.Send("SUBSCRIBE", "", "id", "boot", "destination", "/app/bootstrap", "receipt", "r")
			c.ExpectReceipt(t, "r")
			m := c.Expect(t, "MESSAGE")
			wantHeaders(t, m, "subscription", "boot", "destination", "/app/bootstrap", "content-type", "application/json")
			want := `{"user":"alice","node":"b","nodes":[]}`
			if nodes != nil {
				want = `{"user":"alice","node":"b","nodes":[{"id":"a","url":"wss://a.example/ws","attached":false},` +
					`{"id":"b","url":"wss://b.example/ws","attached":true},{"id":"c","url":"","attached":false}]}`
			}
			if string(m.Body) != want {
				t.Errorf("the answer is %s, want %s", m.Body, want)
			}
			if seen := c.Sync(t); seen != nil {
				t.Errorf("it was answered more than once: %v", seen)
			}
		})
	}
}

// What every session may do with its own notices says nothing about handlers
// that happen to have such a name: a SEND there needs a rule.
func TestOwnBusinessIsNoWayAroundTheRules(t *testing.T) {
	nothing, err := auth.NewRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range [][2]string{
		{"SEND", "/user/topic/session"}, {"SEND", "/user/queue/errors"}, {"SEND", "/user/topic/errors"},
		{"SEND", "/app/session"}, {"SEND", "/app/errors"}, {"SUBSCRIBE", "/app/session"},
	} {
		t.Run(tc[0]+tc[1], func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authorizer: nothing})
			var called atomic.Bool
			for _, path := range []string{"/app/session", "/app/errors"} {
				handle(t, b, path, func(context.Context, *broker.Request) error { called.Store(true); return nil })
			}
			c := brokertest.Connect(t, b, "login", "mallory")
			c.Send(tc[0], "", "id", "1", "destination", tc[1], "receipt", "r")
			wantError(t, c, 4403, "not allowed")
			if called.Load() {
				t.Error("the handler ran without a rule")
			}
		})
	}
}

// N-3, N-5: nothing before CONNECTED, one try, and every text is constant.
func TestOneTryPerSocket(t *testing.T) {
	var tries atomic.Int32
	b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		tries.Add(1)
		if a.Passcode == "right" {
			return &auth.Principal{Name: a.Login}, nil
		}
		return nil, fmt.Errorf("no user %s with passcode %s", a.Login, a.Passcode)
	})})
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write(encode(
		frame("CONNECT", "", "accept-version", "1.2", "login", "alice", "passcode", "s3cret"),
		frame("CONNECT", "", "accept-version", "1.2", "login", "alice", "passcode", "right"),
		frame("SEND", "", "destination", "/topic/a"),
	))
	e := wantError(t, c, 1008, "authentication failed")
	for _, h := range e.Headers {
		if strings.Contains(h.Value, "s3cret") || strings.Contains(h.Value, "alice") {
			t.Errorf("the ERROR tells %s:%s", h.Name, h.Value)
		}
	}
	if tries.Load() != 1 {
		t.Errorf("%d tries on one socket", tries.Load())
	}
}

func TestNothingIsSentBeforeConnected(t *testing.T) { // N-5
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(100*time.Millisecond, 100*time.Millisecond), PingInterval: 100 * time.Millisecond})
		p := pipe(t, b, ws)
		publish(t, b, "/topic/a", "x")
		if seen := p.listen(t, 4500*time.Millisecond); len(seen) > 0 {
			t.Errorf("before CONNECT came %v", seen)
		}
	})
}

// N-11: the handshake's credential is bound to its user, also when CONNECT
// carries nothing that an authenticator knows.
func TestConnectCannotChangeTheUser(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Ticket == "of alice" {
			return &auth.Principal{Name: "alice"}, nil
		}
		return nil, auth.ErrNotMine
	})})
	open := func() *peer {
		_, p := handshake(t, srv, "/ws?ticket=of+alice")
		return p
	}
	if p := open(); true {
		p.send(t, "CONNECT", "", "accept-version", "1.2", "login", "alice")
		if e := p.want(t, "CONNECTED"); e.f.Get("user-name") != "alice" {
			t.Errorf("got %v", e)
		}
	}
	p := open()
	p.send(t, "CONNECT", "", "accept-version", "1.2", "login", "bob")
	if e := p.next(t); e.what != "ERROR" {
		t.Fatalf("CONNECT of another user was answered with %v", e)
	}
	p.wantClosed(t, 1008)
}

// What other brokers had to mend, as far as no other test is about it.
func TestSecurityHistory(t *testing.T) {
	t.Run("headers of UNSUBSCRIBE delete no queue", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		publish(t, b, "/queue/a", "kept")
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/queue/a", "ack", "client", "durable", "true", "auto-delete", "true")
		expectMessage(t, c, "kept")
		c.Send("UNSUBSCRIBE", "", "id", "1", "destination", "/queue/a", "durable", "true", "auto-delete", "true", "x-queue-name", "a")
		c.Sync(t)
		c.Subscribe(t, "2", "/queue/a")
		expectMessage(t, c, "kept")
	})
	t.Run("no compression to bomb with", func(t *testing.T) {
		srv := brokertest.Start(t, broker.Options{})
		res, p := handshake(t, srv, "/ws", "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
		if got := res.Header.Get("Sec-WebSocket-Extensions"); res.StatusCode != 101 || got != "" {
			t.Errorf("%s with extensions %q", res.Status, got)
		}
		p.raw(t, append(webSocketHeader(0xc0|opText, 4), masked([]byte{1, 2, 3, 4})...))
		p.want(t, "ERROR")
		p.wantClosed(t, 1002)
	})
	t.Run("a selector runs nothing", func(t *testing.T) { // CVE-2018-1270
		for _, o := range []broker.Options{{}, {Selector: selector.Compile}} {
			for _, expression := range []string{
				"T(java.lang.Runtime).getRuntime().exec('x')", "headers.foo == T(java.lang.Runtime).getRuntime().exec('x')",
				"headers.foo == 'a' or now().String() == 'x'", "any(1..1000000000, true)",
			} {
				c := brokertest.Connect(t, brokertest.New(t, o))
				c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "selector", expression, "receipt", "r")
				if e := c.Expect(t, "ERROR"); !strings.HasPrefix(e.Get("message"), "selector header: ") {
					t.Errorf("%s was refused with %q", expression, e.Get("message"))
				}
			}
		}
	})
	t.Run("internal names of other brokers reach nobody", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		victim := brokertest.Connect(t, b, "login", "alice")
		victim.Subscribe(t, "1", "/user/queue/a")
		mallory := brokertest.Connect(t, b, "login", "mallory")
		for _, destination := range []string{
			"/queue/a-user" + victim.Session, "/topic/a-user" + victim.Session, "/topic/simp-user-registry", "/topic/unresolved-user-destination",
			"/topic/user/alice/queue/a", "/queue/user/alice/queue/a",
		} {
			send(t, mallory, destination, "forged", "simpSessionId", victim.Session, "simpUser", "alice", "simpOrigDestination", "/user/queue/a", "simpSubscriptionId", "1")
		}
		wantMessages(t, victim)
	})
}
