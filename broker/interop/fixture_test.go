package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestMain(m *testing.M) {
	// go-stomp may miss the wake-up it waits for; see goClient.unsubscribe.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/go-stomp/stomp/v3.(*Subscription).Unsubscribe"))
}

// quick is the heart-beat interval where a test waits for heart-beats: short,
// but a client on a busy machine still keeps it. stompjs gives up after two of
// them without a byte.
const quick = time.Second

func quickly() broker.Options {
	return broker.Options{HeartBeat: frames.HeartBeat{Send: quick, Receive: quick}}
}

// fixture is a broker with what the scripts need of the program around it.
type fixture struct {
	*brokertest.Server

	mu    sync.Mutex
	ended map[string]broker.Reason // by session
	log   alarms
}

// start starts a broker. Everybody may do as [auth.Open] says, but nobody may
// subscribe to /topic/forbidden.
func start(t *testing.T, o broker.Options) *fixture {
	t.Helper()
	rules, err := auth.Open().Prepend(auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/forbidden"})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{ended: make(map[string]broker.Reason)}
	o.Authorizer = rules
	o.ConnectDeadline = 2 * time.Minute // for clients on a busy machine
	o.Logger = slog.New(&f.log)
	f.Server = brokertest.Start(t, o)
	f.Broker.Observe(broker.Observer{Disconnected: func(s broker.SessionInfo, e *broker.Error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended[s.ID] = e.Reason
	}})
	for path, h := range map[string]broker.HandlerFunc{
		"/app/echo":               echo,
		"/app/registration":       register,
		"/app/control/disconnect": f.disconnect,
		"/app/control/reason":     f.reason,
	} {
		if err := f.Broker.Handle(path, h); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// echo answers with what it got, headers included.
func echo(ctx context.Context, r *broker.Request) error {
	_, err := r.Reply(ctx, &broker.Message{Headers: r.Headers, Body: r.Body})
	return err
}

// register answers as Web Flow does.
func register(ctx context.Context, r *broker.Request) error {
	var asked struct {
		WebSocketID string `json:"webSocketId"`
	}
	if err := json.Unmarshal(r.Body, &asked); err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		WebSocketID string `json:"webSocketId"`
		Succeeded   bool   `json:"registrationSucceeded"`
	}{asked.WebSocketID, true})
	if err != nil {
		return err
	}
	_, err = r.Reply(ctx, &broker.Message{
		Destination: "/topic/registration",
		Headers:     []frames.Header{{Name: frames.HeaderContentType, Value: "application/json"}},
		Body:        body,
	})
	return err
}

// disconnect ends the session whose id is in the body.
func (f *fixture) disconnect(_ context.Context, r *broker.Request) error {
	return f.Broker.Disconnect(string(r.Body), "ended by the test")
}

// reason answers why the session whose id is in the body has ended, or with
// nothing while it has not.
func (f *fixture) reason(ctx context.Context, r *broker.Request) error {
	body := ""
	if reason := f.reasonOf(string(r.Body)); reason != broker.ReasonNone {
		body = reason.String()
	}
	_, err := r.Reply(ctx, &broker.Message{Body: []byte(body)})
	return err
}

func (f *fixture) reasonOf(session string) broker.Reason {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended[session]
}

// quiet fails the test if the broker logged a warning or an error about anything
// but the end of a session.
func (f *fixture) quiet(t *testing.T) {
	t.Helper()
	if err := f.log.err(); err != nil {
		t.Error(err)
	}
}

// alarms is a log handler that keeps what is worth worrying about.
type alarms struct {
	mu   sync.Mutex
	list []error
}

func (a *alarms) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (a *alarms) WithAttrs([]slog.Attr) slog.Handler           { return a }
func (a *alarms) WithGroup(string) slog.Handler                { return a }

func (a *alarms) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "session ended", "denied", "origin not allowed", "authentication rejected", "handshake refused":
		return nil // for what its client did, as these tests want it
	}
	text := "the broker logged: " + r.Message
	r.Attrs(func(at slog.Attr) bool { text += " " + at.String(); return true })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, errors.New(text))
	return nil
}

func (a *alarms) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.list...)
}
