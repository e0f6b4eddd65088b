package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A delayed message is answered at once and delivered when it is due, in the
// order of the due times, to a destination of any kind. The rules are asked when
// it is sent, by which receivers see no header that would delay it again.
func TestDelay(t *testing.T) {
	all := rules(t, allow("/**", auth.Send, auth.Subscribe))
	timeless(t, broker.Options{Authorizer: all}, func(t *testing.T, b *broker.Broker) {
		s, c := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "bob")
		c.Subscribe(t, "t", "/topic/a")
		c.Subscribe(t, "u", "/user/queue/a")
		c.Subscribe(t, "q", "/queue/a")
		for i, destination := range []string{"/topic/a", "/user/bob/queue/a", "/queue/a"} {
			delay := time.Duration(10-i) * time.Second
			send(t, s, destination, destination, "delay", fmt.Sprint(delay.Milliseconds()), "x", "y")
		}
		send(t, s, "/topic/a", "as in ActiveMQ", "AMQ_SCHEDULED_DELAY", "5000", "delay", "1")
		send(t, s, "/topic/a", "at once", "delay", "0")
		if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, deny("/**", auth.Send), allow("/**", auth.Subscribe))}); err != nil {
			t.Fatal(err)
		}
		expectMessage(t, c, "at once")
		for _, x := range []struct {
			after time.Duration
			body  string
		}{{5 * time.Second, "as in ActiveMQ"}, {3 * time.Second, "/queue/a"}, {time.Second, "/user/bob/queue/a"}, {time.Second, "/topic/a"}} {
			time.Sleep(x.after - time.Millisecond)
			wantMessages(t, c)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			wantHeaders(t, expectMessage(t, c, x.body), "delay", "-", "AMQ_SCHEDULED_DELAY", "-")
		}
		if st := b.Stats(); st.Delayed != 0 || st.DelayedBytes != 0 || st.Published != 5 {
			t.Errorf("%d messages of %d bytes are left, %d are published", st.Delayed, st.DelayedBytes, st.Published)
		}
		s.Close()
		c.Close()
	})
}

// Who may not send now may not send later.
func TestDelayNeedsPermission(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, deny("/topic/a", auth.Send), allow("/**", auth.Send))})
	handle(t, b, "/log", func(context.Context, *broker.Request) error { t.Error("the handler ran"); return nil })
	for destination, want := range map[string]struct {
		code int
		text string
	}{"/topic/a": {4403, "not allowed"}, "/app/log": {1002, "delay is not available for /app/log: a handler runs at once"}} {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "", "destination", destination, "delay", "1000")
		wantError(t, c, want.code, want.text)
	}
	if n := b.Stats().Delayed; n != 0 {
		t.Errorf("%d messages are delayed", n)
	}
}

// More messages at the same moment than are delivered in one round keep the
// order in which they were sent.
func TestManyMessagesAreDueAtOnce(t *testing.T) {
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		var got []string
		sub, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{Buffer: 2000}, func(_ context.Context, m *broker.Message) error {
			got = append(got, string(m.Body))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 1000 {
			want = append(want, fmt.Sprint(i))
			if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Body: fmt.Append(nil, i), Headers: header("delay", "1000")}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		sub.Cancel()
		<-sub.Done()
		if !slices.Equal(got, want) {
			t.Errorf("received %d messages: %v", len(got), got)
		}
	})
}

// A message that is due before those that wait does not wait for them, and one
// far away is not forgotten.
func TestDelayOfMonths(t *testing.T) {
	const long = 25 * time.Hour // what waits longer than a day is looked at daily
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/a")
		s := brokertest.Connect(t, b)
		send(t, s, "/topic/a", "later", "delay", fmt.Sprint(long.Milliseconds()))
		send(t, s, "/topic/a", "never", "delay", "9007199254740991")
		send(t, s, "/topic/a", "soon", "delay", "10")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		wantMessages(t, c, "soon")
		time.Sleep(long)
		synctest.Wait()
		wantMessages(t, c, "later")
		if n := b.Stats().Delayed; n != 1 {
			t.Errorf("%d messages are delayed, want the one that is never due", n)
		}
		s.Close()
		c.Close()
	})
}

