package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	judge "github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
)

// peek returns the messages of a queue, read in pages of two.
func peek(t testing.TB, b *broker.Broker, queue string) (all []broker.QueuedMessage) {
	t.Helper()
	for after := uint64(0); ; after = all[len(all)-1].Sequence {
		list, err := b.Browse(t.Context(), queue, after, 2)
		if errors.Is(err, broker.ErrNoQueue) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if m.Sequence <= after {
				t.Fatalf("sequence %d comes after %d", m.Sequence, after)
			}
			after = m.Sequence
			all = append(all, m)
		}
		if len(list) < 2 {
			return all
		}
	}
}

// inQueue fails unless a queue has exactly these bodies, in order.
func inQueue(t testing.TB, b *broker.Broker, queue string, bodies ...string) []broker.QueuedMessage {
	t.Helper()
	all := peek(t, b, queue)
	var got []string
	for _, m := range all {
		got = append(got, string(m.Message.Body))
	}
	if !slices.Equal(got, bodies) {
		t.Fatalf("%s has %q, want %q", queue, got, bodies)
	}
	return all
}

// move moves messages, which must succeed.
func move(t testing.TB, b *broker.Broker, from, to string, s broker.QueueSelection) broker.QueueMoved {
	t.Helper()
	m, err := b.MoveMessages(t.Context(), from, to, s)
	if err != nil {
		t.Fatalf("moving from %s to %q: %v", from, to, err)
	}
	handedOver(b)
	return m
}

// deadLetter makes a dead letter in /queue/DLQ.<name>.
func deadLetter(t testing.TB, b *broker.Broker, name, body string, headers ...string) {
	t.Helper()
	c := brokertest.Connect(t, b)
	send(t, c, "/queue/"+name, body, headers...)
	c.Subscribe(t, "dead", "/queue/"+name, "ack", "client-individual")
	for {
		list := c.Sync(t)
		if len(list) == 0 {
			break
		}
		answer(c, "1.2", "NACK", list[0])
	}
	c.Send("DISCONNECT", "", "receipt", "bye")
	c.ExpectReceipt(t, "bye")
	brokertest.Eventually(t, "its consumer is gone", func() bool {
		q, err := b.Queue("/queue/" + name)
		return err != nil || q.Consumers == 0 && q.Messages > 0
	})
}

// Queues are listed with what they hold, and whose dead letters they are.
func TestQueuesAreListed(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	begin := time.Now().Add(-time.Second) // the clock of the broker is coarse
	deadLetter(t, b, "orders/eu", "x")
	publish(t, b, "/queue/jobs", "1")
	publish(t, b, "/queue/jobs", "22")
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "t", "/queue/empty")
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
	wantMessages(t, c, "1")
	got := make(map[string]broker.QueueInfo)
	for q := range b.Queues() {
		one, err := b.Queue(q.Name)
		if err != nil || one != q {
			t.Errorf("Queue returned %+v, %v, and Queues %+v", one, err, q)
		}
		if hasMessages := q.Messages > 0; hasMessages == q.Oldest.IsZero() || hasMessages && (q.Oldest.Before(begin) || q.Oldest.After(time.Now())) {
			t.Errorf("the oldest message of %s is of %v", q.Name, q.Oldest)
		}
		if (q.Bytes > 0) != (q.Messages > 0) {
			t.Errorf("%s has %d messages of %d bytes", q.Name, q.Messages, q.Bytes)
		}
		q.Bytes, q.Oldest = 0, time.Time{}
		got[q.Name] = q
	}
	want := map[string]broker.QueueInfo{
		"/queue/DLQ.orders/eu": {Name: "/queue/DLQ.orders/eu", Messages: 1, DeadLettersOf: "/queue/orders/eu"},
		"/queue/jobs":          {Name: "/queue/jobs", Messages: 2, Unacknowledged: 1, Consumers: 1},
		"/queue/empty":         {Name: "/queue/empty", Consumers: 1},
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, q := range want {
		if got[name] != q {
			t.Errorf("%+v, want %+v", got[name], q)
		}
	}
	if _, err := b.Queue("/queue/none"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("a queue that does not exist: %v", err)
	}
}

