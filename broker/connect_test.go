package broker_test

import (
	"context"
	"errors"
	"regexp"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestConnectVersions(t *testing.T) {
	const missing = "-"
	for _, tc := range []struct{ name, accept, version string }{
		{"trap 16: missing means 1.0", missing, "1.0"},
		{"only 1.0", "1.0", "1.0"},
		{"only 1.1", "1.1", "1.1"},
		{"only 1.2", "1.2", "1.2"},
		{"trap 17: the highest, in any order", "1.1,1.2,1.0", "1.2"},
		{"trap 17: items are trimmed", " 1.0 , 1.1 ", "1.1"},
		{"C-9: what stompjs 2.3 offers", "1.1,1.0", "1.1"},
		{"unknown ones do not count", "0.9,1.1,2.0", "1.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := brokertest.Dial(brokertest.New(t, broker.Options{}))
			t.Cleanup(c.Close)
			var headers []string
			if tc.accept != missing {
				headers = []string{"accept-version", tc.accept}
			}
			c.Send("CONNECT", "", headers...)
			wantHeaders(t, c.Expect(t, "CONNECTED"), "version", tc.version)
		})
	}
}

func TestConnectWithoutCommonVersion(t *testing.T) {
	for _, accept := range []string{"2.0", "0.9,1.3", "", "1", "1.20"} {
		t.Run(accept, func(t *testing.T) {
			c := brokertest.Dial(brokertest.New(t, broker.Options{}))
			t.Cleanup(c.Close)
			c.Send("CONNECT", "", "accept-version", accept)
			e := wantError(t, c, 1002, "1.0,1.1,1.2")
			wantHeaders(t, e, "version", "1.0,1.1,1.2")
		})
	}
}

func TestConnectedHeaders(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		for _, command := range []string{"CONNECT", "STOMP"} { // C-11
			t.Run(command+version, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Server: "hoofbeat/test"})
				c := brokertest.Dial(b)
				t.Cleanup(c.Close)
				// Neither a host (C-1, trap 18) nor a heart-beat, and a header nobody knows (C-7).
				c.Send(command, "", "accept-version", version, "login", "alice", "X-CSRF-TOKEN", "t")
				f := c.Expect(t, "CONNECTED")
				wantHeaders(t, f, "version", version, "heart-beat", "10000,10000", "server", "hoofbeat/test", "user-name", "alice")
				if id := f.Get("session"); !regexp.MustCompile(`^[a-p][a-z2-7]{31}$`).MatchString(id) {
					t.Errorf("session:%s is not a node and 128 bits (C-10)", id)
				}
				if f.Body != nil {
					t.Errorf("CONNECTED has a body: %q", f.Body)
				}
			})
		}
	}
}

func TestConnectedHeadersVary(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	headers := func(login ...string) (session, server, user string, named bool) {
		c := brokertest.Dial(b)
		t.Cleanup(c.Close)
		c.Send("CONNECT", "", append([]string{"accept-version", "1.2", "heart-beat", "0,0"}, login...)...)
		f := c.Expect(t, "CONNECTED")
		wantHeaders(t, f, "heart-beat", "10000,10000") // trap 22: the broker's own pair, not the result
		user, named = f.Lookup("user-name")
		return f.Get("session"), f.Get("server"), user, named
	}
	first, server, user, _ := headers("login", "bob")
	if server != "hoofbeat" || user != "bob" {
		t.Errorf("server:%s user-name:%s", server, user)
	}
	second, _, user, named := headers()
	if named {
		t.Errorf("an anonymous client has user-name:%q", user)
	}
	if first == second {
		t.Error("two sessions have the same id")
	}
}

func TestConnectedHeartBeatIsZeroWhenOff(t *testing.T) {
	o := broker.Options{}
	o.HeartBeat.Send, o.HeartBeat.Receive = -1, -1
	c := brokertest.Dial(brokertest.New(t, o))
	t.Cleanup(c.Close)
	c.Send("CONNECT", "", "accept-version", "1.1")
	wantHeaders(t, c.Expect(t, "CONNECTED"), "heart-beat", "0,0") // C-2: never missing
}

