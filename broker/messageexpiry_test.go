package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// timeless runs f with a broker whose time passes at once when nothing else
// happens. Sessions stay although nobody sends heart-beats.
func timeless(t *testing.T, o broker.Options, f func(t *testing.T, b *broker.Broker)) {
	t.Helper()
	o.HeartBeat = frames.HeartBeat{Send: -1, Receive: -1}
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, o)
		f(t, b)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// at is a time in milliseconds since 1970, counted from now.
func at(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }

func wantExpired(t *testing.T, b *broker.Broker, want int64) {
	t.Helper()
	if got := b.Stats().Expired; got != want {
		t.Errorf("%d messages have expired, want %d", got, want)
	}
}

// What has expired when it is sent is delivered to nobody; what has not is
// delivered with the time of its expiry. A SEND is answered in both cases.
func TestExpiredOnATopic(t *testing.T) {
	timeless(t, broker.Options{Authorizer: rules(t, allow("/**", auth.Send, auth.Subscribe))}, func(t *testing.T, b *broker.Broker) {
		handled := 0
		handle(t, b, "/log", func(context.Context, *broker.Request) error { handled++; return nil })
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "t", "/topic/a")
		c.Subscribe(t, "u", "/user/queue/a")
		c.Subscribe(t, "q", "/queue/a")
		s := brokertest.Connect(t, b, "login", "ann")
		for i, destination := range []string{"/topic/a", "/user/ann/queue/a", "/queue/a", "/app/log"} {
			send(t, s, destination, "late", "expires", at(-time.Millisecond))
			send(t, s, destination, "now", "expires", at(0))
			wantMessages(t, c)
			wantExpired(t, b, int64(2*i+2))
			if destination == "/app/log" {
				break
			}
			for _, x := range []struct{ name, value, want string }{
				{"expires", at(time.Millisecond), at(time.Millisecond)},
				{"expires", "0", "0"},
				{"ttl", "1000", at(time.Second)},
				{"expiration", "60000", at(time.Minute)},
			} {
				send(t, s, destination, "in time", x.name, x.value)
				wantHeaders(t, expectMessage(t, c, "in time"), x.name, x.value, "expires", x.want)
			}
		}
		send(t, s, "/app/log", "in time", "ttl", "1")
		if handled != 1 {
			t.Errorf("the handler ran %d times, want once", handled)
		}
		send(t, s, "/topic/a", "the earliest", "ttl", "3000", "expires", at(2*time.Second), "expiration", "4000")
		wantHeaders(t, expectMessage(t, c, "the earliest"), "expires", at(2*time.Second), "ttl", "3000", "expiration", "4000")
		send(t, s, "/topic/a", "the first", "ttl", "3000", "ttl", "1000")
		wantHeaders(t, expectMessage(t, c, "the first"), "expires", at(3*time.Second))
		c.Close()
		s.Close()
	})
}