// Browse shows what waits and what consumers hold, and takes nothing away.
func TestBrowse(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	send(t, c, "/queue/jobs", "1", "k", "v", "expires", "4102444800000")
	for _, body := range []string{"2", "3", "4", "5"} {
		send(t, c, "/queue/jobs", body)
	}
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "2")
	first := wantMessages(t, c, "1", "2")[0]
	answer(c, "1.2", "NACK", first)
	first = wantMessages(t, c, "1")[0]
	all := inQueue(t, b, "/queue/jobs", "1", "2", "3", "4", "5")
	for i, m := range all {
		attempts, redelivered, held := 0, false, i < 2
		if i == 0 {
			attempts, redelivered = 1, true
		}
		// A store may set redelivered too often.
		if m.Attempts != attempts || redelivered && !m.Redelivered || m.Held != held || m.Bytes == 0 || m.Put.IsZero() {
			t.Errorf("message %d is %+v, want %d attempts, held: %v", i, m, attempts, held)
		}
	}
	if m := all[0]; m.Message.ID != first.Get("message-id") || m.Message.Header("k") != "v" || m.Message.Destination != "/queue/jobs" || m.Expires.UnixMilli() != 4102444800000 {
		t.Errorf("the first is %+v, %+v", m, m.Message)
	}
	answer(c, "1.2", "ACK", first)
	wantMessages(t, c, "3")
	inQueue(t, b, "/queue/jobs", "2", "3", "4", "5")
	if list, err := b.Browse(t.Context(), "/queue/jobs", all[4].Sequence, 10); err != nil || len(list) != 0 {
		t.Errorf("after the last: %v %v", list, err)
	}
	if list, err := b.Browse(t.Context(), "/queue/jobs", 0, -1); err != nil || len(list) != 4 {
		t.Errorf("without a limit: %d messages, %v", len(list), err)
	}
}

// Single messages are removed by their message-id or their sequence, but not
// under the hands of a consumer.
func TestRemoveMessages(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	for i := range 6 {
		publish(t, b, "/queue/jobs", fmt.Sprint(i))
	}
	remove := func(want broker.QueueRemoved, s broker.QueueSelection) {
		t.Helper()
		if got, err := b.RemoveMessages(t.Context(), "/queue/jobs", s); got != want || err != nil {
			t.Errorf("removing %+v: %+v, %v, want %+v", s, got, err, want)
		}
	}
	all := inQueue(t, b, "/queue/jobs", "0", "1", "2", "3", "4", "5")
	remove(broker.QueueRemoved{Removed: 2}, broker.QueueSelection{IDs: []string{all[1].Message.ID, "none", ""}, Sequences: []uint64{all[3].Sequence, 0, 1 << 63}})
	inQueue(t, b, "/queue/jobs", "0", "2", "4", "5")
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
	held := wantMessages(t, c, "0")[0]
	remove(broker.QueueRemoved{Removed: 1, Held: 1}, broker.QueueSelection{Sequences: []uint64{all[0].Sequence, all[4].Sequence}})
	remove(broker.QueueRemoved{Removed: 1}, broker.QueueSelection{IDs: []string{all[2].Message.ID, all[5].Message.ID}, Limit: 1})
	answer(c, "1.2", "ACK", held)
	wantMessages(t, c, "5")
	remove(broker.QueueRemoved{}, broker.QueueSelection{IDs: []string{"none"}})
	if _, err := b.RemoveMessages(t.Context(), "/queue/jobs", broker.QueueSelection{Limit: 1}); !errors.Is(err, broker.ErrSelection) {
		t.Errorf("without names: %v", err)
	}
	if _, err := b.RemoveMessages(t.Context(), "/queue/none", broker.QueueSelection{IDs: []string{"x"}}); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("in a queue that does not exist: %v", err)
	}
	if n := b.Stats().QueueMessages; n != 1 {
		t.Errorf("%d messages are left, want the one that is held", n)
	}
}

