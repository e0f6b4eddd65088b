package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Only the first outcome of a request counts, also for the notice of a denial.
func TestSecondOutcomeIsIgnored(t *testing.T) {
	later(t, broker.Options{SoftDenial: true}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "e", "/user/queue/errors")
		denied := &broker.Error{Reason: broker.ReasonDenied, Message: "no"}
		ask(c, "", "1")
		p := next()
		p.done(nil)
		p.done(denied)
		c.ExpectReceipt(t, "1")
		wantQuiet(t, c)
		ask(c, "", "2")
		p = next()
		p.done(denied)
		p.done(denied)
		c.Expect(t, "MESSAGE")
		wantQuiet(t, c)
	})
}

// A drain answers a request whose handler has called Later and not returned.
func TestDrainWhileAHandlerReturns(t *testing.T) {
	for _, command := range []string{"SEND", "SUBSCRIBE"} {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			let := make(chan struct{})
			var done func(error)
			handle(t, b, "/app/a", func(_ context.Context, r *broker.Request) error {
				done = r.Later()
				<-let
				return nil
			})
			c := brokertest.Connect(t, b)
			c.Send(command, "", "id", "s", "destination", "/app/a", "receipt", "1")
			synctest.Wait()
			drained := make(chan error)
			go func() { drained <- b.Drain(t.Context()) }()
			synctest.Wait()
			close(let)
			synctest.Wait()
			done(nil)
			c.ExpectReceipt(t, "1")
			wantEnd(t, c, 1012)
			if err := <-drained; err != nil {
				t.Error(err)
			}
		})
	}
}

// A handler that fails or panics after Later ends the session at once.
func TestHandlerFailsAfterLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		handle(t, b, "/app/*", func(_ context.Context, r *broker.Request) error {
			r.Later()
			if r.Destination == "/panic" {
				panic("a fault")
			}
			return &broker.Error{Reason: broker.ReasonDenied, Message: "no"}
		})
		begun := time.Now()
		for destination, want := range map[string]struct {
			code int
			text string
		}{"/app/error": {4403, "no"}, "/app/panic": {1011, "internal error"}} {
			c := brokertest.Connect(t, b)
			c.Send("SEND", "", "destination", destination, "receipt", "1")
			wantError(t, c, want.code, want.text)
		}
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A COMMIT whose requests fail in different ways ends with the worst of them.
func TestCommitWithSeveralFailures(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		later(t, broker.Options{SoftDenial: true}, func(t *testing.T, b *broker.Broker, next func() postponed) {
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "e", "/user/queue/errors")
			c.Send("BEGIN", "", "transaction", "t")
			for range 2 {
				c.Send("SEND", "", "destination", "/app/later/a", "transaction", "t")
			}
			c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
			list := []postponed{next(), next()}
			outcomes := []error{&broker.Error{Reason: broker.ReasonDenied, Message: "no"}, errors.New("failed")}
			for _, i := range order {
				list[i].done(outcomes[i])
			}
			wantLateError(t, c, "c", "internal error")
		})
	}
}

// The notice about a denial in a transaction names the receipt of the COMMIT:
// that of the SEND has been confirmed.
func TestCommitIsDeniedLaterSoftly(t *testing.T) {
	later(t, broker.Options{SoftDenial: true}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "e", "/user/queue/errors")
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "", "destination", "/app/later/a", "transaction", "t", "receipt", "s")
		c.ExpectReceipt(t, "s")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		next().done(&broker.Error{Reason: broker.ReasonDenied, Message: "no"})
		if body := string(c.Expect(t, "MESSAGE").Body); !strings.Contains(body, `"command":"COMMIT"`) || !strings.Contains(body, `"receipt":"c"`) {
			t.Errorf("it is told %s", body)
		}
		wantQuiet(t, c)
	})
}