func TestSecondConnect(t *testing.T) {
	for _, command := range []string{"CONNECT", "STOMP"} {
		t.Run(command, func(t *testing.T) {
			c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
			c.Send(command, "", "accept-version", "1.2")
			wantError(t, c, 1002, "already connected")
		})
	}
}

func TestFrameBeforeConnect(t *testing.T) {
	for _, command := range []string{
		"SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT",
		"MESSAGE", "CONNECTED", "RECEIPT", "ERROR",
	} {
		t.Run(command, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			other := brokertest.Connect(t, b)
			other.Subscribe(t, "s", "/topic/a")
			c := brokertest.Dial(b)
			t.Cleanup(c.Close)
			c.Send(command, "early", "destination", "/topic/a", "id", "1")
			wantError(t, c, 1008, "authentication required")
			wantMessages(t, other)
		})
	}
}

func TestServerCommandFromClient(t *testing.T) { // trap 39
	for _, command := range []string{"MESSAGE", "CONNECTED", "RECEIPT", "ERROR"} {
		t.Run(command, func(t *testing.T) {
			c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
			c.Send(command, "")
			wantError(t, c, 1002, command)
		})
	}
}

func TestZeroOptionsRefuseEveryConnect(t *testing.T) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Send("CONNECT", "", "accept-version", "1.2", "login", "admin", "passcode", "admin")
	wantError(t, c, 1008, "authentication failed")
}

func TestAuthenticatorRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, message string
		answer        auth.AuthenticatorFunc
	}{
		{"a refusal tells its reason", "the ticket was used", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return nil, &auth.Refusal{Reason: "the ticket was used"}
		}},
		{"a refusal without one", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return nil, &auth.Refusal{}
		}},
		{"any other error is not told", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return nil, errors.New("ldap on 10.0.0.1 is down")
		}},
		{"no credential", "authentication failed: no credential was sent, and this broker requires one: a login with its passcode, a bearer token or a ticket", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return nil, auth.ErrNotMine
		}},
		{"no principal", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return nil, nil
		}},
		{"a panic", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			panic("secret")
		}},
		{"a name that would inject a header", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: "eve\nuser-name:admin"}, nil
		}},
		{"a name of spaces", "authentication failed", func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: "  "}, nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authenticator: tc.answer})
			c := brokertest.Dial(b)
			t.Cleanup(c.Close)
			c.Send("CONNECT", "", "accept-version", "1.2")
			if e := wantError(t, c, 1008, ""); e.Get("message") != tc.message {
				t.Errorf("the client was told %q, want %q", e.Get("message"), tc.message)
			}
			if st := b.Stats(); st.AuthFailures != 1 || st.Sessions != 0 || st.Ended["refused"] != 1 {
				t.Errorf("stats are %+v", st)
			}
		})
	}
}

func TestAuthenticatorSeesTheAttempt(t *testing.T) {
	got := make(chan auth.Attempt, 1)
	b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		c := *a
		c.Login += a.Header("X-CSRF-TOKEN") // the function is good only now
		got <- c
		return &auth.Principal{Name: "alice"}, nil
	})})
	c := brokertest.Connect(t, b, "login", "al", "passcode", "pw:\\n", "host", "example.com", "X-CSRF-TOKEN", "+t")
	a := testkit.Receive(t, got)
	if a.Stage != auth.StageConnect || a.Login != "al+t" || a.Host != "example.com" || a.Session != c.Session || a.Handshake != nil {
		t.Errorf("the authenticator saw %v for session %s", a, c.Session)
	}
	if a.Passcode != `pw:\n` { // trap 10: CONNECT is never unescaped
		t.Errorf("passcode %q", a.Passcode)
	}
}

// pipelined returns CONNECT and three frames behind it, in one chunk.
func pipelined() []byte {
	return encode(
		frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0"),
		frame("SUBSCRIBE", "", "id", "own", "destination", "/topic/own", "receipt", "1"),
		frame("SEND", "to myself", "destination", "/topic/own"),
		frame("SEND", "to others", "destination", "/topic/a", "receipt", "2"),
	)
}