// A wrong value is an ERROR that names the header and its form, alone and in a
// transaction.
func TestWrongTimes(t *testing.T) {
	b := newBroker(t, broker.Options{})
	const expires = "expires must be a time in milliseconds since 1970, or 0 for never, not "
	const lifetime = " must be a whole number of milliseconds from 1 to 9007199254740991, not "
	const delay = " must be a whole number of milliseconds from 0 to 9007199254740991, not "
	for _, x := range []struct{ name, value, want string }{
		{"expires", "", expires + `""`},
		{"expires", "soon", expires + `"soon"`},
		{"expires", "-1", expires + `"-1"`},
		{"expires", "1764500000", expires + `"1764500000"`}, // seconds
		{"expires", "2026-11-30T12:00:00Z", expires + `"2026-11-30T12:00:00Z"`},
		{"ttl", "0", "ttl" + lifetime + `"0"`},
		{"ttl", "1.5", "ttl" + lifetime + `"1.5"`},
		{"expiration", "+5", "expiration" + lifetime + `"+5"`},
		{"expiration", "9007199254740992", "expiration" + lifetime + `"9007199254740992"`},
		{"expiration", strings.Repeat("9", 30), "expiration" + lifetime},
		{"delay", "-5", "delay" + delay + `"-5"`},
		{"AMQ_SCHEDULED_DELAY", "1 h", "AMQ_SCHEDULED_DELAY" + delay + `"1 h"`},
		{"AMQ_SCHEDULED_CRON", "0 * * * *", "AMQ_SCHEDULED_CRON is not supported: a message is delivered once"},
		{"AMQ_SCHEDULED_REPEAT", "9", "AMQ_SCHEDULED_REPEAT is not supported"},
		{"AMQ_SCHEDULED_PERIOD", "1000", "AMQ_SCHEDULED_PERIOD is not supported"},
	} {
		for _, destination := range []string{"/topic/a", "/queue/a", "/app/a"} {
			c := brokertest.Connect(t, b)
			c.Send("SEND", "", "destination", destination, x.name, x.value, "receipt", "r")
			wantHeaders(t, wantError(t, c, 1002, x.want), "receipt-id", "r")
			c = brokertest.Connect(t, b)
			c.Send("BEGIN", "", "transaction", "t")
			c.Send("SEND", "", "destination", destination, x.name, x.value, "transaction", "t")
			wantError(t, c, 1002, x.want)
			m := &broker.Message{Destination: destination, Headers: header(x.name, x.value)}
			if err := b.Publish(t.Context(), m); destination != "/app/a" && (!errors.Is(err, broker.ErrHeader) || !strings.Contains(err.Error(), x.want)) {
				t.Errorf("%s %s: the program gets %v", x.name, x.value, err)
			}
		}
	}
	if st := b.Stats(); st.QueueMessages != 0 || st.Published != 0 {
		t.Errorf("%d messages were accepted", st.Published)
	}
	c := brokertest.Connect(t, b)
	send(t, c, "/queue/a", "", "AMQ_SCHEDULED_PERIOD", "0", "AMQ_SCHEDULED_REPEAT", "0", "AMQ_SCHEDULED_CRON", "")
}

// A message that expires in a queue is not delivered, and a sweep removes it if
// nobody comes. It is dropped, or becomes a dead letter.
func TestExpiredInAQueue(t *testing.T) {
	for _, mode := range []broker.ExpiredMode{broker.ExpiredDrop, broker.ExpiredDeadLetter} {
		timeless(t, broker.Options{Queues: broker.Queues{Expired: mode}}, func(t *testing.T, b *broker.Broker) {
			c := brokertest.Connect(t, b)
			send(t, c, "/queue/a", "1", "ttl", "1000", "x", "y")
			send(t, c, "/queue/a", "2")
			expires := at(time.Second)
			time.Sleep(time.Second)
			wantExpired(t, b, 0) // nobody has looked
			reader := brokertest.Connect(t, b)
			reader.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "prefetch-count", "1")
			held := expectMessage(t, reader, "2")
			wantExpired(t, b, 1)

			send(t, c, "/queue/a", "3", "ttl", "1000")
			send(t, c, "/queue/b", "4", "expires", at(time.Second))
			time.Sleep(time.Second + 5*time.Second) // at most until the next sweep
			synctest.Wait()
			wantExpired(t, b, 3)
			reader.Send("ACK", "", "id", held.Get("ack"))
			wantMessages(t, reader)

			dead, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
			dead.Subscribe(t, "a", "/queue/DLQ.a")
			other.Subscribe(t, "b", "/queue/DLQ.b")
			if mode == broker.ExpiredDrop {
				wantMessages(t, dead)
				wantMessages(t, other)
			} else {
				wantMessages(t, other, "4")
				got := wantMessages(t, dead, "1", "3")
				wantHeaders(t, got[0], "destination", "/queue/DLQ.a", "original-destination", "/queue/a", "dead-letter-reason", "expired",
					"delivery-attempts", "0", "original-expires", expires, "expires", "-", "ttl", "-", "x", "y")
			}
			if n := b.Stats().QueueMessages; n != 0 {
				t.Errorf("%d messages are left", n)
			}
			for _, x := range []*brokertest.Client{c, reader, dead, other} {
				x.Close()
			}
		})
	}
}

