package broker_test

import (
	"errors"
	"strings"
	"testing"

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
