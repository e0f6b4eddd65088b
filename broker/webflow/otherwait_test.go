package webflow

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A page can read the reply to its registration before the handler that wrote
// the reply has returned. A Notify at that moment waits for the handler, so
// that it can report whether the page got the result.
func TestNotifyWaitsForTheAnswerToARegistration(t *testing.T) {
	for name, x := range map[string]struct {
		finish    func(f *Flow, op *operation, cancel func())
		delivered bool
		waits     time.Duration
	}{
		"the handler returns": {func(f *Flow, op *operation, _ func()) {
			f.mu.Lock()
			defer f.mu.Unlock()
			op.ready = true
			f.handOut(op, nil)
		}, true, 0},
		"the session ends": {func(f *Flow, op *operation, _ func()) {
			f.mu.Lock()
			c := op.at
			f.mu.Unlock()
			f.disconnected(broker.SessionInfo{ID: c.session}, &broker.Error{Reason: broker.ReasonConnectionLost})
		}, false, 0},
		"the caller gives up": {func(_ *Flow, _ *operation, cancel func()) { cancel() }, false, 0},
		"the flow is closed":  {func(f *Flow, _ *operation, _ func()) { _ = f.Close() }, false, 0},
		"nothing happens":     {func(*Flow, *operation, func()) {}, false, otherWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
					return &auth.Principal{Name: "ann"}, nil
				})})
				f, err := New(b, Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = f.Close() }()
				if _, err := f.Open(t.Context(), Operation{ID: "op", WebSocketID: "ws", Owner: Owner{User: "ann"}}); err != nil {
					t.Fatal(err)
				}
				page := brokertest.Connect(t, b)
				page.Subscribe(t, "r", "/user"+registrationDestination)
				page.Subscribe(t, "a", "/user"+authorizationDestination)
				page.Send("SEND", `{"webSocketId":"ws"}`, "destination", "/app/registration")
				page.Expect(t, "MESSAGE")
				synctest.Wait()
				f.mu.Lock()
				op := f.byWebSocketID.get("ws")
				op.ready = false // as while the handler runs
				f.mu.Unlock()

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start, delivered := time.Now(), make(chan bool, 1)
				go func() {
					was, err := f.Notify(ctx, "op", "CONFIRMED")
					if err != nil {
						t.Error(err)
					}
					delivered <- was
				}()
				synctest.Wait()
				select {
				case <-delivered:
					t.Fatal("it did not wait")
				default:
				}
				x.finish(f, op, cancel)
				if got := <-delivered; got != x.delivered || time.Since(start) != x.waits {
					t.Errorf("delivered is %t after %v, want %t after %v", got, time.Since(start), x.delivered, x.waits)
				}
			})
		})
	}
}
