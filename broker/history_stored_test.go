package broker_test

import (
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
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// overHistory returns options with one entry over a store.
func overHistory(messages int) (broker.Options, *brokertest.HistoryStore) {
	o, s := withHistory(messages, "/topic/prices/**"), brokertest.NewHistoryStore()
	o.HistoryStore = s
	return o, s
}

// numberOf returns the number of an offset.
func numberOf(offset string) string {
	_, n, _ := strings.Cut(offset, ":")
	return n
}

// The next broker has the messages, their numbers and the epoch. What it cannot
// prove it does not claim.
func TestStoredHistoryOutlivesTheBroker(t *testing.T) {
	o, _ := overHistory(3)
	b := brokertest.New(t, o)
	for i := range 5 { // 1 to 10; a keeps 5 7 9, b 6 8 10
		publish(t, b, "/topic/prices/a", fmt.Sprint("a", i))
		publish(t, b, "/topic/prices/b", fmt.Sprint("b", i))
	}
	publish(t, b, "/topic/prices/c", "c") // 11
	epoch := epochOf(t, b, "/topic/prices/c")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = brokertest.New(t, o)
	if again := epochOf(t, b, "/topic/prices/c"); again != epoch {
		t.Fatalf("the epoch is %s, was %s", again, epoch)
	}
	publish(t, b, "/topic/prices/b", "b5") // 12; 6 is dropped
	for _, c := range []struct {
		destination string
		number      int
		recovered   string
		want        string
	}{
		{"/topic/prices/a", 9, "true", ""},
		{"/topic/prices/a", 7, "true", "a4"},
		{"/topic/prices/a", 5, "true", "a3 a4"},
		{"/topic/prices/a", 4, "true", "a2 a3 a4"},
		{"/topic/prices/a", 3, "false", "a2 a3 a4"}, // 3 was the one before, which is not known any more
		{"/topic/prices/b", 6, "true", "b3 b4 b5"},
		{"/topic/prices/b", 5, "false", "b3 b4 b5"},
		{"/topic/prices/c", 4, "true", "c"},
		{"/topic/prices/c", 3, "false", "c"}, // the stream begins with 5
		{"/topic/prices/d", 5, "true", ""},
		{"/topic/prices/*", 6, "true", "a3 b3 a4 b4 c b5"},
		{"/topic/prices/*", 5, "false", "a3 b3 a4 b4 c b5"},
		{"/topic/prices/a", 13, "false", "a2 a3 a4"},
	} {
		t.Run(fmt.Sprint(c.destination, " ", c.number), func(t *testing.T) {
			client := brokertest.Connect(t, b)
			wantHeaders(t, subscribeFrom(t, client, "1", c.destination, "offset", fmt.Sprint(epoch, ":", c.number)), "recovered", c.recovered)
			wantMessages(t, client, strings.Fields(c.want)...)
		})
	}
}

// The next broker knows of a removal, and its epoch. It proves nothing about what
// came before it.
func TestStoredHistoryRemembersARemoval(t *testing.T) {
	o, s := overHistory(3)
	b := brokertest.New(t, o)
	for _, of := range []string{"a", "b", "a", "b"} { // 1 to 4
		publish(t, b, "/topic/prices/"+of, of)
	}
	old := epochOf(t, b, "/topic/prices/a")
	s.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Err: errors.New("broken")} })
	if n, err := b.RemoveHistory(t.Context(), "/topic/prices/a"); n != 0 || err == nil || !strings.Contains(err.Error(), "removing the history of /topic/prices/a: broken") {
		t.Errorf("removed %d, %v", n, err)
	}
	s.SetFaults(nil)
	if epoch := epochOf(t, b, "/topic/prices/a"); epoch != old {
		t.Errorf("nothing was removed, and the epoch is %s, was %s", epoch, old)
	}
	remove(t, b, "/topic/prices/a", 2) // 5
	publish(t, b, "/topic/prices/a", "new")
	now := epochOf(t, b, "/topic/prices/a")
	for range 2 {
		for _, c := range []struct {
			destination, offset, want, recovered string
		}{
			{"/topic/prices/a", old + ":3", "new", "false"},
			{"/topic/prices/a", now + ":3", "new", "false"},
			{"/topic/prices/a", now + ":5", "new", "true"},
			{"/topic/prices/*", now + ":3", "b new", "false"},
			{"/topic/prices/*", now + ":6", "", "true"},
			{"/topic/prices/b", now + ":3", "b", "true"},
		} {
			client := brokertest.Connect(t, b)
			t.Log(c.destination, c.offset)
			got := subscribeFrom(t, client, "1", c.destination, "offset", c.offset)
			wantHeaders(t, got, "recovered", c.recovered)
			wantMessages(t, client, strings.Fields(c.want)...)
			client.Close()
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = brokertest.New(t, o)
	}
}

