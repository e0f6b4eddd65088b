package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// stored runs f with a store and a function that makes brokers which use it, in
// a bubble.
func stored(t *testing.T, o broker.Options, f func(t *testing.T, s *brokertest.QueueStore, start func() *broker.Broker)) {
	t.Helper()
	o.HeartBeat = frames.HeartBeat{Send: -1, Receive: -1}
	synctest.Test(t, func(t *testing.T) {
		s := brokertest.NewQueueStore(o.Queues)
		if o.QueueStore == nil {
			o.QueueStore = s
		}
		f(t, s, func() *broker.Broker { return brokertest.New(t, o) })
	})
}

// What is in a store outlives the broker: what waits, what a consumer held, in
// order, and how often a message was delivered.
func TestStoredQueuesOutliveTheBroker(t *testing.T) {
	j := newJournal()
	stored(t, broker.Options{Logger: j.logger(), Queues: broker.Queues{Attempts: 2}}, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		b := start()
		jobs := publishJobs(t, b, "/queue/jobs", 4)
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "2")
		got := wantMessages(t, c, "1", "2")
		answer(c, "1.2", "NACK", got[0]) // the first failed delivery
		wantMessages(t, c, "1")
		if err := b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		wantAttrs(t, j.await(t, "queues are kept in the store", 1), "queues", "1", "messages", "4")
		if n := len(j.all("queue discarded: its messages were in memory only")); n != 0 {
			t.Error("the log says that queues are lost")
		}

		b = start()
		c = brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		got = wantMessages(t, c, jobs...)
		for i, redelivered := range []string{"true", "true", "-", "-"} {
			wantHeaders(t, got[i], "redelivered", redelivered)
		}
		answer(c, "1.2", "NACK", got[0]) // the second, which is one too many
		wantMessages(t, c)
		c.Subscribe(t, "d", "/queue/DLQ.jobs")
		wantHeaders(t, wantMessages(t, c, "1")[0], "delivery-attempts", "2", "original-destination", "/queue/jobs")
	})
}

// The RECEIPT of a SEND, of a COMMIT, and the end of Publish say that the store
// has the messages.
func TestStoredReceiptsWaitForTheStore(t *testing.T) {
	onHold(t, broker.Options{}, func(t *testing.T, s *heldStore, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "1", "destination", "/queue/jobs", "receipt", "1")
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "1")
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "2", "destination", "/queue/jobs", "transaction", "t")
		c.Send("SEND", "3", "destination", "/queue/others", "transaction", "t")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "2")
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "2")
		result := make(chan error, 1)
		go func() { result <- b.Publish(context.Background(), &broker.Message{Destination: "/queue/jobs"}) }()
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("Publish returned %v before the message was stored", err)
		default:
		}
		s.release(t, 1)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// The RECEIPTs of ACK, NACK, UNSUBSCRIBE and DISCONNECT wait until the store is
// certain of the acknowledgements before them.
func TestStoredReceiptsOfAcksWait(t *testing.T) {
	onHold(t, broker.Options{}, func(t *testing.T, s *heldStore, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		for i := range 3 {
			c.Send("SEND", fmt.Sprint(i), "destination", "/queue/jobs")
		}
		c.Send("SEND", "other", "destination", "/queue/others")
		s.release(t, 4)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		got := wantQuietly(t, c, "0", "1", "2")
		c.Subscribe(t, "t", "/queue/others", "ack", "client")
		other := wantQuietly(t, c, "other")[0]
		answer(c, "1.2", "ACK", got[0], "receipt", "ack")
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "ack")
		answer(c, "1.2", "NACK", got[1], "receipt", "nack")
		expectMessage(t, c, "1") // again
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "nack")
		answer(c, "1.2", "ACK", got[2])
		c.Send("UNSUBSCRIBE", "", "id", "s", "receipt", "unsubscribe")
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "unsubscribe")
		answer(c, "1.2", "ACK", other)
		c.Send("DISCONNECT", "", "receipt", "disconnect")
		wantQuiet(t, c)
		s.release(t, 1)
		c.ExpectReceipt(t, "disconnect")
		synctest.Wait()
		if n := b.Stats().QueueMessages; n != 1 {
			t.Errorf("%d messages are left, want the one that was refused", n)
		}
	})
}