// The limits refuse with their key, and one user leaves room for the others. A
// message that was delivered makes room.
func TestDelayedMessagesAreBounded(t *testing.T) {
	for _, x := range []struct {
		queues broker.Queues
		text   string
		others bool // another client may still send
	}{
		{broker.Queues{Delayed: 1}, "more than 1 delayed messages (queues.delayed)", false},
		{broker.Queues{DelayedPerUser: 1}, "more than 1 delayed messages of one user or address (queues.delayed_per_user)", true},
		{broker.Queues{DelayedBytes: 1500}, "more than 1500 bytes of delayed messages (queues.delayed_bytes)", false},
		{broker.Queues{DelayedBytesPerUser: 1500}, "more than 1500 bytes of delayed messages of one user or address (queues.delayed_bytes_per_user)", true},
	} {
		timeless(t, broker.Options{Queues: x.queues}, func(t *testing.T, b *broker.Broker) {
			refused := func(user string) {
				t.Helper()
				c := brokertest.Connect(t, b, "login", user)
				c.Send("SEND", strings.Repeat("x", 500), "destination", "/topic/a", "delay", "60000")
				wantError(t, c, 4429, x.text)
			}
			accepted := func(user string) {
				t.Helper()
				c := brokertest.Connect(t, b, "login", user)
				send(t, c, "/topic/a", strings.Repeat("x", 500), "delay", "1000")
				c.Close()
			}
			m := &broker.Message{Destination: "/topic/a", Body: make([]byte, 500), Headers: header("delay", "1000")}
			accepted("ann")
			refused("ann")
			if x.others {
				accepted("bob")
				if err := b.Publish(t.Context(), m); err != nil {
					t.Errorf("the program gets %v", err)
				}
			} else {
				refused("bob")
				if err := b.Publish(t.Context(), m); !errors.Is(err, broker.ErrLimit) || !strings.Contains(err.Error(), x.text) {
					t.Errorf("the program gets %v", err)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			accepted("ann")
		})
	}
}

// A delayed message is listed until it is due, and can be cancelled.
func TestDelayedMessagesAreListedAndCancelled(t *testing.T) {
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "s", "/topic/a")
		send(t, c, "/topic/a", "2", "delay", "2000")
		m := &broker.Message{ID: "mine", Destination: "/topic/a", Body: []byte("1"), Headers: header("delay", "1000")}
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), m); !errors.Is(err, broker.ErrHeader) {
			t.Errorf("a second message with this ID: %v", err)
		}
		list := slices.Collect(b.Delayed())
		if len(list) != 2 {
			t.Fatalf("%d messages are listed", len(list))
		}
		for i, want := range []struct {
			user string
			due  time.Duration
		}{{"", time.Second}, {"ann", 2 * time.Second}} {
			if x := list[i]; x.User != want.user || x.Due.UnixMilli() != time.Now().Add(want.due).UnixMilli() || x.Destination != "/topic/a" || x.Bytes < 100 || x.Refused != 0 {
				t.Errorf("message %d is %+v", i, x)
			}
		}
		if st := b.Stats(); st.Delayed != 2 || st.DelayedBytes != list[0].Bytes+list[1].Bytes {
			t.Errorf("%d messages of %d bytes", st.Delayed, st.DelayedBytes)
		}
		for i, want := range []error{nil, broker.ErrNotDelayed} {
			if err := b.CancelDelayed("mine"); !errors.Is(err, want) {
				t.Errorf("cancelled %d times: %v", i+1, err)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantHeaders(t, wantMessages(t, c, "2")[0], "message-id", list[1].ID)
		if err := b.CancelDelayed(list[1].ID); !errors.Is(err, broker.ErrNotDelayed) {
			t.Errorf("after the delivery: %v", err)
		}
		c.Close()
	})
}