// A limit that was lower once leaves doubt, also after a restart.
func TestStoredHistoryRemembersItsLowestLimit(t *testing.T) {
	o, _ := overHistory(10)
	b := brokertest.New(t, o)
	publish(t, b, "/topic/prices/b", "b") // 1, so that the stream begins there
	for i := range 5 {
		publish(t, b, "/topic/prices/a", fmt.Sprint(i)) // 2 to 6
	}
	epoch := epochOf(t, b, "/topic/prices/b")
	for _, messages := range []int{2, 10} {
		h := o.History[0]
		h.Messages = messages
		setPolicy(t, b, broker.Policy{Authorizer: auth.Open(), History: []broker.History{h}})
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = brokertest.New(t, o)
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":3"), "recovered", "false")
	wantMessages(t, c, "3", "4")
	wantHeaders(t, subscribeFrom(t, c, "2", "/topic/prices/a", "offset", epoch+":4"), "recovered", "true")
	wantMessages(t, c, "3", "4")
	wantHeaders(t, subscribeFrom(t, c, "3", "/topic/prices/b", "offset", epoch+":0"), "recovered", "true")
	wantMessages(t, c, "b")
}

// Until the store has a message there is no RECEIPT and no subscriber gets it;
// the session goes on with its next frame meanwhile.
func TestStoredHistoryReceiptWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := overHistory(5)
		gate := make(chan struct{})
		open := sync.OnceFunc(func() { close(gate) })
		defer open()
		s.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Wait: gate} })
		b := brokertest.New(t, o)
		sub, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
		sub.Subscribe(t, "1", "/topic/prices/a")
		sub.Subscribe(t, "2", "/topic/other")
		c.Send("SEND", "1", "destination", "/topic/prices/a", "receipt", "one")
		c.Send("SEND", "2", "destination", "/topic/prices/a")
		c.Send("SEND", "3", "destination", "/topic/other", "receipt", "three")
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", "4", "transaction", "t", "destination", "/topic/prices/a")
		c.Send("SEND", "5", "transaction", "t", "destination", "/topic/other")
		c.Send("COMMIT", "", "transaction", "t", "receipt", "commit")
		c.Send("SEND", "6", "destination", "/topic/other", "receipt", "six")
		synctest.Wait()
		wantMessages(t, sub, "3") // and nothing of the COMMIT, nor after it
		if n := b.Stats().HistoryMessages; n != 0 {
			t.Errorf("%d messages before they are stored", n)
		}
		open()
		for _, id := range []string{"one", "three", "commit", "six"} {
			c.ExpectReceipt(t, id)
		}
		wantMessages(t, sub, "1", "2", "4", "5", "6")
	})
}