// Nothing is receipted that is not stored, and a SEND that asks for no receipt is
// not lost in silence. The limit is named by its key.
func TestStoredSendFails(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		text string
	}{
		{errStore, 1011, notStored},
		{&broker.QueueFullError{Key: "queues.messages", Limit: 7}, 4429, "queue limit reached: at most 7 messages per queue (queues.messages)"},
		{&broker.QueueFullError{Key: "store.reserve", Limit: 7, Text: "the disk has less than 7 bytes free"}, 4429, "the disk has less than 7 bytes free (store.reserve)"},
	} {
		for _, receipt := range []string{"", "r"} {
			s := &failingStore{err: tc.err}
			stored(t, broker.Options{QueueStore: s}, func(t *testing.T, plain *brokertest.QueueStore, start func() *broker.Broker) {
				s.QueueStore = plain
				b := start()
				c := brokertest.Connect(t, b)
				headers := []string{"destination", "/queue/jobs"}
				if receipt != "" {
					headers = append(headers, "receipt", receipt)
				}
				c.Send("SEND", "x", headers...)
				f := wantError(t, c, tc.code, tc.text)
				if got := f.Get("receipt-id"); got != receipt {
					t.Errorf("receipt-id is %q, want %q", got, receipt)
				}
				err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/jobs"})
				if full := tc.code == 4429; errors.Is(err, broker.ErrQueueFull) != full || !errors.Is(err, tc.err) {
					t.Errorf("Publish returned %v", err)
				}
			})
		}
	}
}

// failingStore refuses what it is to store.
type failingStore struct {
	broker.QueueStore
	err error

	mu   sync.Mutex
	open error
}

// opens sets how Open ends.
func (s *failingStore) opens(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = err
}

func (s *failingStore) Append(_ []broker.QueuePut, done func(error)) { done(s.err) }

func (s *failingStore) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return nil, s.open
	}
	return s.QueueStore.Open(queue, feed)
}

// A queue that the store cannot read is opened again, with pauses; its consumers
// stay. What they held comes again, and its acknowledgement is refused.
func TestStoredQueueIsOpenedAgain(t *testing.T) {
	j := newJournal()
	s := &failingStore{}
	stored(t, broker.Options{Logger: j.logger(), QueueStore: s}, func(t *testing.T, plain *brokertest.QueueStore, start func() *broker.Broker) {
		s.QueueStore = plain
		b := start()
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		put := func(body string) {
			plain.Append([]broker.QueuePut{{Queue: "/queue/jobs", Message: &broker.Message{Destination: "/queue/jobs", Body: []byte(body)}}}, nil)
		}
		put("1")
		held := wantQuietly(t, c, "1")[0]
		s.opens(errStore)
		plain.Fail("/queue/jobs", errStore)
		put("2")
		time.Sleep(10 * time.Second)
		wantQuietly(t, c)
		if n := len(j.all("the store of the queues cannot be read: they are opened again after a pause")); n != 1 {
			t.Errorf("%d records say so", n)
		}
		s.opens(nil)
		time.Sleep(5 * time.Second)
		got := wantQuietly(t, c, "1", "2")
		wantHeaders(t, got[0], "redelivered", "true")
		wantHeaders(t, got[1], "redelivered", "-")
		if n := len(j.all("the store of the queues can be read again")); n != 1 {
			t.Errorf("%d records say so", n)
		}
		answer(c, "1.2", "ACK", held, "receipt", "late")
		wantLateError(t, c, "late", "the message is not held any more: it may be delivered again")

		s.opens(errStore) // a first consumer is told
		c = brokertest.Connect(t, b)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/queue/others")
		wantError(t, c, 1011, "the queue cannot be read now")
		if _, err := b.Subscribe(t.Context(), "/queue/others", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); !errors.Is(err, errStore) {
			t.Errorf("Subscribe returned %v", err)
		}
	})
}

// wantQuietly is wantMessages once nothing moves any more.
func wantQuietly(t *testing.T, c *brokertest.Client, bodies ...string) []*frames.Frame {
	t.Helper()
	synctest.Wait()
	return wantMessages(t, c, bodies...)
}