// A queue that is full when a message is due gets it again with pauses. Then it
// becomes a dead letter, and if there is no room for that either, it waits on:
// nothing is lost.
func TestDelayedMessageMeetsAFullQueue(t *testing.T) {
	var log strings.Builder
	timeless(t, broker.Options{Queues: broker.Queues{Messages: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		send(t, c, "/queue/a", "full")
		send(t, c, "/queue/a", "1", "delay", "1000", "ttl", "3600000")
		purge := func(queue string) {
			t.Helper()
			if n, err := b.Purge(queue); err != nil || n != 1 {
				t.Fatalf("%d messages were in %s, %v", n, queue, err)
			}
		}
		refused := func(want int) {
			t.Helper()
			synctest.Wait()
			for x := range b.Delayed() {
				if x.Refused == want {
					return
				}
			}
			t.Errorf("no message was refused %d times: %+v", want, slices.Collect(b.Delayed()))
		}
		time.Sleep(time.Second)
		refused(1)
		time.Sleep(time.Second)
		refused(2)
		purge("/queue/a")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.Subscribe(t, "s", "/queue/a")
		wantMessages(t, c, "1")
		c.Send("UNSUBSCRIBE", "", "id", "s")

		send(t, c, "/queue/a", "full")
		send(t, c, "/queue/DLQ.a", "full")
		send(t, c, "/queue/a", "2", "delay", "1000")
		time.Sleep(32 * time.Second) // 1 + 1 + 2 + 4 + 8 + 16
		refused(6)
		time.Sleep(time.Minute)
		refused(7)
		purge("/queue/DLQ.a")
		time.Sleep(time.Minute)
		synctest.Wait()
		c.Subscribe(t, "d", "/queue/DLQ.a")
		wantHeaders(t, wantMessages(t, c, "2")[0], "dead-letter-reason", "delay-refused", "original-destination", "/queue/a", "delivery-attempts", "0")
		if st := b.Stats(); st.Delayed != 0 || st.QueueMessages != 1 {
			t.Errorf("%d delayed, %d in queues", st.Delayed, st.QueueMessages)
		}
		c.Close()
	})
	for _, text := range []string{"a delayed message waits because", "a delayed message became a dead letter"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log does not say %q: %s", text, log.String())
		}
	}
}

// In its queue the message counts against the share of its sender, even if the
// sender has gone.
func TestDelayedMessageCountsForItsSender(t *testing.T) {
	timeless(t, broker.Options{Queues: broker.Queues{BytesPerUser: 1000}}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		send(t, c, "/queue/a", strings.Repeat("x", 500), "delay", "1000")
		c.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b.Stats().QueueMessages; n != 1 {
			t.Fatalf("%d messages are in queues", n)
		}
		c = brokertest.Connect(t, b, "login", "ann")
		c.Send("SEND", strings.Repeat("x", 500), "destination", "/queue/a")
		wantError(t, c, 4429, "queues.bytes_per_user")
	})
}

// The lifetime of a delayed message begins when it is due; one that expires
// earlier is not delivered.
func TestDelayAndExpiry(t *testing.T) {
	timeless(t, broker.Options{Queues: broker.Queues{Expired: broker.ExpiredDeadLetter}}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "t", "/topic/a")
		c.Subscribe(t, "q", "/queue/a")
		c.Subscribe(t, "d", "/queue/DLQ.a")
		for _, destination := range []string{"/topic/a", "/queue/a"} {
			c.Send("SEND", "in time", "destination", destination, "delay", "2000", "ttl", "1000")
			c.Send("SEND", "late", "destination", destination, "delay", "2000", "expires", at(time.Second))
			c.Sync(t)
			due := time.Now().Add(2 * time.Second)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			want := []string{"in time"}
			if destination == "/queue/a" {
				want = append(want, "late")
			}
			got := wantMessages(t, c, want...)
			wantHeaders(t, got[0], "expires", fmt.Sprint(due.Add(time.Second).UnixMilli()))
			if len(got) > 1 {
				wantHeaders(t, got[1], "destination", "/queue/DLQ.a", "dead-letter-reason", "expired")
			}
		}
		wantExpired(t, b, 2)
		c.Close()
	})
}

