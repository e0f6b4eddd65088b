package interop_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// TestNULIsNoEndOfAFrame is stompjs 2.3.3 and webstomp-client, which take what
// follows a NUL in a body for frames: no sender can forge one, whatever way its
// message takes.
func TestNULIsNoEndOfAFrame(t *testing.T) {
	t.Parallel()
	run := node(t)
	open := broker.Options{Authenticator: auth.TrustLogin}
	pass, refuse := open, open
	pass.Limits.NUL, refuse.Limits.NUL = broker.NULPass, broker.NULRefuse
	f := start(t, open)
	doors(t, f)
	run("nul.mjs", map[string]string{"url": f.URL, "pass": start(t, pass).URL, "refuse": start(t, refuse).URL})
}

// doors adds handlers that pass a body on as a program does. The request says
// where to.
func doors(t *testing.T, f *fixture) {
	t.Helper()
	for path, pass := range map[string]func(context.Context, *broker.Request, *broker.Message) error{
		"/app/nul/publish": func(ctx context.Context, r *broker.Request, m *broker.Message) error {
			return f.Broker.Publish(ctx, m)
		},
		"/app/nul/user": func(ctx context.Context, r *broker.Request, m *broker.Message) error {
			_, err := f.Broker.PublishToUser(ctx, r.Header("user"), m)
			return err
		},
		"/app/nul/session": func(ctx context.Context, r *broker.Request, m *broker.Message) error {
			_, err := f.Broker.PublishToSession(ctx, r.Header("session"), m)
			return err
		},
		"/app/nul/tcp": func(ctx context.Context, r *broker.Request, m *broker.Message) error {
			c, err := client.Dial(ctx, "tcp://"+f.TCP, client.Options{})
			if err != nil {
				return err
			}
			return errors.Join(c.Send(m.Destination, "text/plain", m.Body, stomp.SendOpt.Receipt), c.Disconnect())
		},
	} {
		err := f.Broker.Handle(path, broker.HandlerFunc(func(ctx context.Context, r *broker.Request) error {
			return pass(ctx, r, &broker.Message{Destination: r.Header("to"), Body: append([]byte(nil), r.Body...)})
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
}
