package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// late runs f with a broker whose queues finish when the test says so.
func late(t *testing.T, o broker.Options, f func(t *testing.T, b *broker.Broker, q *broker.LateQueues)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, o)
		f(t, b, b.UseLateQueues())
	})
}

// wantTaken fails unless the queues have taken so much, once nothing moves any
// more.
func wantTaken(t *testing.T, q *broker.LateQueues, n int) []*broker.Late {
	t.Helper()
	synctest.Wait()
	list := q.Taken()
	if len(list) != n {
		t.Fatalf("the queues have taken %d, want %d", len(list), n)
	}
	return list
}

// wantQuiet fails if anything comes.
func wantQuiet(t *testing.T, c *brokertest.Client) {
	t.Helper()
	synctest.Wait()
	if n := c.Pending(); n > 0 {
		f, err := c.Receive()
		t.Fatalf("got %v, %v, want nothing", f, err)
	}
}

func wantLateError(t *testing.T, c *brokertest.Client, receipt, text string) {
	t.Helper()
	f := c.Expect(t, "ERROR")
	if id, ok := f.Lookup("receipt-id"); id != receipt || ok != (receipt != "") || f.Get("message") != text {
		t.Fatalf("the ERROR is %v, want receipt-id %q and %q", f.Headers, receipt, text)
	}
}

var errStore = errors.New("the disk is on fire")

const notStored = "what was sent could not be stored"

func job(c *brokertest.Client, receipt string) {
	headers := []string{"destination", "/queue/jobs"}
	if receipt != "" {
		headers = append(headers, "receipt", receipt)
	}
	c.Send("SEND", receipt, headers...)
}

// Whatever asks for a receipt behind a SEND that is not stored yet is done at
// once and gets its receipt after that one's.
func TestReceiptsKeepTheOrderOfTheirFrames(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		other := brokertest.Connect(t, b)
		other.Subscribe(t, "s", "/topic/a")
		c := brokertest.Connect(t, b)
		job(c, "1")
		c.Send("SEND", "at once", "destination", "/topic/a", "receipt", "2")
		c.Send("SUBSCRIBE", "", "id", "a", "destination", "/topic/a", "receipt", "3")
		c.Send("SEND", "held", "destination", "/topic/a")
		c.Send("BEGIN", "", "transaction", "t", "receipt", "4")
		c.Send("SEND", "committed", "destination", "/topic/b", "transaction", "t", "receipt", "5")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "6")
		c.Send("SUBSCRIBE", "", "id", "b", "destination", "/topic/c", "receipt", "7")
		c.Send("UNSUBSCRIBE", "", "id", "b", "receipt", "8")
		c.Send("DISCONNECT", "", "receipt", "9")
		wantQuiet(t, c)
		wantMessages(t, other, "at once", "held")
		wantTaken(t, q, 1)[0].Finish(nil)
		for _, id := range []string{"1", "2", "3"} {
			c.ExpectReceipt(t, id)
		}
		if m := c.Expect(t, "MESSAGE"); string(m.Body) != "held" {
			t.Errorf("got %q", m.Body)
		}
		for _, id := range []string{"4", "5", "6", "7", "8", "9"} {
			c.ExpectReceipt(t, id)
		}
		if err := c.Ended(t); err != nil {
			t.Error(err)
		}
	})
}

// A SUBSCRIBE without a receipt waits for nobody.
func TestSubscribeWithoutReceiptOpensAtOnce(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		job(c, "1")
		c.Send("SUBSCRIBE", "", "id", "a", "destination", "/topic/a")
		c.Send("SEND", "x", "destination", "/topic/a")
		c.Expect(t, "MESSAGE")
		wantTaken(t, q, 1)[0].Finish(nil)
		c.ExpectReceipt(t, "1")
	})
}

// The consumer of a queue begins when its receipt is out, and not at all if it
// has left by then.
func TestQueueSubscriptionBehindAReceipt(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		job(c, "1")
		c.Send("SUBSCRIBE", "", "id", "gone", "destination", "/queue/jobs", "receipt", "2")
		c.Send("UNSUBSCRIBE", "", "id", "gone", "receipt", "3")
		c.Send("SUBSCRIBE", "", "id", "stays", "destination", "/queue/jobs", "receipt", "4")
		wantTaken(t, q, 1)[0].Finish(nil)
		for _, id := range []string{"1", "2", "3", "4"} {
			c.ExpectReceipt(t, id)
		}
		if m := c.Expect(t, "MESSAGE"); m.Get("subscription") != "stays" {
			t.Errorf("delivered to %q", m.Get("subscription"))
		}
	})
}

func TestReceiptsOfPutsThatFinishInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}} {
		late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
			c := brokertest.Connect(t, b)
			for i := range order {
				job(c, fmt.Sprint(i))
			}
			list := wantTaken(t, q, len(order))
			var done [4]bool
			next := 0
			for _, i := range order {
				list[i].Finish(nil)
				for done[i] = true; next < len(done) && done[next]; next++ {
					c.ExpectReceipt(t, fmt.Sprint(next))
				}
				wantQuiet(t, c)
			}
		})
	}
}

// A failure that comes late is the ERROR of its frame, after the receipts of
// those before it, and ends the session. What finishes after that finds nobody.
func TestLateFailureIsAnError(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		for _, id := range []string{"1", "2", "3", "4"} {
			job(c, id)
		}
		list := wantTaken(t, q, 4)
		list[3].Finish(nil)
		list[1].Finish(errStore)
		c.Send("SEND", "x", "destination", "/topic/a", "receipt", "not read any more")
		wantQuiet(t, c)
		list[0].Finish(nil)
		c.ExpectReceipt(t, "1")
		wantLateError(t, c, "2", notStored)
		if err, ok := c.Ended(t).(*broker.Error); !ok || err.Reason != broker.ReasonInternalError {
			t.Errorf("ended with %v", err)
		}
		list[2].Finish(nil)
		list[2].Finish(errStore)
	})
}

func TestLateFailureWithoutReceipt(t *testing.T) {
	late(t, broker.Options{Queues: broker.Queues{Messages: 1}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		job(c, "")
		job(c, "")
		for _, l := range wantTaken(t, q, 2) {
			l.Finish(nil)
		}
		wantLateError(t, c, "", "queue limit reached: at most 1 messages per queue (queues.messages)")
	})
}

// An error of the client itself waits for the receipts of what it sent before.
func TestErrorBehindReceipts(t *testing.T) {
	for name, bad := range map[string]string{
		"a frame that is refused":        "SEND\nreceipt:bad\n\n\x00",
		"a frame that cannot be read":    "SEND\nreceipt:bad\nno colon\n\n\x00",
		"a frame behind one with an end": "SEND\nreceipt:bad\n\n\x00SEND\ndestination:/topic/a\nreceipt:never\n\n\x00",
	} {
		late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
			c := brokertest.Connect(t, b)
			job(c, "1")
			c.Write([]byte(bad))
			wantQuiet(t, c)
			wantTaken(t, q, 1)[0].Finish(nil)
			c.ExpectReceipt(t, "1")
			if f := c.Expect(t, "ERROR"); f.Get("receipt-id") != "bad" {
				t.Errorf("%s: %v", name, f.Headers)
			}
			_ = c.Ended(t) // with the reason of the ERROR
		})
	}
}

// The failure of a SEND that comes after the client's DISCONNECT is told, and the
// DISCONNECT has no receipt.
func TestFailureAfterDisconnect(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		job(c, "1")
		c.Send("DISCONNECT", "", "receipt", "bye")
		list := wantTaken(t, q, 1)
		wantQuiet(t, c)
		list[0].Finish(errStore)
		wantLateError(t, c, "1", notStored)
		if f, err := c.Receive(); err == nil {
			t.Errorf("then came %v", f)
		}
	})
}

// Drain waits for the receipts that a client waits for, reads nothing more from
// it, and does not wait for ever.
func TestDrainWaitsForReceipts(t *testing.T) {
	for _, finishes := range []bool{true, false} {
		late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
			c := brokertest.Connect(t, b)
			job(c, "1")
			c.Send("SEND", "x", "destination", "/topic/a", "receipt", "2")
			list := wantTaken(t, q, 1)
			began := time.Now()
			drained := make(chan error, 1)
			go func() { drained <- b.Drain(context.Background()) }()
			synctest.Wait()
			job(c, "not read any more")
			time.Sleep(time.Second)
			wantTaken(t, q, 1)
			if c.CloseCode() != 0 {
				t.Error("closed before the receipts")
			}
			if finishes {
				list[0].Finish(nil)
				c.ExpectReceipt(t, "1")
				c.ExpectReceipt(t, "2")
			}
			if err := <-drained; err != nil {
				t.Error(err)
			}
			if c.CloseCode() != 1012 {
				t.Errorf("closed with %d", c.CloseCode())
			}
			if d := time.Since(began); !finishes && (d < broker.DrainReceipts || d > broker.DrainReceipts+time.Second) {
				t.Errorf("waited %v", d)
			}
		})
	}
}

