package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// postponed is a request that its handler has not answered.
type postponed struct {
	r    *broker.Request
	done func(error)
}

// later runs f with a broker whose handler of /app/later/* answers when the test
// says so.
func later(t *testing.T, o broker.Options, f func(t *testing.T, b *broker.Broker, next func() postponed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, o)
		waiting := make(chan postponed, 100)
		handle(t, b, "/app/later/*", func(_ context.Context, r *broker.Request) error {
			waiting <- postponed{r, r.Later()}
			return nil
		})
		f(t, b, func() postponed {
			t.Helper()
			synctest.Wait()
			select {
			case p := <-waiting:
				return p
			default:
				t.Fatal("no request has come")
				return postponed{}
			}
		})
	})
}

// ask sends a request that is answered later.
func ask(c *brokertest.Client, body, receipt string, headers ...string) {
	c.Send("SEND", body, append([]string{"destination", "/app/later/a", "receipt", receipt}, headers...)...)
}

// The session goes on while a request waits for its handler, and its receipt keeps its
// place.
func TestHandlerAnswersLater(t *testing.T) {
	later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/a")
		c.Subscribe(t, "u", "/user/queue/later/a")
		ask(c, "one", "1", "k", "v")
		c.Send("SEND", "meanwhile", "destination", "/topic/a", "receipt", "2")
		ask(c, "two", "3")
		expectMessage(t, c, "meanwhile")
		first, second := next(), next()
		wantQuiet(t, c)
		if first.r.Header("k") != "v" || string(first.r.Body) != "one" || string(second.r.Body) != "two" {
			t.Errorf("the requests are %v %q and %q", first.r.Headers, first.r.Body, second.r.Body)
		}
		second.done(nil)
		wantQuiet(t, c)
		if _, err := first.r.Reply(t.Context(), &broker.Message{Body: []byte("reply")}); err != nil {
			t.Error(err)
		}
		expectMessage(t, c, "reply")
		first.done(nil)
		first.done(errors.New("too late"))
		for _, id := range []string{"1", "2", "3"} {
			c.ExpectReceipt(t, id)
		}
		// DISCONNECT waits, too.
		ask(c, "last", "4")
		c.Send("DISCONNECT", "", "receipt", "5")
		p := next()
		wantQuiet(t, c)
		p.done(nil)
		c.ExpectReceipt(t, "4")
		c.ExpectReceipt(t, "5")
	})
}

func TestHandlerFailsLater(t *testing.T) {
	for _, tc := range []struct {
		err  error
		text string
		code int
	}{
		{&broker.Error{Reason: broker.ReasonDenied, Message: "sold out"}, "sold out", 4403},
		{errors.New("secret"), "internal error", 1011},
	} {
		later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
			c := brokertest.Connect(t, b)
			ask(c, "a", "1")
			c.Send("SEND", "b", "destination", "/topic/a", "receipt", "2")
			next().done(tc.err)
			wantLateError(t, c, "1", tc.text)
			wantEnd(t, c, tc.code)
		})
	}
}

// The answer to a SUBSCRIBE follows its receipt.
func TestSubscribeIsAnsweredLater(t *testing.T) {
	later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/later/a", "receipt", "1")
		c.Send("SUBSCRIBE", "", "id", "t", "destination", "/app/later/a") // without a receipt
		first, second := next(), next()
		for _, p := range []postponed{second, first} {
			if _, err := p.r.Reply(t.Context(), &broker.Message{Body: []byte(p.r.Header("id"))}); err != nil {
				t.Error(err)
			}
			wantQuiet(t, c)
		}
		first.done(nil)
		c.ExpectReceipt(t, "1")
		expectMessage(t, c, "s")
		wantQuiet(t, c)
		second.done(nil)
		expectMessage(t, c, "t")

		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/later/a", "receipt", "2")
		p := next()
		if _, err := p.r.Reply(t.Context(), &broker.Message{Body: []byte("never")}); err != nil {
			t.Error(err)
		}
		p.done(&broker.Error{Reason: broker.ReasonDenied, Message: "no"})
		wantLateError(t, c, "2", "no")
	})
}

// With SoftDenial the session goes on.
func TestHandlerDeniesLaterSoftly(t *testing.T) {
	later(t, broker.Options{SoftDenial: true}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "e", "/user/queue/errors")
		denied := &broker.Error{Reason: broker.ReasonDenied, Message: "sold out"}
		ask(c, "a", "1")
		next().done(denied)
		if body := string(c.Expect(t, "MESSAGE").Body); !strings.Contains(body, `"message":"sold out"`) || !strings.Contains(body, `"receipt":"1"`) {
			t.Errorf("it is told %s", body)
		}
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/later/a", "receipt", "2")
		p := next()
		if _, err := p.r.Reply(t.Context(), &broker.Message{Body: []byte("never")}); err != nil {
			t.Error(err)
		}
		p.done(denied)
		if body := string(c.Expect(t, "MESSAGE").Body); !strings.Contains(body, `"command":"SUBSCRIBE"`) || !strings.Contains(body, `"id":"s"`) {
			t.Errorf("it is told %s", body)
		}
		wantMessages(t, c)
	})
}

// A COMMIT is answered when its requests are handled.
func TestCommitWaitsForHandlers(t *testing.T) {
	later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b, "login", "ann")
		for i, err := range []error{nil, &broker.Error{Reason: broker.ReasonDenied, Message: "no"}} {
			c.Send("BEGIN", "", "transaction", "t")
			for _, id := range []string{"x", "y"} {
				c.Send("SEND", id, "destination", "/app/later/a", "transaction", "t", "message-dedup-id", fmt.Sprint(id, i))
			}
			c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
			first, second := next(), next()
			first.done(nil)
			wantQuiet(t, c)
			second.done(err)
			if err == nil {
				c.ExpectReceipt(t, "c")
				continue
			}
			wantLateError(t, c, "c", "no")
		}
		again := brokertest.Connect(t, b, "login", "ann")
		ask(again, "", "1", "message-dedup-id", "x1") // was accepted
		ask(again, "", "2", "message-dedup-id", "y1") // was not
		next().done(nil)
		wantHeaders(t, again.Expect(t, "RECEIPT"), "receipt-id", "1", "duplicate", "true")
		again.ExpectReceipt(t, "2")
	})
}