// A message that a consumer holds does not expire there; it does when it comes
// back. Dead letters of other reasons have no expiry either.
func TestExpiredWhenItComesBack(t *testing.T) {
	timeless(t, broker.Options{Queues: broker.Queues{Expired: broker.ExpiredDeadLetter, Attempts: 2}}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/a", "ack", "client-individual")
		send := func(body string) *frames.Frame {
			c.Send("SEND", body, "destination", "/queue/a", "ttl", "1000")
			return expectMessage(t, c, body)
		}
		held := send("held")
		send("returned")
		c.Send("NACK", "", "id", send("refused").Get("ack"))
		c.Send("NACK", "", "id", expectMessage(t, c, "refused").Get("ack"))
		c.Sync(t)
		time.Sleep(time.Minute)
		c.Send("ACK", "", "id", held.Get("ack"))
		c.Sync(t)
		wantExpired(t, b, 0)
		c.Send("UNSUBSCRIBE", "", "id", "s")
		c.Sync(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantExpired(t, b, 1)
		c.Subscribe(t, "d", "/queue/DLQ.a")
		got := wantMessages(t, c, "refused", "returned")
		wantHeaders(t, got[0], "dead-letter-reason", "attempts", "delivery-attempts", "2", "expires", "-", "ttl", "-")
		wantHeaders(t, got[1], "dead-letter-reason", "expired", "delivery-attempts", "1", "expires", "-", "ttl", "-")
		c.Close()
	})
}