// A message that is not stored reaches nobody, and its sender gets an ERROR that
// says why, also without a receipt. Others go on.
func TestStoredHistoryFails(t *testing.T) {
	full := &broker.QueueFullError{Key: "store.reserve", Limit: 1, Text: "the disk is full"}
	for name, c := range map[string]struct {
		err  error
		want string
		code int
	}{
		"full":    {full, "the disk is full (store.reserve)", 4429},
		"failure": {errors.New("secret"), "what was sent could not be stored", 1011},
	} {
		t.Run(name, func(t *testing.T) {
			o, s := overHistory(5)
			b := brokertest.New(t, o)
			sub := brokertest.Connect(t, b)
			sub.Subscribe(t, "1", "/topic/prices/a")
			sub.Subscribe(t, "2", "/topic/other")
			publish(t, b, "/topic/prices/a", "1")
			s.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Err: c.err} })
			for i, frames := range [][][]string{
				{{"SEND", "2", "destination", "/topic/prices/a", "receipt", "r"}},
				{{"SEND", "3", "destination", "/topic/prices/a"}},
				{
					{"BEGIN", "", "transaction", "t"},
					{"SEND", "4", "transaction", "t", "destination", "/topic/other"},
					{"SEND", "5", "transaction", "t", "destination", "/topic/prices/a"},
					{"COMMIT", "", "transaction", "t", "receipt", "r"},
				},
			} {
				client := brokertest.Connect(t, b)
				for _, f := range frames {
					client.Send(f[0], f[1], f[2:]...)
				}
				e := wantError(t, client, c.code, c.want)
				if got := e.Get("receipt-id"); (got == "r") != (i != 1) {
					t.Errorf("%d: receipt-id %q", i, got)
				}
			}
			if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/a"}); err == nil || errors.Is(err, broker.ErrQueueFull) != (name == "full") {
				t.Errorf("Publish: %v", err)
			}
			publish(t, b, "/topic/other", "6")
			s.SetFaults(nil)
			publish(t, b, "/topic/prices/a", "7")
			wantMessages(t, sub, "1", "6", "7")
		})
	}
}

// A history that cannot be read ends the session that reads it, and no other.
func TestStoredHistoryCannotBeRead(t *testing.T) {
	o, s := overHistory(5)
	b := brokertest.New(t, o)
	publish(t, b, "/topic/prices/a", "1")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = brokertest.New(t, o) // has it in the store only
	other := brokertest.Connect(t, b)
	other.Subscribe(t, "1", "/topic/prices/a")
	s.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Err: errors.New("broken")} })
	c := brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/a", "offset", "first")
	wantError(t, c, 1011, "could not be read")
	s.SetFaults(nil)
	publish(t, b, "/topic/prices/a", "2")
	wantMessages(t, other, "2")
	c = brokertest.Connect(t, b)
	subscribeFrom(t, c, "1", "/topic/prices/a", "offset", "first")
	wantMessages(t, c, "1", "2")
}

// A store that has lost messages begins a new epoch: no offset of the old one
// recovers, and subscriptions go on.
func TestStoredHistoryBeginsANewEpoch(t *testing.T) {
	o, s := overHistory(5)
	b := brokertest.New(t, o)
	sub := brokertest.Connect(t, b)
	sub.Subscribe(t, "1", "/topic/prices/a")
	for i := range 3 {
		publish(t, b, "/topic/prices/a", fmt.Sprint(i+1))
	}
	epoch := epochOf(t, b, "/topic/prices/a")
	s.Renew("/topic/prices/**", 2)
	publish(t, b, "/topic/prices/a", "4")
	got := wantMessages(t, sub, "1", "2", "3", "4")
	if e := got[3].Get("offset"); strings.HasPrefix(e, epoch) || numberOf(e) != "2" {
		t.Errorf("after the loss the offset is %s, the old epoch is %s", e, epoch)
	}
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":3"), "recovered", "false")
	wantMessages(t, c, "1", "4")
	publish(t, b, "/topic/prices/a", "5") // the replay has ended, and it is live
	wantMessages(t, c, "5")
}

// Who publishes hears of the subscribers that have acknowledged, though the
// message comes from the store.
func TestStoredHistorySettles(t *testing.T) {
	o, _ := overHistory(5)
	b := brokertest.New(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/prices/a", "ack", "client")
	settled := make(chan broker.Outcome, 1)
	m := &broker.Message{Destination: "/topic/prices/a", Settled: func(_ string, o broker.Outcome) { settled <- o }}
	if err := b.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	c.Send("ACK", "", "id", c.Expect(t, "MESSAGE").Get("ack"))
	if got := testkit.Receive(t, settled); got != broker.Acknowledged {
		t.Errorf("got %v", got)
	}
}

// A delayed message that cannot be stored when it is due is not lost.
func TestStoredHistoryOfADelayedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := overHistory(5)
		b := brokertest.New(t, o)
		sub := brokertest.Connect(t, b)
		sub.Subscribe(t, "1", "/topic/prices/a")
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/a", Body: []byte("x"), Headers: []broker.Header{{Name: "delay", Value: "1000"}}}); err != nil {
			t.Fatal(err)
		}
		s.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Err: errors.New("broken")} })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := b.Stats(); st.Delayed != 1 {
			t.Errorf("%d delayed messages after a failure", st.Delayed)
		}
		s.SetFaults(nil)
		time.Sleep(2 * time.Minute)
		wantMessages(t, sub, "x")
		if st := b.Stats(); st.Delayed != 0 {
			t.Errorf("%d delayed messages in the end", st.Delayed)
		}
	})
}

