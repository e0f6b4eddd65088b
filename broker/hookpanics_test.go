package broker_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// record is a log that can be read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// thisHookPanics is the name that has to be in the stack.
func thisHookPanics() { panic("hunter2") }

// Whatever code of the program panics, the log has an ERROR with the stack, and
// the client is not told.
func TestEveryHookPanicIsLoggedWithItsStack(t *testing.T) {
	connect := func(o broker.Options) func(t *testing.T, log *slog.Logger) {
		return func(t *testing.T, log *slog.Logger) {
			o.Logger = log
			c := brokertest.Dial(newBroker(t, o))
			defer c.Close()
			c.Send("CONNECT", "", "accept-version", "1.2")
			c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "selector", "a = 1")
			for {
				f, err := c.Receive()
				if err != nil {
					return
				}
				if strings.Contains(f.Get("message"), "hunter2") {
					t.Errorf("the client was told %q", f.Get("message"))
				}
			}
		}
	}
	with := func(f func(t *testing.T, b *broker.Broker)) func(t *testing.T, log *slog.Logger) {
		return func(t *testing.T, log *slog.Logger) { f(t, newBroker(t, broker.Options{Logger: log})) }
	}
	settled := func(how string) func(*testing.T, *slog.Logger) {
		return with(func(t *testing.T, b *broker.Broker) {
			c := brokertest.Connect(t, b, "login", "ann")
			c.Subscribe(t, "s", "/user/queue/a", "ack", "client")
			m := &broker.Message{Destination: "/queue/a", Settled: func(string, broker.Outcome) { thisHookPanics() }}
			if _, err := b.PublishToUser(t.Context(), "ann", m); err != nil {
				t.Fatal(err)
			}
			f := c.Expect(t, "MESSAGE")
			c.Send(how, "", "id", map[bool]string{true: "s", false: f.Get("ack")}[how == "UNSUBSCRIBE"])
			c.Sync(t)
		})
	}
	consumer := func(destination string) func(*testing.T, *slog.Logger) {
		return with(func(t *testing.T, b *broker.Broker) {
			called := make(chan struct{}, 100)
			s, err := b.Subscribe(t.Context(), destination, broker.SubscribeOptions{}, func(context.Context, *broker.Message) error {
				called <- struct{}{}
				thisHookPanics()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			publish(t, b, destination, "x")
			testkit.Receive(t, called)
			s.Cancel()
			testkit.Receive(t, s.Done())
		})
	}
	handler := func(command string) func(*testing.T, *slog.Logger) {
		return with(func(t *testing.T, b *broker.Broker) {
			handle(t, b, "/a", func(context.Context, *broker.Request) error { thisHookPanics(); return nil })
			c := brokertest.Connect(t, b)
			c.Send(command, "", "id", "1", "destination", "/app/a")
			wantError(t, c, 1011, "internal error")
		})
	}
	for name, run := range map[string]func(t *testing.T, log *slog.Logger){
		"Authenticator": connect(broker.Options{Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			thisHookPanics()
			return nil, nil
		})}),
		"Authorizer": connect(broker.Options{Authorizer: auth.AuthorizerFunc(func(context.Context, *auth.Principal, auth.Action, string) error {
			thisHookPanics()
			return nil
		})}),
		"Authorizer that never blocks": connect(broker.Options{Authorizer: fromMemory{func(context.Context, *auth.Principal, auth.Action, string) error {
			thisHookPanics()
			return nil
		}}}),
		"Selector": connect(broker.Options{Selector: func(string) (func(*broker.Message) bool, error) {
			thisHookPanics()
			return nil, nil
		}}),
		"match of a Selector": func(t *testing.T, log *slog.Logger) {
			b := newBroker(t, broker.Options{Logger: log, Selector: func(string) (func(*broker.Message) bool, error) {
				return func(*broker.Message) bool { thisHookPanics(); return true }, nil
			}})
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "1", "/topic/a", "selector", "a = 1")
			publish(t, b, "/topic/a", "x")
			wantMessages(t, c)
		},
		"Observer": with(func(t *testing.T, b *broker.Broker) {
			b.Observe(broker.Observer{Connected: func(broker.SessionInfo) { thisHookPanics() }})
			brokertest.Connect(t, b).Sync(t)
		}),
		"Settled by ACK": settled("ACK"), "Settled by UNSUBSCRIBE": settled("UNSUBSCRIBE"),
		"consumer of a topic": consumer("/topic/a"), "consumer of a queue": consumer("/queue/a"),
		"handler of SEND": handler("SEND"), "handler of SUBSCRIBE": handler("SUBSCRIBE"),
	} {
		t.Run(name, func(t *testing.T) {
			var log record
			run(t, slog.New(slog.NewTextHandler(&log, nil)))
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "level=ERROR") && strings.Contains(line, "hunter2") && strings.Contains(line, "thisHookPanics") {
					return
				}
			}
			t.Errorf("no ERROR with the stack in the log:\n%s", log.String())
		})
	}
}