// A dead letter for which there is no room is dropped, and the log says so.
func TestExpiredWithoutRoomForDeadLetters(t *testing.T) {
	var log strings.Builder
	timeless(t, broker.Options{Queues: broker.Queues{Expired: broker.ExpiredDeadLetter, Messages: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, b *broker.Broker) {
		publish(t, b, "/queue/DLQ.a", "full")
		c := brokertest.Connect(t, b)
		send(t, c, "/queue/a", "1", "ttl", "1")
		time.Sleep(time.Second)
		c.Subscribe(t, "s", "/queue/a")
		wantMessages(t, c)
		wantExpired(t, b, 1)
		c.Close()
	})
	if !strings.Contains(log.String(), "an expired message was dropped") || !strings.Contains(log.String(), "queue=/queue/a") {
		t.Errorf("the log is %s", log.String())
	}
}

// A function that is busy does not get what has expired meanwhile, neither of a
// topic nor of a queue.
func TestExpiredForAnInProcessSubscription(t *testing.T) {
	timeless(t, broker.Options{Queues: broker.Queues{Expired: broker.ExpiredDeadLetter}}, func(t *testing.T, b *broker.Broker) {
		for _, destination := range []string{"/topic/a", "/queue/a"} {
			before := b.Stats().Expired
			got := make(chan string, 10)
			sub, err := b.Subscribe(t.Context(), destination, broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
				got <- string(m.Body)
				time.Sleep(time.Second)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, ttl := range []string{"1000", "1000", "1001", "500", "60000"} {
				if err := b.Publish(t.Context(), &broker.Message{Destination: destination, Body: fmt.Append(nil, i), Headers: header("ttl", ttl)}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			close(got)
			var all []string
			for body := range got {
				all = append(all, body)
			}
			if s := strings.Join(all, " "); s != "0 2 4" {
				t.Errorf("%s: the function got %s, want 0 2 4", destination, s)
			}
			wantExpired(t, b, before+2)
			sub.Cancel()
			<-sub.Done()
		}
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/DLQ.a")
		wantMessages(t, c, "1", "3")
		c.Close()
	})
}

// slowAuthorizer needs a second for each match of a pattern.
type slowAuthorizer struct{}

func (slowAuthorizer) Authorize(_ context.Context, _ *auth.Principal, a auth.Action, destination string) error {
	if a == auth.Subscribe && destination == "/topic/a" {
		time.Sleep(time.Second)
	}
	return nil
}

// A message does not outlive the wait for the authorizer.
func TestExpiredWhileTheAuthorizerDecides(t *testing.T) {
	timeless(t, broker.Options{Authorizer: slowAuthorizer{}}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/*")
		for body, ttl := range map[string]string{"late": "1000", "in time": "1001"} {
			if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Body: []byte(body), Headers: header("ttl", ttl)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		wantMessages(t, c, "in time")
		wantExpired(t, b, 1)
		c.Close()
	})
}

// The lifetime of a message in a transaction begins with the COMMIT.
func TestLifetimeBeginsWithTheCommit(t *testing.T) {
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		reader := brokertest.Connect(t, b)
		reader.Subscribe(t, "t", "/topic/a")
		reader.Subscribe(t, "q", "/queue/a")
		begin(c,
			[]string{"SEND", "t", "destination", "/topic/a", "ttl", "1000"},
			[]string{"SEND", "q", "destination", "/queue/a", "ttl", "1000"},
			[]string{"SEND", "late", "destination", "/topic/a", "expires", at(time.Second)},
			[]string{"SEND", "late", "destination", "/queue/a", "expires", at(time.Second)})
		time.Sleep(time.Minute)
		c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		c.ExpectReceipt(t, "done")
		for _, m := range wantMessages(t, reader, "q", "t") {
			wantHeaders(t, m, "expires", at(time.Second))
		}
		wantExpired(t, b, 2)
		c.Close()
		reader.Close()
	})
}

// A program's messages expire too.
func TestProgramPublishesWithALifetime(t *testing.T) {
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "s", "/user/queue/a")
		session := ""
		for s := range b.Sessions() {
			session = s.ID
		}
		for i, x := range []broker.Header{{Name: "ttl", Value: "1000"}, {Name: "expires", Value: at(-time.Second)}} {
			m := &broker.Message{Destination: "/queue/a", Headers: []broker.Header{x}}
			want := 1 - i
			if d, err := b.PublishToUser(t.Context(), "ann", m); err != nil || d.Subscriptions != want {
				t.Errorf("to the user: %+v, %v; want %d", d, err, want)
			}
			if d, err := b.PublishToSession(t.Context(), session, m); err != nil || d.Subscriptions != want {
				t.Errorf("to the session: %+v, %v; want %d", d, err, want)
			}
		}
		for range 2 {
			wantHeaders(t, c.Expect(t, "MESSAGE"), "expires", at(time.Second))
		}
		wantExpired(t, b, 2)
		c.Close()
	})
}

// A replay leaves out what has expired, which is no gap, and a delayed message
// is in the history from the moment when it is due.
func TestExpiryAndDelayInAHistory(t *testing.T) {
	timeless(t, withHistory(10, "/topic/a"), func(t *testing.T, b *broker.Broker) {
		s := brokertest.Connect(t, b)
		send(t, s, "/topic/a", "0")
		send(t, s, "/topic/a", "1", "ttl", "1000")
		send(t, s, "/topic/a", "late", "expires", at(-time.Second))
		send(t, s, "/topic/a", "2")
		send(t, s, "/topic/a", "3", "delay", "500")
		c := brokertest.Connect(t, b)
		for i, want := range [][]string{{"1", "2"}, {"1", "2", "3"}, {"2", "3"}} {
			id := fmt.Sprint(i)
			r := subscribeFrom(t, c, id, "/topic/a", "offset", epochOf(t, b, "/topic/a")+":1")
			wantHeaders(t, r, "recovered", "true")
			wantMessages(t, c, want...)
			c.Send("UNSUBSCRIBE", "", "id", id)
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			c.Sync(t)
		}
		s.Close()
		c.Close()
	})
}
