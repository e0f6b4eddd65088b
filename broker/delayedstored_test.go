package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A delayed message outlives the broker, with its sender, its expiry and its
// place in the limits. What falls due meanwhile is delivered at the start: to a
// queue at once, to a topic when clients have had time to come back. What was
// cancelled stays so.
func TestDelayedMessagesOutliveTheBroker(t *testing.T) {
	all := rules(t, allow("/**", auth.Send, auth.Subscribe))
	stored(t, broker.Options{Authorizer: all, Queues: broker.Queues{Delayed: 5}}, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		b := start()
		c := brokertest.Connect(t, b, "login", "ann")
		for _, x := range [][3]string{
			{"/queue/a", "soon", "1000"}, {"/topic/a", "soon", "1000"}, {"/user/ann/queue/a", "soon", "1000"},
			{"/queue/a", "later", "60000"}, {"/queue/a", "cancelled", "60000"},
		} {
			send(t, c, x[0], x[1], "delay", x[2], "ttl", "3600000", "x", "y")
		}
		c.Send("SEND", "", "destination", "/topic/a", "delay", "1000")
		wantError(t, c, 4429, "more than 5 delayed messages (queues.delayed)")
		before := slices.Collect(b.Delayed())
		if err := b.CancelDelayed(before[4].ID); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)

		b = start()
		synctest.Wait()
		after := slices.Collect(b.Delayed())
		if n := b.Stats().QueueMessages; n != 1 || len(after) != 3 || b.Stats().Delayed != 3 {
			t.Errorf("%d messages are in queues, %d wait", n, len(after))
		}
		if last := after[2]; last != before[3] || last.User != "ann" {
			t.Errorf("%+v was %+v", last, before[3])
		}
		if err := b.CancelDelayed(before[4].ID); !errors.Is(err, broker.ErrNotDelayed) {
			t.Errorf("cancelled again: %v", err)
		}
		c = brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "t", "/topic/a")
		c.Subscribe(t, "u", "/user/queue/a")
		c.Subscribe(t, "q", "/queue/a")
		m := wantMessages(t, c, "soon")[0]
		wantHeaders(t, m, "destination", "/queue/a", "x", "y", "delay", "-", "ttl", "3600000")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantMessages(t, c, "soon", "soon")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		wantMessages(t, c, "later")
		if st := b.Stats(); st.Delayed != 0 || st.DelayedBytes != 0 || st.QueueMessages != 0 {
			t.Errorf("left are %+v", st)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A broker that starts knows the messages that were accepted before, delayed
// ones too, and counts them in the limit.
func TestMessageIDsOutliveTheBroker(t *testing.T) {
	stored(t, broker.Options{Limits: broker.Limits{DedupIDs: 3}}, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		b := start()
		c := brokertest.Connect(t, b, "login", "ann")
		send(t, c, "/queue/a", "a", "message-dedup-id", "a")
		send(t, c, "/queue/a", "d", "message-dedup-id", "d", "delay", "600000")
		c.Subscribe(t, "s", "/queue/a")
		wantMessages(t, c, "a")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = start()
		c = brokertest.Connect(t, b, "login", "ann")
		for _, id := range []string{"a", "d"} {
			wantHeaders(t, sendOnce(t, c, "/queue/a", id, id), "duplicate", "true")
		}
		wantHeaders(t, sendOnce(t, c, "/queue//a/", "a", "a"), "duplicate", "true")
		begin(c, []string{"SEND", "", "destination", "/queue/a"}, []string{"SEND", "", "destination", "/queue/a", "delay", "1000", "message-dedup-id", "d"})
		wantError(t, c, 1002, `the message with the message-dedup-id "d" was accepted before`)
		c = brokertest.Connect(t, b, "login", "ann")
		wantHeaders(t, sendOnce(t, c, "/queue/a", "x", "x"), "duplicate", "-")
		c.Send("SEND", "y", "destination", "/queue/a", "message-dedup-id", "y")
		wantError(t, c, 4429, "more than 3 ids of messages within 2m0s (limits.dedup_ids)")
		time.Sleep(3 * time.Minute)
		c = brokertest.Connect(t, b, "login", "ann")
		wantHeaders(t, sendOnce(t, c, "/queue/a", "a", "a"), "duplicate", "-")
		if st := b.Stats(); st.QueueMessages != 2 || st.Delayed != 1 {
			t.Errorf("%d messages are in queues, %d wait", st.QueueMessages, st.Delayed)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Delay implements broker.DelayStore.
func (s *faultyStore) Delay(delayed []broker.DelayPut, list []broker.QueuePut, done func(error)) {
	s.QueueStore.Delay(delayed, list, s.spoil(done))
}

// OpenDelays implements broker.DelayStore.
func (s *faultyStore) OpenDelays(feed func([]broker.StoredDelay)) broker.DelayReader {
	return &faultyDelays{s.QueueStore.OpenDelays(feed), s}
}

type faultyDelays struct {
	broker.DelayReader
	s *faultyStore
}

func (r *faultyDelays) Move(sequence uint64, to broker.QueuePut, done func(error)) {
	r.DelayReader.Move(sequence, to, r.s.spoil(done))
}

// Whatever a store does, a delayed message with a RECEIPT is in its queue once.
func TestDelayedMessagesWithFaults(t *testing.T) {
	const senders, each = 4, 150
	s := newFaultyStore(11)
	b := brokertest.New(t, broker.Options{QueueStore: s})
	var mu sync.Mutex
	sent := make(map[string]bool)
	var sending sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			c := brokertest.Connect(t, b)
			for i := range each {
				body := fmt.Sprintf("%d-%d", n, i)
				headers := []string{"destination", "/queue/jobs", "delay", fmt.Sprint(1 + i%7)}
				if i%10 == 9 {
					begin(c, append([]string{"SEND", body}, headers...), []string{"SEND", body + "+", "destination", "/queue/jobs"})
					c.Send("COMMIT", "", "transaction", "t", "receipt", body)
				} else {
					c.Send("SEND", body, append(headers, "receipt", body)...)
				}
				switch f, err := c.Receive(); {
				case err != nil:
					t.Error(err)
					return
				case f.Command == "RECEIPT" && f.Get("receipt-id") == body:
					mu.Lock()
					sent[body] = true
					mu.Unlock()
				case f.Command == "ERROR" && f.Get("message") == notStored:
					c = brokertest.Connect(t, b) // it may have been stored
				default:
					t.Errorf("got %v", f)
					return
				}
			}
		})
	}
	testkit.Wait(t, &sending)
	s.calmDown()
	brokertest.Eventually(t, "all are delivered", func() bool { return b.Stats().Delayed == 0 })
	list, err := s.Browse(t.Context(), "/queue/jobs", 0, 10*senders*each)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, m := range list {
		found[string(m.Message.Body)]++
	}
	for body, n := range found {
		if n != 1 {
			t.Errorf("%s is there %d times", body, n)
		}
	}
	for body := range sent {
		if found[body] != 1 {
			t.Errorf("%s was accepted and is there %d times", body, found[body])
		}
	}
	if len(sent) < senders*each/2 {
		t.Errorf("only %d of %d messages were accepted for certain", len(sent), senders*each)
	}
}