// slowAuthenticator answers when it is told to.
func slowAuthenticator(t *testing.T, called chan<- struct{}, answer <-chan error) auth.Authenticator {
	return auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Login == "fast" {
			return &auth.Principal{}, nil
		}
		called <- struct{}{}
		if err := testkit.Hold(t, answer); err != nil {
			return nil, err
		}
		return &auth.Principal{Name: "slow"}, nil
	})
}

func TestPipelinedFramesWaitForTheAuthenticator(t *testing.T) { // trap 19
	called, answer := make(chan struct{}), make(chan error)
	b := brokertest.New(t, broker.Options{Authenticator: slowAuthenticator(t, called, answer), ConnectDeadline: -1})
	other := brokertest.Connect(t, b, "login", "fast")
	other.Subscribe(t, "s", "/topic/a")

	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write(pipelined())
	c.Write(encode(frame("SEND", "in a second chunk", "destination", "/topic/a", "receipt", "3")))
	testkit.Receive(t, called)
	wantMessages(t, other)
	if st := b.Stats(); st.Sessions != 1 || st.Sockets != 2 || st.Subscriptions != 1 {
		t.Errorf("while the authenticator thinks: %+v", st)
	}
	answer <- nil
	wantHeaders(t, c.Expect(t, "CONNECTED"), "user-name", "slow")
	c.ExpectReceipt(t, "1")
	expectMessage(t, c, "to myself")
	c.ExpectReceipt(t, "2")
	c.ExpectReceipt(t, "3")
	wantMessages(t, other, "to others", "in a second chunk")
}

func TestPipelinedFramesNeverRunWhenRefused(t *testing.T) { // trap 19
	called, answer := make(chan struct{}), make(chan error)
	b := brokertest.New(t, broker.Options{Authenticator: slowAuthenticator(t, called, answer)})
	other := brokertest.Connect(t, b, "login", "fast")
	other.Subscribe(t, "s", "/topic/a")

	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write(pipelined())
	testkit.Receive(t, called)
	c.Write(encode(frame("SEND", "in a second chunk", "destination", "/topic/a")))
	answer <- &auth.Refusal{Reason: "no"}
	wantError(t, c, 1008, "no")
	wantMessages(t, other)
}

func TestDisconnect(t *testing.T) { // trap 38
	t.Run("without a receipt", func(t *testing.T) { // C-5
		c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
		c.Send("DISCONNECT", "")
		wantEnd(t, c, 1000)
		if err := c.Ended(t); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	t.Run("with a receipt, and frames behind it that never run", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		other := brokertest.Connect(t, b)
		other.Subscribe(t, "s", "/topic/a")
		c := brokertest.Connect(t, b)
		c.Write(encode(frame("DISCONNECT", "", "receipt", "bye"), frame("SEND", "late", "destination", "/topic/a")))
		c.ExpectReceipt(t, "bye")
		wantEnd(t, c, 1000)
		wantMessages(t, other)
	})
}

// A credential that no authenticator knows is named by its kind, so that its
// owner learns what this broker does not accept.
func TestUnknownKindOfCredentialIsNamed(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
		return nil, auth.ErrNotMine
	})})
	for _, tc := range []struct{ header, value, want string }{
		{"ticket", "s3cret", "a ticket"},
		{"Authorization", "Bearer s3cret", "a bearer token"},
		{"login", "ann", "a login"},
	} {
		c := brokertest.Dial(b)
		t.Cleanup(c.Close)
		c.Send("CONNECT", "", "accept-version", "1.2", tc.header, tc.value)
		want := "authentication failed: this broker accepts no credential of this kind: " + tc.want
		if e := wantError(t, c, 1008, ""); e.Get("message") != want {
			t.Errorf("%s: the client was told %q, want %q", tc.header, e.Get("message"), want)
		}
	}
}