// A message with a message-dedup-id that a broker before this one accepted is not
// stored again.
func TestStoredDuplicates(t *testing.T) {
	stored(t, broker.Options{}, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		b := start()
		c := brokertest.Connect(t, b, "login", "ann")
		send(t, c, "/queue/jobs", "x", "message-dedup-id", "a")
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/jobs", Headers: []broker.Header{{Name: "message-dedup-id", Value: "a"}}}); err != nil {
			t.Error(err) // the program is somebody else
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = start()
		c = brokertest.Connect(t, b, "login", "ann")
		for range 2 { // by the store, then by this broker
			c.Send("SEND", "x", "destination", "/queue/jobs", "message-dedup-id", "a", "receipt", "r")
			wantHeaders(t, c.Expect(t, "RECEIPT"), "receipt-id", "r", "duplicate", "true")
		}
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/jobs", Headers: []broker.Header{{Name: "message-dedup-id", Value: "a"}}}); !errors.Is(err, broker.ErrDuplicate) {
			t.Errorf("Publish returned %v", err)
		}
		if n := b.Stats().Duplicates; n != 3 {
			t.Errorf("%d duplicates are counted", n)
		}
		other := brokertest.Connect(t, b, "login", "bob")
		send(t, other, "/queue/jobs", "x", "message-dedup-id", "a")
		if n := b.Stats().QueueMessages; n != 3 {
			t.Errorf("%d messages are stored", n)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = start()
		c = brokertest.Connect(t, b, "login", "ann")
		second := start() // another one of the same store
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "", "destination", "/queue/jobs", "message-dedup-id", "a", "transaction", "t")
		if f := c.Expect(t, "ERROR"); !strings.Contains(f.Get("message"), `the message with the message-dedup-id "a" was accepted before`) {
			t.Errorf("the ERROR is %v", f.Headers)
		}
		send(t, brokertest.Connect(t, b, "login", "ann"), "/queue/jobs", "x", "message-dedup-id", "b")
		c = brokertest.Connect(t, second, "login", "ann")
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "", "destination", "/queue/jobs", "transaction", "t")
		c.Send("SEND", "", "destination", "/queue/jobs", "message-dedup-id", "b", "transaction", "t")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		if f := c.Expect(t, "ERROR"); f.Get("receipt-id") != "c" || !strings.Contains(f.Get("message"), `a message with the message-dedup-id "b" was accepted before`) {
			t.Errorf("the ERROR is %v", f.Headers)
		}
		if n := b.Stats().QueueMessages; n != 4 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// A broker takes from the store what its consumers can take, and gives back the
// rest, in order, when the last one leaves.
func TestStoredCredit(t *testing.T) {
	stored(t, broker.Options{}, func(t *testing.T, s *brokertest.QueueStore, start func() *broker.Broker) {
		b, other := start(), start()
		publishJobs(t, b, "/queue/jobs", 9)
		c, d := brokertest.Connect(t, b), brokertest.Connect(t, other)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client", "prefetch-count", "3")
		held := wantMessages(t, c, "1", "2", "3")
		d.Subscribe(t, "s", "/queue/jobs", "ack", "client", "prefetch-count", "4")
		wantMessages(t, d, "4", "5", "6", "7")
		answer(c, "1.2", "ACK", held[0])
		wantMessages(t, c, "8")
		c.Close()
		e := brokertest.Connect(t, other)
		e.Subscribe(t, "s", "/queue/jobs")
		for i, m := range wantMessages(t, e, "2", "3", "8", "9") {
			redelivered := "true"
			if i == 3 {
				redelivered = "-"
			}
			wantHeaders(t, m, "redelivered", redelivered)
		}
		if n := other.Stats().QueueMessages; n != 4 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// What a user has in the store counts for the next broker too: for a SEND and for
// a SUBSCRIBE.
func TestStoredLimitsOfAUser(t *testing.T) {
	o := broker.Options{Authenticator: auth.TrustLogin, Queues: broker.Queues{QueuesPerUser: 2, BytesPerUser: 10_000}}
	stored(t, o, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		const queues = "at most 2 queues of one user or address (queues.queues_per_user)"
		b := start()
		ann := brokertest.Connect(t, b, "login", "ann")
		send(t, ann, "/queue/a", strings.Repeat("x", 4000))
		send(t, ann, "/queue/b", strings.Repeat("x", 4000))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = start()
		ann = brokertest.Connect(t, b, "login", "ann")
		ann.Send("SEND", "x", "destination", "/queue/c")
		wantError(t, ann, 4429, queues)
		ann = brokertest.Connect(t, b, "login", "ann")
		ann.Send("SUBSCRIBE", "", "id", "1", "destination", "/queue/c")
		wantError(t, ann, 4429, queues)
		ann = brokertest.Connect(t, b, "login", "ann")
		ann.Send("SEND", strings.Repeat("x", 4000), "destination", "/queue/a")
		wantError(t, ann, 4429, "at most 10000 bytes in queues from one user or address (queues.bytes_per_user)")
		send(t, brokertest.Connect(t, b, "login", "bob"), "/queue/c", "x")
		ann = brokertest.Connect(t, b, "login", "ann")
		ann.Subscribe(t, "a", "/queue/a")
		wantMessages(t, ann, strings.Repeat("x", 4000))
		send(t, ann, "/queue/b", strings.Repeat("x", 4000))
	})
}

// What no consumer of a broker could take for a second goes back to the store,
// where another broker takes it, in order.
func TestStoredMessagesAreGivenBack(t *testing.T) {
	stored(t, broker.Options{}, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		b, other := start(), start()
		publishJobs(t, b, "/queue/jobs", 6)
		busy, gone := brokertest.Connect(t, b), brokertest.Connect(t, b)
		busy.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
		held := wantMessages(t, busy, "1")
		gone.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "3")
		wantMessages(t, gone, "2", "3", "4")
		gone.Close()
		synctest.Wait()
		d := brokertest.Connect(t, other)
		d.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "3")
		wantMessages(t, d, "5", "6")
		time.Sleep(900 * time.Millisecond)
		wantMessages(t, d) // the first broker still waits for its own consumer
		answer(busy, "1.2", "ACK", held[0])
		held = wantMessages(t, busy, "2")
		time.Sleep(900 * time.Millisecond)
		wantMessages(t, d) // that one could take one meanwhile
		time.Sleep(200 * time.Millisecond)
		wantHeaders(t, wantMessages(t, d, "3")[0], "redelivered", "true")
		answer(busy, "1.2", "ACK", held[0])
		wantMessages(t, busy, "4") // it is in the store, and the first that can take it gets it
	})
}