// The RECEIPT of an ACK says that the queue is certain of it.
func TestReceiptOfAnAckWaits(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		job(c, "put")
		wantTaken(t, q, 1)[0].Finish(nil)
		var m = c.Expect(t, "MESSAGE") // it is stored, and offered, before that is said
		c.ExpectReceipt(t, "put")
		c.Send("ACK", "", "id", m.Get("ack"), "receipt", "ack")
		list := wantTaken(t, q, 2)
		wantQuiet(t, c)
		if n := b.Stats().QueueMessages; n != 1 {
			t.Errorf("%d messages", n)
		}
		list[1].Finish(nil)
		c.ExpectReceipt(t, "ack")
		if n := b.Stats().QueueMessages; n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// Publish of the program returns when the message is stored.
func TestPublishWaitsUntilItIsStored(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		result := make(chan error, 1)
		put := func(ctx context.Context) {
			go func() { result <- b.Publish(ctx, &broker.Message{Destination: "/queue/jobs"}) }()
		}
		put(t.Context())
		list := wantTaken(t, q, 1)
		select {
		case err := <-result:
			t.Fatalf("returned %v before it was stored", err)
		default:
		}
		list[0].Finish(nil)
		if err := <-result; err != nil {
			t.Error(err)
		}
		put(t.Context())
		wantTaken(t, q, 2)[1].Finish(errStore)
		if err := <-result; !errors.Is(err, errStore) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		put(ctx)
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		put(t.Context())
		wantTaken(t, q, 4)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, broker.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// Nothing of a session is kept by what never finishes.
func TestEndedSessionIsNotKeptByWhatWaits(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{InFlight: 8}})
	q := b.UseLateQueues()
	alive := func() func() bool {
		c := brokertest.Connect(t, b)
		alive := b.Alive(c.Session)
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "x", "destination", "/queue/jobs", "transaction", "t")
		for i := range 5 {
			job(c, fmt.Sprint(i))
		}
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/queue/jobs", "receipt", "r")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		brokertest.Eventually(t, "the queues have not taken six", func() bool { return len(q.Taken()) == 6 })
		if err := b.Disconnect(c.Session, ""); err != nil {
			t.Fatal(err)
		}
		_ = c.Ended(t) // as it was told
		return alive
	}()
	brokertest.Eventually(t, "the session is still in memory", func() bool { runtime.GC(); return !alive() })
	for _, l := range q.Taken() {
		l.Finish(nil)
	}
}

// Sessions that send as fast as they may, stores that finish from many goroutines
// in any order, and sessions that end meanwhile: every receipt comes in its order.
func TestWaitingReceiptsRace(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{InFlight: 8}, Queues: broker.Queues{Messages: -1}})
	q := b.UseLateQueues()
	const sessions, each = 6, 60
	stop := make(chan struct{})
	var store, clients sync.WaitGroup
	var mu sync.Mutex
	next := 0
	for range 3 {
		store.Go(func() {
			for {
				mu.Lock()
				list := q.Taken()
				mine := list[next:]
				next = len(list)
				mu.Unlock()
				rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
				for _, l := range mine {
					l.Finish(nil)
				}
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
	}
	for n := range sessions {
		c := brokertest.Connect(t, b)
		clients.Go(func() {
			for i := range each {
				switch id := fmt.Sprint(i); i % 5 {
				case 1:
					c.Send("SEND", "", "destination", "/topic/nobody", "receipt", id)
				case 2:
					c.Send("SUBSCRIBE", "", "id", id, "destination", "/topic/"+id, "receipt", id)
				case 3:
					c.Send("UNSUBSCRIBE", "", "id", fmt.Sprint(i-1), "receipt", id)
				case 4:
					c.Send("BEGIN", "", "transaction", "t")
					c.Send("SEND", "", "destination", "/queue/jobs", "transaction", "t")
					c.Send("COMMIT", "", "transaction", "t", "receipt", id)
				default:
					job(c, id)
				}
			}
			c.Send("DISCONNECT", "", "receipt", "bye")
		})
		clients.Go(func() {
			for i := range each {
				if n%3 == 2 && i == each/2 {
					if err := b.Disconnect(c.Session, ""); err != nil && !errors.Is(err, broker.ErrNoSession) { // it may have ended
						t.Error(err)
					}
					return
				}
				f, err := c.Receive()
				if err != nil || f.Command != "RECEIPT" || f.Get("receipt-id") != fmt.Sprint(i) {
					t.Errorf("session %d: got %v, %v instead of the receipt %d", n, f, err, i)
					return
				}
			}
			c.ExpectReceipt(t, "bye")
		})
	}
	clients.Wait()
	close(stop)
	store.Wait()
}