// Messages move in order, with all that they are, and at once to a consumer.
func TestMoveMessages(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, to := brokertest.Connect(t, b), brokertest.Connect(t, b)
	send(t, c, "/queue/a", "0", "k", "v", "original-destination", "/queue/x", "expires", "4102444800000")
	for i := 1; i < 8; i++ {
		send(t, c, "/queue/a", fmt.Sprint(i))
	}
	all := inQueue(t, b, "/queue/a", "0", "1", "2", "3", "4", "5", "6", "7")
	to.Subscribe(t, "s", "/queue/b", "ack", "client-individual")
	if got := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{Limit: 2}); got != (broker.QueueMoved{Moved: 2, Next: all[1].Sequence}) {
		t.Errorf("moved %+v", got)
	}
	m := wantMessages(t, to, "0", "1")[0]
	wantHeaders(t, m, "destination", "/queue/b", "message-id", all[0].Message.ID, "k", "v", "original-destination", "/queue/x", "expires", "4102444800000", "redelivered", "-")
	if got := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{IDs: []string{all[6].Message.ID, "none"}, Sequences: []uint64{all[3].Sequence}}); got != (broker.QueueMoved{Moved: 2}) {
		t.Errorf("moved %+v", got)
	}
	wantMessages(t, to, "3", "6")

	c.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "prefetch-count", "1")
	held := wantMessages(t, c, "2")[0]
	if got := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{After: all[4].Sequence}); got != (broker.QueueMoved{Moved: 2}) {
		t.Errorf("moved %+v", got)
	}
	wantMessages(t, to, "5", "7")
	if got := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{}); got != (broker.QueueMoved{Moved: 1}) {
		t.Errorf("moved %+v", got)
	}
	wantMessages(t, to, "4")
	answer(c, "1.2", "ACK", held)
	wantMessages(t, c)
	if got := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{}); got != (broker.QueueMoved{}) {
		t.Errorf("moved %+v out of an empty queue", got)
	}
	if d := destination(b, "/queue/b"); d.Messages != 7 || d.Unacknowledged != 7 {
		t.Errorf("the target is %+v", d)
	}
	if got := move(t, b, "/queue/b", "/queue/a", broker.QueueSelection{}); got != (broker.QueueMoved{}) {
		t.Errorf("moved %+v, which a consumer holds", got)
	}
}

// Dead letters return to their queue as they were before. What did not come from
// there stays.
func TestDeadLettersReturn(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	deadLetter(t, b, "orders/eu", "1", "k", "v", "original-destination", "/queue/forged", "delivery-attempts", "9")
	c := brokertest.Connect(t, b)
	send(t, c, "/queue/DLQ.orders/eu", "forged", "original-destination", "/queue/payments")
	send(t, c, "/queue/DLQ.orders/eu", "plain")
	deadLetter(t, b, "orders/eu", "2")
	all := inQueue(t, b, "/queue/DLQ.orders/eu", "1", "forged", "plain", "2")
	if got := move(t, b, "/queue/DLQ.orders/eu", "", broker.QueueSelection{}); got != (broker.QueueMoved{Moved: 2, Skipped: 2}) {
		t.Fatalf("moved %+v", got)
	}
	inQueue(t, b, "/queue/DLQ.orders/eu", "forged", "plain")
	inQueue(t, b, "/queue/payments")
	c.Subscribe(t, "s", "/queue/orders/eu", "ack", "client-individual")
	m := wantMessages(t, c, "1", "2")[0]
	wantHeaders(t, m, "destination", "/queue/orders/eu", "message-id", all[0].Message.ID, "k", "v",
		"original-destination", "-", "delivery-attempts", "-", "dead-letter-reason", "-")
	answer(c, "1.2", "NACK", m) // the only attempt, again
	wantMessages(t, c)
	again := inQueue(t, b, "/queue/DLQ.orders/eu", "forged", "plain", "1")[2].Message
	if again.Header("delivery-attempts") != "1" || again.Header("original-destination") != "/queue/orders/eu" {
		t.Errorf("it died again as %+v", again)
	}

	// Elsewhere they keep what they are, and the others can go there.
	if got := move(t, b, "/queue/DLQ.orders/eu", "/queue/repair", broker.QueueSelection{}); got.Moved != 3 {
		t.Fatalf("moved %+v", got)
	}
	if m := inQueue(t, b, "/queue/repair", "forged", "plain", "1")[2].Message; m.Header("original-destination") != "/queue/orders/eu" || m.Destination != "/queue/repair" {
		t.Errorf("moved elsewhere as %+v", m)
	}
}

