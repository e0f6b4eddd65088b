package bench

import (
	"context"
	"fmt"

	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// newServer lets clients send to the queue bench of other users.
func newServer(t *testing.T, o broker.Options) *brokertest.Server {
	t.Helper()
	rules, err := auth.Open().Prepend(auth.Rule{
		Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/user/*/queue/bench", AnyUser: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Authorizer == nil {
		o.Authorizer = rules
	}
	return brokertest.Start(t, o)
}

func scenarios() map[string]Scenario {
	return map[string]Scenario{
		"fanout":            &Fanout{Subscribers: 5, Publishers: 2, Window: 16},
		"fanout at a rate":  &Fanout{Subscribers: 3, Rate: 200},
		"slow":              &Fanout{Subscribers: 3, Stalled: 1, Rate: 100},
		"pairs":             &Pairs{Pairs: 3, Window: 4},
		"pairs at a rate":   &Pairs{Pairs: 3, Rate: 200},
		"users":             &Users{Users: 3, Publishers: 2, Window: 8},
		"queues":            &Queues{Producers: 2, Consumers: 3, Window: 32},
		"queues client":     &Queues{Producers: 2, Consumers: 3, Window: 32, Ack: "client"},
		"queues auto":       &Queues{Producers: 2, Consumers: 3, Window: 32, Ack: "auto"},
		"receipts":          &Receipts{Clients: 3},
		"receipts window":   &Receipts{Clients: 2, Window: 10},
		"connect":           &Connect{},
		"connect cycle":     &Connect{Cycle: true},
		"idle":              &Idle{Clients: 10, Heartbeat: 100 * time.Millisecond},
		"idle unsubscribed": &Idle{Clients: 10, Heartbeat: -1, Unsubscribed: true},
		"history":           &History{Subscribers: 3, Window: 16},
	}
}

func TestScenarios(t *testing.T) {
	s := newServer(t, keeping(100))
	for transport, url := range map[string]string{"WebSocket": s.URL, "TCP": "tcp://" + s.TCP} {
		for name, scenario := range scenarios() {
			t.Run(name+" over "+transport, func(t *testing.T) {
				t.Parallel()
				c := brief(url)
				c.Warmup, c.Parallel, c.Size = 100*time.Millisecond, 4, 40
				if runtime.GOOS == "linux" {
					c.ServerPID, c.Sources = os.Getpid(), 3
				}
				if strings.HasPrefix(name, "connect") {
					c.Duration = time.Second
				}
				r, err := Run(t.Context(), c, scenario)
				// On a machine that others have taken, nothing may happen in so
				// short a time.
				for more := 0; err == nil && more < 5 && (r.Count == 0 || r.Idle != nil && r.Idle.HeartbeatsSent == 0); more++ {
					c.Duration *= 2
					r, err = Run(t.Context(), c, scenario)
				}
				if err != nil {
					t.Fatal(err)
				}
				if r.Verdict != "PASS" || r.Scenario != strings.Fields(name)[0] || r.Count == 0 || r.Seconds == 0 || r.PerSecond == 0 || r.Latency == nil {
					t.Fatalf("%+v", r)
				}
				if l := r.Latency; l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
					t.Errorf("latency %+v", l)
				}
				if name != "connect" && r.Idle == nil && (r.Check == nil || r.Check.Expected == 0 || r.Check.Received != r.Check.Expected) {
					t.Errorf("check %+v", r.Check)
				}
				if runtime.GOOS == "linux" && (r.Server == nil || r.Server.RSSAfter == 0) {
					t.Errorf("server %+v", r.Server)
				}
				switch name {
				case "slow":
					if r.Stalled == nil || r.Stalled.Subscribers != 1 {
						t.Errorf("stalled %+v", r.Stalled)
					}
				case "idle":
					if r.Idle.HeartbeatsSent == 0 {
						t.Errorf("idle %+v", r.Idle)
					}
				case "fanout at a rate":
					if r.GeneratorLag == nil || r.Window != 0 || r.Rate != 200 {
						t.Errorf("%+v", r)
					}
				}
			})
		}
	}
}

func TestTLS(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	hs := httptest.NewTLSServer(b)
	t.Cleanup(hs.Close)
	c := brief("wss" + strings.TrimPrefix(hs.URL, "https") + "/ws")
	if _, err := Run(t.Context(), c, &Fanout{Subscribers: 2, Rate: 100}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	c.TLS = hs.Client().Transport.(*http.Transport).TLSClientConfig
	r, err := Run(t.Context(), c, &Fanout{Subscribers: 2, Rate: 100})
	if err != nil || !r.Passed() {
		t.Errorf("%v, %v", r, err)
	}
}

// A server disconnects a stalled client when its buffers are full: the others go
// on.
func TestStalledIsDisconnected(t *testing.T) {
	t.Parallel()
	s := newServer(t, broker.Options{})
	c := brief(s.URL)
	c.Size, c.Duration = 60_000, 3*time.Second // a hundred of them are more than sockets and outbox take
	for {
		r, err := Run(t.Context(), c, &Fanout{Subscribers: 3, Stalled: 1, Window: 2})
		if err != nil {
			t.Fatal(err)
		}
		few := r.Check.Expected < 2*150 // a busy machine sends fewer
		if few && r.Stalled.Ended == 0 && c.Duration < time.Minute {
			c.Duration *= 2
			continue
		}
		if r.Stalled.Ended != 1 || r.Stalled.Received == 0 || r.Check.Lost != 0 || !r.Passed() {
			t.Errorf("%v: %+v, %v, %q", c.Duration, r.Stalled, r.Check, r.Failures)
		}
		return
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t, broker.Options{Authorizer: auth.Open(), Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Login == "eve" {
			return nil, &auth.Refusal{Status: 401, Reason: "login or passcode refused"}
		}
		return auth.TrustLogin.Authenticate(ctx, a)
	})})
	var refused *client.RefusedError
	var denied *client.ErrorFrame
	var status *client.HTTPError
	for _, c := range []struct {
		name     string
		url      string
		login    string
		scenario Scenario
		as       any
		says     string
	}{
		{"credential", s.URL, "eve", &Fanout{Subscribers: 2}, &refused, "server refused CONNECT: login or passcode refused"},
		{"credential over TCP", "tcp://" + s.TCP, "eve", &Receipts{Clients: 1}, &refused, "server refused CONNECT: login or passcode refused"},
		{"credential when connecting", s.URL, "eve", &Connect{}, &refused, "server refused CONNECT"},
		{"other users", s.URL, "", &Users{Users: 2}, &denied, "not allowed to send"},
		{"nothing there", s.URL + "x", "", &Idle{Clients: 2}, &status, "HTTP 404"},
		{"nobody there", "tcp://127.0.0.1:1", "", &Pairs{Pairs: 1}, nil, "connection refused"},
		{"no STOMP there", "tcp" + strings.TrimPrefix(s.HTTP.URL, "http"), "", &Pairs{Pairs: 1}, nil, "the server does not speak STOMP"},
	} {
		conf := brief(c.url)
		conf.Login = c.login
		r, err := Run(t.Context(), conf, c.scenario)
		if err == nil || !strings.Contains(err.Error(), c.says) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s: %+v, %v, want %q", c.name, r, err, c.says)
		}
	}
}

// A server that goes away in the middle makes a FAIL that says so, and soon.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	s := newServer(t, broker.Options{})
	s.Broker.Observe(broker.Observer{Subscribed: func(broker.SessionInfo, string, string) {
		time.AfterFunc(500*time.Millisecond, func() { _ = s.Broker.Close() })
	}})
	c := brief(s.URL)
	c.Duration = time.Minute
	r, err := Run(t.Context(), c, &Fanout{Subscribers: 1, Rate: 100})
	if err != nil {
		return // it went before the first message
	}
	if r.Passed() || !strings.Contains(strings.Join(r.Failures, "\n"), "ended: ") || r.Seconds > 50 {
		t.Errorf("%v s, %q", r.Seconds, r.Failures)
	}
}

func TestInterrupted(t *testing.T) {
	s := newServer(t, keeping(100))
	for name, scenario := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := brief(s.URL)
			c.Duration = 10 * time.Minute
			c.Progress = NewProgress(writerFunc(func(p []byte) {
				if strings.HasPrefix(string(p), "measuring") || strings.HasPrefix(string(p), "holding") {
					time.AfterFunc(300*time.Millisecond, cancel)
				}
			}), false)
			r, err := Run(ctx, c, scenario)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Interrupted || !r.Passed() || r.Seconds == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, brief(s.URL), &Fanout{}); !errors.Is(err, ErrInterrupted) {
		t.Errorf("before it began: %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		change   func(*Config)
		scenario Scenario
		says     string
	}{
		{nil, &Fanout{Subscribers: -1}, "subscribers -1: want 1 to"},
		{nil, &Fanout{Subscribers: 3, Stalled: 3}, "3 stalled of 3 subscribers"},
		{nil, &Fanout{Rate: -1}, "rate -1"},
		{nil, &Pairs{Window: -1}, "window -1"},
		{nil, &Queues{Ack: "x"}, `ack "x": want auto`},
		{nil, &Receipts{Window: 1001}, "want at most 1000"},
		{nil, &Idle{Heartbeat: time.Millisecond}, "heartbeat 1ms"},
		{nil, &Idle{Clients: 900_000}, "ulimit -n 900032"},
		{func(c *Config) { c.Login = "ann" }, &Users{}, `login "ann": want a %d`},
		{func(c *Config) { c.Login = "a\nb" }, &Pairs{}, "login has a line end"},
		{func(c *Config) { c.Size = 31 }, &Pairs{}, "size 31: want 32"},
		{func(c *Config) { c.Duration = -1 }, &Pairs{}, "duration -1ns is not positive"},
		{func(c *Config) { c.URL = "http://127.0.0.1/" }, &Pairs{}, `URL scheme "http"`},
		{func(c *Config) { c.URL = "ws:///" }, &Pairs{}, "must have a host"},
		{func(c *Config) { c.URL = "ws://example.com/"; c.Sources = 2 }, &Pairs{}, "source addresses are for"},
		{func(c *Config) { c.ServerPID = -7 }, &Pairs{}, "process"},
	} {
		conf := brief("tcp://127.0.0.1:1")
		if c.change != nil {
			c.change(&conf)
		}
		_, err := Run(t.Context(), conf, c.scenario)
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

// Headers are in every SEND and SUBSCRIBE: the server refuses those that it does
// not like.
func TestHeaders(t *testing.T) {
	s := newServer(t, broker.Options{})
	for name, tc := range map[string]struct {
		scenario      Scenario
		header, value string
		refusal       string // "" for none
	}{
		"any":         {&Queues{Producers: 1, Consumers: 1}, "priority", "a:b\\c", ""},
		"SUBSCRIBE":   {&Queues{Producers: 1, Consumers: 1}, "activemq.exclusive", "true", "activemq.exclusive is not supported"},
		"SEND":        {&Fanout{Subscribers: 1}, "expires", "soon", "expires"},
		"a receipt's": {&Receipts{Clients: 1}, "expires", "soon", "expires"},
		"a cycle's":   {&Connect{Cycle: true}, "expires", "soon", "expires"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := brief(s.URL)
			c.Headers = [][2]string{{tc.header, tc.value}}
			r, err := Run(t.Context(), c, tc.scenario)
			text := fmt.Sprint(err)
			if r != nil {
				text += strings.Join(r.Failures, "\n")
			}
			if refused := err != nil || !r.Passed(); refused != (tc.refusal != "") || !strings.Contains(text, tc.refusal) {
				t.Errorf("%s, want %q", text, tc.refusal)
			}
		})
	}
}