// A COMMIT may take as long as its requests take together.
func TestCommitOfManySlowRequests(t *testing.T) {
	later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		const requests = 10
		c := brokertest.Connect(t, b)
		c.Send("BEGIN", "", "transaction", "t")
		for range requests {
			c.Send("SEND", "", "destination", "/app/later/a", "transaction", "t")
		}
		c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		c.Send("DISCONNECT", "", "receipt", "d") // reading stops
		for range requests {
			p := next()
			time.Sleep(20 * time.Second)
			p.done(nil)
		}
		c.ExpectReceipt(t, "c")
		c.ExpectReceipt(t, "d")
	})
}

// A duplicate gets the outcome of the request that is being handled.
func TestDuplicateOfARequestThatWaits(t *testing.T) {
	later(t, broker.Options{SoftDenial: true}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "e", "/user/queue/errors")
		ask(c, "", "1", "message-dedup-id", "a")
		ask(c, "", "2", "message-dedup-id", "a")
		next().done(&broker.Error{Reason: broker.ReasonDenied, Message: "no"})
		c.Expect(t, "MESSAGE")
		wantMessages(t, c)
		ask(c, "", "3", "message-dedup-id", "a")
		ask(c, "", "4", "message-dedup-id", "a")
		next().done(nil)
		c.ExpectReceipt(t, "3")
		wantHeaders(t, c.Expect(t, "RECEIPT"), "receipt-id", "4", "duplicate", "true")
	})
}

// A session with too many requests that wait stops reading; others go on.
func TestTooManyRequestsWait(t *testing.T) {
	later(t, broker.Options{Limits: broker.Limits{InFlight: 2}}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		for i := range 3 {
			ask(c, "", fmt.Sprint(i))
		}
		first, second := next(), next()
		synctest.Wait()
		other.Subscribe(t, "s", "/topic/a")
		publish(t, b, "/topic/a", "hello")
		expectMessage(t, other, "hello")
		first.done(nil)
		c.ExpectReceipt(t, "0")
		third := next()
		second.done(nil)
		third.done(nil)
		c.ExpectReceipt(t, "1")
		c.ExpectReceipt(t, "2")
	})
}

// A request whose session has ended can be answered.
func TestSessionEndsBeforeItsRequest(t *testing.T) {
	later(t, broker.Options{}, func(t *testing.T, b *broker.Broker, next func() postponed) {
		c := brokertest.Connect(t, b)
		ask(c, "a", "1")
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/later/a", "receipt", "2")
		p, sub := next(), next()
		c.Close()
		synctest.Wait()
		if d, err := p.r.Reply(t.Context(), &broker.Message{}); err != nil || d.Subscriptions != 0 {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := sub.r.Reply(t.Context(), &broker.Message{}); err == nil {
			t.Error("there is somebody to reply to")
		}
		p.done(nil)
		sub.done(errors.New("failed"))
	})
}

// What a handler forwards to a queue counts against the client's share.
func TestForward(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{BytesPerUser: 2000}})
	handle(t, b, "/app/jobs", func(ctx context.Context, r *broker.Request) error {
		return r.Forward(ctx, &broker.Message{Destination: "/queue/jobs", Body: r.Body, Headers: []broker.Header{{Name: "by", Value: r.Principal.Name}}})
	})
	handle(t, b, "/app/once", func(ctx context.Context, r *broker.Request) error {
		return r.Forward(ctx, &broker.Message{Destination: "/queue/jobs", Headers: []broker.Header{{Name: "message-dedup-id", Value: "a"}}})
	})
	c := brokertest.Connect(t, b, "login", "ann")
	c.Send("SEND", strings.Repeat("a", 1000), "destination", "/app/jobs", "receipt", "1")
	c.ExpectReceipt(t, "1")
	c.Send("SEND", strings.Repeat("a", 1000), "destination", "/app/jobs", "receipt", "2")
	if f := c.Expect(t, "ERROR"); f.Get("receipt-id") != "2" || !strings.Contains(f.Get("message"), "(queues.bytes_per_user)") {
		t.Errorf("the ERROR is %v", f.Headers)
	}
	c = brokertest.Connect(t, b, "login", "ben")
	c.Subscribe(t, "s", "/queue/jobs")
	wantHeaders(t, expectMessage(t, c, strings.Repeat("a", 1000)), "by", "ann", "destination", "/queue/jobs")
	c.Send("SEND", "", "destination", "/app/once", "receipt", "1")
	wantError(t, c, 1011, "internal error")
}

// Clients cannot send to a queue that is reserved, nor to its dead letters.
func TestReserveQueue(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Transient: []string{"/queue/t*"}}})
	if err := b.ReserveQueue("/queue/jobs"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/topic/a", "/queue/*", "/queue/t1", "jobs", "/user/queue/jobs"} {
		if err := b.ReserveQueue(name); !errors.Is(err, broker.ErrDestination) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"/queue/jobs", "/queue//jobs", "/queue/DLQ.jobs"} {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "", "destination", name)
		wantError(t, c, 4403, "not allowed to send a message to \""+name+"\"")
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs")
	publish(t, b, "/queue/jobs", "from the program")
	expectMessage(t, c, "from the program")
	send(t, c, "/queue/other", "")
}