// A transaction delays its messages, or refuses all of them.
func TestDelayInATransaction(t *testing.T) {
	timeless(t, broker.Options{Queues: broker.Queues{Delayed: 2, Messages: 1}}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		delayed := func(body string) []string {
			return []string{"SEND", body, "destination", "/topic/a", "delay", "1000", "message-dedup-id", body}
		}
		refused := func(text string, list ...[]string) {
			t.Helper()
			c := brokertest.Connect(t, b, "login", "ann")
			begin(c, list...)
			c.Send("COMMIT", "", "transaction", "t")
			wantError(t, c, 4429, text)
			if st := b.Stats(); st.Delayed != 0 || st.QueueMessages != 0 {
				t.Errorf("%s: %d delayed, %d in queues", text, st.Delayed, st.QueueMessages)
			}
		}
		queued := []string{"SEND", "queued", "destination", "/queue/a"}
		refused("queues.delayed", delayed("1"), queued, delayed("2"), delayed("3"))
		refused("queues.messages", delayed("1"), queued, queued)
		c.Subscribe(t, "t", "/topic/a")
		c.Subscribe(t, "q", "/queue/a")
		begin(c, delayed("1"), queued, delayed("2"))
		c.Send("COMMIT", "", "transaction", "t")
		wantMessages(t, c, "queued")
		time.Sleep(time.Second)
		synctest.Wait()
		wantMessages(t, c, "1", "2")
		wantHeaders(t, sendOnce(t, c, "/topic/a", "", "1"), "duplicate", "true")
		c.Close()
	})
}

// Messages of a transaction that is not stored are not delayed, even if its
// session has gone by then.
func TestDelayInATransactionThatIsStoredLate(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("no store")} {
		for _, gone := range []bool{false, true} {
			timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
				q := b.UseLateQueues()
				c := brokertest.Connect(t, b)
				begin(c, []string{"SEND", "", "destination", "/queue/a"}, []string{"SEND", "", "destination", "/topic/a", "delay", "3600000"})
				c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
				brokertest.Eventually(t, "the commit is taken", func() bool { return len(q.Taken()) == 1 })
				if n := len(slices.Collect(b.Delayed())); n != 1 { // its place is reserved
					t.Errorf("%d messages are listed", n)
				}
				if gone {
					c.Close()
				}
				q.Taken()[0].Finish(outcome)
				want := 0
				if outcome == nil {
					want = 1
				}
				brokertest.Eventually(t, "the outcome", func() bool { return b.Stats().Delayed == want })
				if want == 1 {
					for x := range b.Delayed() {
						if err := b.CancelDelayed(x.ID); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
}

// A store that fails later is tried again like a queue that is full.
func TestDelayedMessageMeetsAStoreThatFails(t *testing.T) {
	timeless(t, broker.Options{}, func(t *testing.T, b *broker.Broker) {
		q := b.UseLateQueues()
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/a", Headers: header("delay", "1000")}); err != nil {
			t.Fatal(err)
		}
		for i := range 7 { // at last the dead letter
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := len(q.Taken()); n != i+1 {
				t.Fatalf("%d attempts, want %d", n, i+1)
			}
			err := errors.New("no store")
			if i == 6 {
				err = nil
			}
			q.Taken()[i].Finish(err)
			synctest.Wait()
		}
		if got := q.Taken()[6].Queues; !slices.Equal(got, []string{"/queue/DLQ.a"}) || b.Stats().Delayed != 0 {
			t.Errorf("at last it went to %v, %d are left", got, b.Stats().Delayed)
		}
	})
}

// A broker that closes says what it loses.
func TestDelayedMessagesAreDiscarded(t *testing.T) {
	var log strings.Builder
	timeless(t, broker.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, b *broker.Broker) {
		for range 3 {
			if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Headers: header("delay", "1000")}); err != nil {
				t.Fatal(err)
			}
		}
		_ = b.Close()
		time.Sleep(time.Minute) // the timer is off
	})
	if !strings.Contains(log.String(), "delayed messages discarded") || !strings.Contains(log.String(), "messages=3") {
		t.Errorf("the log is %s", log.String())
	}
}

// A delayed message holds no more memory than it counts.
func TestDelayedMessageHoldsWhatItCounts(t *testing.T) {
	for _, body := range []int{0, 300} {
		b := newBroker(t, broker.Options{})
		s := brokertest.Connect(t, b, "login", "ann")
		before := testkit.Heap()
		const n = 5000
		for i := range n {
			s.Send("SEND", strings.Repeat("x", body), "destination", "/topic/a", "delay", "3600000", "number", fmt.Sprint(i))
			if i%100 == 0 {
				s.Sync(t)
			}
		}
		s.Sync(t)
		held, counted := testkit.Heap()-before, b.Stats().DelayedBytes
		t.Logf("%d messages hold %d bytes, %d are counted", n, held, counted)
		if held > counted {
			t.Errorf("%d messages hold %d bytes, %d are counted", n, held, counted)
		}
	}
}