// A target that is full takes what it can, and the rest stays in order.
func TestMoveToAFullTarget(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Messages: 4}})
	for _, body := range []string{"1", "2", "3", "4"} {
		publish(t, b, "/queue/a", body)
	}
	publish(t, b, "/queue/b", "x")
	publish(t, b, "/queue/b", "y")
	got, err := b.MoveMessages(t.Context(), "/queue/a", "/queue/b", broker.QueueSelection{})
	if got != (broker.QueueMoved{Moved: 2}) || !errors.Is(err, broker.ErrQueueFull) {
		t.Fatalf("%+v, %v", got, err)
	}
	if text := err.Error(); text != "broker: queue full: /queue/b takes no more: queue limit reached: at most 4 messages per queue (queues.messages)" {
		t.Errorf("the error is %q", text)
	}
	inQueue(t, b, "/queue/a", "3", "4")
	inQueue(t, b, "/queue/b", "x", "y", "1", "2")
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a")
	wantMessages(t, c, "3", "4")
}

// Whatever is no work queue is refused, and nothing changes.
func TestInspectionRefuses(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Transient: []string{"/queue/quick/**"}}})
	publish(t, b, "/queue/jobs", "1")
	long := "/queue/" + strings.Repeat("x", 1014)
	ctx := t.Context()
	all := broker.QueueSelection{Sequences: []uint64{1}}
	for _, name := range []string{
		"", "/", "jobs", "/queue", "/queue/", "/queue/*", "/queue/**", "/topic/a", "/app/a", "/user/ann/queue/a", "/temp-queue/a",
		"/queue/quick/a", "/queue/a\x00b", "\xff", "/queue/" + strings.Repeat("x", 2000),
	} {
		_, e1 := b.Queue(name)
		_, e2 := b.Browse(ctx, name, 0, 1)
		_, e3 := b.RemoveMessages(ctx, name, all)
		_, e4 := b.MoveMessages(ctx, name, "/queue/b", broker.QueueSelection{})
		_, e5 := b.Purge(name)
		for i, err := range []error{e1, e2, e3, e4, e5} {
			if !errors.Is(err, broker.ErrDestination) {
				t.Errorf("%.50q: call %d returns %v", name, i, err)
			}
		}
		if name == "" {
			continue // means the queue of the dead letters
		}
		if _, err := b.MoveMessages(ctx, "/queue/jobs", name, broker.QueueSelection{}); !errors.Is(err, broker.ErrDestination) {
			t.Errorf("moving to %.50q returns %v", name, err)
		}
	}
	for what, names := range map[string][2]string{
		"itself": {"/queue/jobs", "/queue/jobs"}, "itself in another spelling": {"/queue/jobs", "/queue//jobs"},
		"no queue of dead letters": {"/queue/jobs", ""}, "a name that has no dead letters": {"/queue/jobs", long},
	} {
		if _, err := b.MoveMessages(ctx, names[0], names[1], broker.QueueSelection{}); what != "itself in another spelling" && !errors.Is(err, broker.ErrDestination) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"Browse": second(b.Browse(ctx, "/queue/none", 0, 1)),
		"Move":   second(b.MoveMessages(ctx, "/queue/none", "/queue/b", broker.QueueSelection{})),
	} {
		if !errors.Is(err, broker.ErrNoQueue) {
			t.Errorf("%s of a queue that does not exist: %v", what, err)
		}
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.MoveMessages(over, "/queue/jobs", "/queue/b", broker.QueueSelection{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// While others consume, pages overlap in nothing, and their order holds.
func TestBrowseWhileOthersConsume(t *testing.T) {
	const messages = 400
	b := newBroker(t, broker.Options{})
	for i := range messages {
		publish(t, b, "/queue/jobs", fmt.Sprint(i))
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "5")
	var consuming sync.WaitGroup
	consuming.Go(func() {
		for range messages {
			f, err := c.Receive()
			if err != nil {
				t.Error(err)
				return
			}
			c.Send("ACK", "", "id", f.Get("ack"))
		}
	})
	for over := false; !over; {
		all := peek(t, b, "/queue/jobs")
		over = len(all) == 0
		for i := 1; i < len(all); i++ {
			if all[i].Sequence <= all[i-1].Sequence {
				t.Fatal("the order is wrong")
			}
		}
	}
	consuming.Wait()
}

// Messages are moved while consumers of both queues take them: none is lost, and
// none comes twice.
func TestMoveWhileConsumersRun(t *testing.T) {
	const publishers, each, burst = 3, 200, 40
	b := newBroker(t, broker.Options{})
	queues := []string{"/queue/a", "/queue/b"}
	ck := judge.New(judge.Options{Match: func(subscribed, _, sent string) bool {
		return slices.Contains(queues, subscribed) && sent == queues[0]
	}})
	var done sync.WaitGroup
	var moved atomic.Int64
	stop := meanwhile(t, func() {
		m, err := b.MoveMessages(t.Context(), queues[0], queues[1], broker.QueueSelection{Limit: 7})
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			t.Error(err)
		}
		moved.Add(int64(m.Moved))
	})
	first := brokertest.Connect(t, b)
	s := ck.Session(judge.Who{Node: "n", User: "publisher", Session: first.Session})
	id := s.Send(queues[0], "")
	first.Send("SEND", string(judge.Body(id, 50)), "destination", queues[0], "receipt", "r")
	first.ExpectReceipt(t, "r")
	s.Receipted(id)
	brokertest.Eventually(t, "one is moved, because nobody consumes yet", func() bool { return moved.Load() > 0 })
	got := make(chan struct{}, publishers*each+1)
	var clients []*brokertest.Client
	for i := range 4 {
		c := brokertest.Connect(t, b)
		clients = append(clients, c)
		s := ck.Session(judge.Who{Node: "n", User: "worker", Session: c.Session})
		sub := s.Subscribe("s", queues[i%2], judge.Individual, nil)
		c.Subscribe(t, "s", queues[i%2], "ack", "client-individual", "prefetch-count", fmt.Sprint(1+i))
		sub.Receipted("")
		done.Go(func() {
			for n := 0; ; n++ {
				f, err := c.Receive()
				if err != nil {
					return
				}
				if f.Command != "MESSAGE" {
					continue
				}
				id, sub := s.Message(judge.Message{Subscription: "s", Destination: f.Get("destination"), MessageID: f.Get("message-id"), Redelivered: f.Get("redelivered") == "true", Body: f.Body})
				s.Ack(sub, id, "")
				c.Send("ACK", "", "id", f.Get("ack"))
				got <- struct{}{}
			}
		})
	}
	for range publishers {
		done.Go(func() {
			c := brokertest.Connect(t, b)
			s := ck.Session(judge.Who{Node: "n", User: "publisher", Session: c.Session})
			for range each / burst {
				var ids []judge.ID
				for range burst {
					id := s.Send(queues[0], "")
					c.Send("SEND", string(judge.Body(id, 50)), "destination", queues[0], "receipt", "r")
					ids = append(ids, id)
				}
				for _, id := range ids {
					c.ExpectReceipt(t, "r")
					s.Receipted(id)
				}
			}
		})
	}
	for range publishers*each + 1 {
		select {
		case <-got:
		case <-time.After(time.Minute):
			t.Fatalf("after a minute %d are outstanding", ck.Outstanding())
		}
	}
	stop()
	brokertest.Eventually(t, "the queues are empty", func() bool { return b.Stats().QueueMessages == 0 })
	for _, q := range queues {
		ck.Drained(q)
	}
	if r := ck.Report(); len(r.Violations) > 0 {
		t.Errorf("%d violations, such as %v", len(r.Violations), r.Violations[0])
	}
	for _, c := range clients {
		c.Close()
	}
	done.Wait()
}