// A message with a message-dedup-id that a broker before this one accepted is not
// stored again, also if a limit has dropped it.
func TestStoredHistoryDuplicates(t *testing.T) {
	const topic = "/topic/prices/a"
	o, _ := overHistory(1)
	b := brokertest.New(t, o)
	id := broker.Header{Name: "message-dedup-id", Value: "1"}
	send(t, brokertest.Connect(t, b, "login", "ann"), topic, "ann 1", "message-dedup-id", "1")
	if err := b.Publish(t.Context(), &broker.Message{Destination: topic, Headers: []broker.Header{id}}); err != nil {
		t.Error(err) // the program is somebody else
	}
	send(t, brokertest.Connect(t, b, "login", "ann"), topic, "ann 2", "message-dedup-id", "2")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = brokertest.New(t, o)
	second := brokertest.New(t, o) // another one of the same store
	c := brokertest.Connect(t, b, "login", "ann")
	for _, n := range []string{"1", "2"} {
		wantHeaders(t, sendOnce(t, c, topic, "again", n), "duplicate", "true")
	}
	if err := b.Publish(t.Context(), &broker.Message{Destination: topic, Headers: []broker.Header{id}}); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("Publish returned %v", err)
	}
	begin(c, []string{"SEND", "", "destination", topic, "message-dedup-id", "1"})
	wantError(t, c, 1002, `the message with the message-dedup-id "1" was accepted before`)

	// What the other broker accepts now, only the store knows.
	c = brokertest.Connect(t, b, "login", "ann")
	other := brokertest.Connect(t, second, "login", "ann")
	wantHeaders(t, sendOnce(t, other, topic, "ann 3", "3"), "duplicate", "-")
	wantHeaders(t, sendOnce(t, c, topic, "again", "3"), "duplicate", "true")
	wantHeaders(t, sendOnce(t, other, topic, "ann 4", "4"), "duplicate", "-")
	begin(c, []string{"SEND", "5", "destination", topic, "message-dedup-id", "5"}, []string{"SEND", "4", "destination", topic, "message-dedup-id", "4"})
	c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
	wantHeaders(t, wantError(t, c, 1002, `a message with the message-dedup-id "5" or "4" was accepted before`), "receipt-id", "done")
	c = brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", topic, "offset", "first")
	wantMessages(t, c, "ann 4")
	wantHeaders(t, sendOnce(t, brokertest.Connect(t, b, "login", "bob"), topic, "bob", "4"), "duplicate", "-")
}

// A transaction for several entries may be stored in part, so that it must be
// possible to send it again.
func TestStoredHistoryDuplicatesOfSeveralEntries(t *testing.T) {
	o, s := overHistory(5)
	o.History = append(o.History, broker.History{Destination: "/topic/news/**", Messages: 5})
	o.HistoryStore = s
	b := brokertest.New(t, o)
	commit := func() *brokertest.Client {
		c := brokertest.Connect(t, b, "login", "ann")
		begin(c, []string{"SEND", "a", "destination", "/topic/prices/a", "message-dedup-id", "1"},
			[]string{"SEND", "b", "destination", "/topic/news/b", "message-dedup-id", "1"})
		c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		return c
	}
	s.SetFaults(func(call int) brokertest.HistoryFault {
		if call == 2 {
			return brokertest.HistoryFault{Err: errors.New("broken")}
		}
		return brokertest.HistoryFault{}
	})
	wantHeaders(t, commit().Expect(t, "ERROR"), "receipt-id", "done")
	commit().ExpectReceipt(t, "done")
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/news/b", "offset", "first")
	wantMessages(t, c, "b")
}