// A message stays unsettled until its dead letter is stored, and goes on being
// delivered if there is no room for it.
func TestStoredDeadLetterWaits(t *testing.T) {
	onHold(t, broker.Options{Queues: broker.Queues{Attempts: 1, Messages: 2}}, func(t *testing.T, s *heldStore, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "1", "destination", "/queue/jobs")
		s.release(t, 1)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		m := wantQuietly(t, c, "1")[0]
		answer(c, "1.2", "NACK", m)
		c.Send("UNSUBSCRIBE", "", "id", "s") // the reader waits for the dead letter
		wantQuietly(t, c)
		if d, dead := destination(b, "/queue/jobs"), destination(b, "/queue/DLQ.jobs"); d.Messages != 1 || dead.Messages != 0 {
			t.Errorf("%+v, %+v", d, dead)
		}
		s.release(t, 1)
		if d, dead := destination(b, "/queue/jobs"), destination(b, "/queue/DLQ.jobs"); d.Messages != 0 || dead.Messages != 1 {
			t.Errorf("%+v, %+v", d, dead)
		}
		for _, body := range []string{"2", "3"} {
			c.Send("SEND", body, "destination", "/queue/jobs")
		}
		s.release(t, 2)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		got := wantQuietly(t, c, "2", "3")
		answer(c, "1.2", "NACK", got[0])
		s.release(t, 1)
		answer(c, "1.2", "NACK", got[1]) // now its queue is full
		s.release(t, 1)
		m = wantQuietly(t, c, "3")[0]
		wantHeaders(t, m, "redelivered", "true")
		answer(c, "1.2", "ACK", m)
		wantQuietly(t, c)
		if d, dead := destination(b, "/queue/jobs"), destination(b, "/queue/DLQ.jobs"); d.Messages != 0 || dead.Messages != 2 {
			t.Errorf("%+v, %+v", d, dead)
		}
	})
}

// Purge also removes what was handed over to this broker and waits for its
// consumers.
func TestStoredPurge(t *testing.T) {
	stored(t, broker.Options{}, func(t *testing.T, s *brokertest.QueueStore, start func() *broker.Broker) {
		b := start()
		publishJobs(t, b, "/queue/jobs", 5)
		c, d := brokertest.Connect(t, b), brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
		d.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "2")
		wantMessages(t, c, "1")
		wantMessages(t, d, "2", "3")
		d.Send("UNSUBSCRIBE", "", "id", "s") // 2 and 3 wait here
		d.Sync(t)
		if n, err := b.Purge("/queue/jobs"); n != 4 || err != nil {
			t.Errorf("%d messages were removed, %v", n, err)
		}
		if n, err := b.Purge("/queue/jobs"); n != 0 || err != nil {
			t.Errorf("%d messages were removed, %v", n, err)
		}
		if _, err := b.Purge("/queue/none"); !errors.Is(err, broker.ErrNoQueue) {
			t.Error(err)
		}
		if d := destination(b, "/queue/jobs"); d.Messages != 1 || d.Unacknowledged != 1 || d.Subscriptions != 1 {
			t.Errorf("the queue is %+v", d)
		}
	})
}

// What expires while nobody reads its queue is found by the store.
func TestStoredExpiry(t *testing.T) {
	for _, mode := range []broker.ExpiredMode{broker.ExpiredDrop, broker.ExpiredDeadLetter} {
		stored(t, broker.Options{Queues: broker.Queues{Expired: mode}}, func(t *testing.T, s *brokertest.QueueStore, start func() *broker.Broker) {
			b := start()
			c := brokertest.Connect(t, b)
			send(t, c, "/queue/jobs", "late", "ttl", "1000")
			send(t, c, "/queue/jobs", "stays")
			time.Sleep(7 * time.Second)
			synctest.Wait()
			want := 0
			if mode == broker.ExpiredDeadLetter {
				want = 1
			}
			if d, dead := destination(b, "/queue/jobs"), destination(b, "/queue/DLQ.jobs"); d.Messages != 1 || dead.Messages != want {
				t.Errorf("%+v, %+v", d, dead)
			}
			wantExpired(t, b, 1)
		})
	}
}
