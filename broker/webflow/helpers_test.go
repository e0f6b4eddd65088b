package webflow_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	subRegistration  = "/user/topic/registration"
	subAuthorization = "/user/topic/authorization"
)

// credentials trusts CONNECT: its login, roles and scopes.
var credentials = auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageHandshake {
		return nil, auth.ErrNotMine
	}
	return &auth.Principal{
		Name:   a.Login,
		Roles:  strings.Fields(a.Header("roles")),
		Scopes: strings.Fields(a.Header("scopes")),
	}, nil
})

// start returns a broker with a Flow. Both are closed when the test ends.
func start(t testing.TB, o webflow.Options) (*broker.Broker, *webflow.Flow) {
	t.Helper()
	b := brokertest.New(t, broker.Options{Authenticator: credentials})
	f, err := webflow.New(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return b, f
}

// open announces an operation with the webSocketId "ws-" + id.
func open(t testing.TB, f *webflow.Flow, id string, owner webflow.Owner) {
	t.Helper()
	if _, err := f.Open(t.Context(), webflow.Operation{ID: id, WebSocketID: "ws-" + id, Owner: owner}); err != nil {
		t.Fatal(err)
	}
}

func user(name string) webflow.Owner { return webflow.Owner{User: name} }

var anyone = webflow.Owner{Anyone: true}

// client is a client that stores what it receives until the test asks for it,
// so that each of its actions is complete when the call returns.
type client struct {
	*brokertest.Client
	t    testing.TB
	seen []*frames.Frame
}

func connect(t testing.TB, b *broker.Broker, headers ...string) *client {
	t.Helper()
	return &client{Client: brokertest.Connect(t, b, headers...), t: t}
}

// do sends a frame and waits until it was handled.
func (c *client) do(command, body string, headers ...string) {
	c.t.Helper()
	c.Send(command, body, headers...)
	c.seen = append(c.seen, c.Sync(c.t)...)
}

func (c *client) subscribe(id, destination string, headers ...string) {
	c.t.Helper()
	c.do("SUBSCRIBE", "", append([]string{"id", id, "destination", destination}, headers...)...)
}

func (c *client) unsubscribe(id string) {
	c.t.Helper()
	c.do("UNSUBSCRIBE", "", "id", id)
}

func (c *client) register(webSocketID string, headers ...string) {
	c.t.Helper()
	c.do("SEND", `{"webSocketId":"`+webSocketID+`"}`, append([]string{"destination", "/app/registration"}, headers...)...)
}

func (c *client) ack(m *frames.Frame) {
	c.t.Helper()
	c.do("ACK", "", "id", m.Get("ack"))
}

func (c *client) nack(m *frames.Frame) {
	c.t.Helper()
	c.do("NACK", "", "id", m.Get("ack"))
}

// page connects a user with both subscriptions, the second with the ack mode.
func page(t testing.TB, b *broker.Broker, login, ack string) *client {
	t.Helper()
	c := connect(t, b, "login", login)
	c.subscribe("r", subRegistration)
	c.subscribe("a", subAuthorization, "ack", ack)
	return c
}

// stranger connects a client without a login.
func stranger(t testing.TB, b *broker.Broker, headers ...string) *client {
	t.Helper()
	c := connect(t, b, headers...)
	c.subscribe("r", subRegistration)
	c.subscribe("a", subAuthorization)
	return c
}

func accepted(id string) string {
	return subRegistration + ` {"webSocketId":"` + id + `","registrationSucceeded":true}`
}

func rejected(id string) string {
	return subRegistration + ` {"webSocketId":"` + id + `","registrationSucceeded":false}`
}

func superseded(id string) string {
	return subRegistration + ` {"webSocketId":"` + id + `","registrationSucceeded":false,"reason":"superseded"}`
}

func told(id, result string) string {
	return subAuthorization + ` {"webSocketId":"` + id + `","authResult":"` + result + `"}`
}

// want checks everything that c has received since the last call, and returns
// it.
func want(t testing.TB, c *client, messages ...string) []*frames.Frame {
	t.Helper()
	got := append(c.seen, c.Sync(t)...)
	c.seen = nil
	var texts []string
	for _, f := range got {
		text := f.Get("destination") + " " + string(f.Body)
		if f.Command != "MESSAGE" {
			text = f.Command + " " + f.Get("message")
		}
		texts = append(texts, text)
	}
	if !slices.Equal(texts, messages) {
		t.Fatalf("got\n  %s\nwant\n  %s", strings.Join(texts, "\n  "), strings.Join(messages, "\n  "))
	}
	return got
}

func wantHeaders(t testing.TB, f *frames.Frame, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := f.Get(pairs[i]); got != pairs[i+1] {
			t.Errorf("header %s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// notify reports a result and checks whether it was delivered at once.
func notify(t testing.TB, f *webflow.Flow, id, result string, delivered bool) {
	t.Helper()
	if got, err := f.Notify(t.Context(), id, result); err != nil || got != delivered {
		t.Fatalf("Notify(%s, %s) = %v, %v; want %v", id, result, got, err, delivered)
	}
}

// diary records the callbacks.
type diary struct {
	mu     sync.Mutex
	names  []string
	events []webflow.Event
}

func (d *diary) note(name string) func(webflow.Event) {
	return func(e webflow.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.names = append(d.names, name)
		d.events = append(d.events, e)
	}
}

// in makes the callbacks of o write to the diary.
func (d *diary) in(o webflow.Options) webflow.Options {
	o.Registered, o.Lost, o.Abandoned, o.Expired = d.note("registered"), d.note("lost"), d.note("abandoned"), d.note("expired")
	return o
}

func (d *diary) take() ([]string, []webflow.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names, events := d.names, d.events
	d.names, d.events = nil, nil
	return names, events
}

// wantEvents checks the events since the last call. It waits until there are so
// many; that there are no more is for callers to make sure.
func (d *diary) wantEvents(t testing.TB, names ...string) []webflow.Event {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("the events are %v", names), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.names) >= len(names)
	})
	got, events := d.take()
	if !slices.Equal(got, names) {
		t.Fatalf("events are %v, want %v", got, names)
	}
	return events
}

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
