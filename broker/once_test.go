package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// sendOnce sends a message with an id and returns its RECEIPT.
func sendOnce(t *testing.T, c *brokertest.Client, destination, body, id string) *frames.Frame {
	t.Helper()
	c.Send("SEND", body, "destination", destination, "message-dedup-id", id, "receipt", "r")
	f := c.Expect(t, "RECEIPT")
	wantHeaders(t, f, "receipt-id", "r")
	return f
}

// A message that is sent again with the same id is accepted once, whatever kind
// its destination is of and whatever its spelling. Every RECEIPT but the first
// says duplicate:true.
func TestMessageIsAcceptedOnce(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, allow("/**", auth.Send, auth.Subscribe))})
	handled := 0
	handle(t, b, "/log", func(context.Context, *broker.Request) error { handled++; return nil })
	reader := brokertest.Connect(t, b, "login", "bob")
	reader.Subscribe(t, "t", "/topic/a")
	reader.Subscribe(t, "q", "/queue/a")
	reader.Subscribe(t, "u", "/user/queue/a")
	for _, destination := range []string{"/topic/a", "/queue/a", "/user/bob/queue/a", "/app/log"} {
		c := brokertest.Connect(t, b, "login", "ann")
		wantHeaders(t, sendOnce(t, c, destination, "1", "x"), "duplicate", "-")
		wantHeaders(t, sendOnce(t, c, destination, "2", "x"), "duplicate", "true")
		c.Close()
		c = brokertest.Connect(t, b, "login", "ann")
		wantHeaders(t, sendOnce(t, c, strings.Replace(destination, "/topic/", "/topic//", 1), "3", "x"), "duplicate", "true")
		c.Send("SEND", "4", "destination", destination, "message-dedup-id", "x") // without a receipt
		wantHeaders(t, sendOnce(t, c, destination, "5", "y"), "duplicate", "-")
		c.Close()
	}
	got := wantMessages(t, reader, "1", "5", "1", "5", "1", "5")
	wantHeaders(t, got[0], "message-dedup-id", "x")
	if handled != 2 {
		t.Errorf("the handler ran %d times, want 2", handled)
	}
	if st := b.Stats(); st.Duplicates != 12 || st.Published != 6 {
		t.Errorf("%d duplicates and %d published, want 12 and 6", st.Duplicates, st.Published)
	}
}

// The authorizer is asked once for each SEND, a duplicate included: it may have
// changed its mind.
func TestSendOnceIsAuthorizedOnce(t *testing.T) {
	asked := 0
	b := newBroker(t, broker.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ *auth.Principal, act auth.Action, _ string) error {
		if asked++; act != auth.Send || asked > 2 {
			return auth.ErrDenied
		}
		return nil
	})})
	c := brokertest.Connect(t, b, "login", "ann")
	sendOnce(t, c, "/topic/a", "1", "x")
	sendOnce(t, c, "/topic/a", "1", "x")
	c.Send("SEND", "1", "destination", "/topic/a", "message-dedup-id", "x", "receipt", "r")
	wantHeaders(t, c.Expect(t, "ERROR"), "receipt-id", "r")
	if asked != 3 {
		t.Errorf("the authorizer was asked %d times for 3 messages", asked)
	}
}

// The id of another user, or for another destination, is another message's.
func TestScopeOfAMessageID(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, allow("/**", auth.Send))})
	for _, user := range []string{"ann", "bob"} {
		c := brokertest.Connect(t, b, "login", user)
		for _, destination := range []string{"/topic/a", "/topic/b", "/queue/a", "/user/ann/queue/a"} {
			wantHeaders(t, sendOnce(t, c, destination, "", "x"), "duplicate", "-")
		}
	}
}

// The broker remembers an id for two minutes, and not much longer.
func TestMessageIDIsRememberedForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{HeartBeat: frames.HeartBeat{Send: -1, Receive: -1}})
		c := brokertest.Connect(t, b, "login", "ann")
		wantHeaders(t, sendOnce(t, c, "/topic/a", "", "x"), "duplicate", "-")
		time.Sleep(2 * time.Minute)
		wantHeaders(t, sendOnce(t, c, "/topic/a", "", "x"), "duplicate", "true")
		time.Sleep(31 * time.Second)
		wantHeaders(t, sendOnce(t, c, "/topic/a", "", "x"), "duplicate", "-")
		c.Close()
		_ = b.Close()
	})
}

// A message that was refused was not accepted: its id is free. A message that
// the sender may not send is denied, duplicate or not.
func TestRefusedMessageCanBeSentAgain(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Messages: 1}})
	wrong := true
	handle(t, b, "/log", func(context.Context, *broker.Request) error {
		if wrong {
			panic("wrong")
		}
		return nil
	})
	publish(t, b, "/queue/full", "")
	for destination, code := range map[string]int{"/queue/full": 4429, "/app/log": 1011} {
		for range 2 { // the second is no duplicate
			c := brokertest.Connect(t, b, "login", "ann")
			c.Send("SEND", "", "destination", destination, "message-dedup-id", "x", "receipt", "r")
			wantHeaders(t, wantError(t, c, code, ""), "receipt-id", "r")
		}
	}
	wrong = false
	if _, err := b.Purge("/queue/full"); err != nil {
		t.Fatal(err)
	}
	c := brokertest.Connect(t, b, "login", "ann")
	wantHeaders(t, sendOnce(t, c, "/queue/full", "", "x"), "duplicate", "-")
	wantHeaders(t, sendOnce(t, c, "/app/log", "", "x"), "duplicate", "-")

	if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, deny("/queue/full", auth.Send), allow("/**", auth.Send))}); err != nil {
		t.Fatal(err)
	}
	c.Send("SEND", "", "destination", "/queue/full", "message-dedup-id", "x")
	wantError(t, c, 4403, "")
}

// An id needs a user, and must not be empty.
func TestWrongMessageIDs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for _, begin := range []bool{false, true} {
		for _, x := range []struct{ login, id, text string }{
			{"", "x", "message-dedup-id needs a user: this session is anonymous"},
			{"ann", "", "message-dedup-id is empty"},
		} {
			var headers []string
			if x.login != "" {
				headers = []string{"login", x.login}
			}
			c := brokertest.Connect(t, b, headers...)
			headers = []string{"destination", "/topic/a", "message-dedup-id", x.id}
			if begin {
				c.Send("BEGIN", "", "transaction", "t")
				headers = append(headers, "transaction", "t")
			}
			c.Send("SEND", "", headers...)
			wantError(t, c, 1002, x.text)
		}
	}
}

// The ids of one user leave room for those of the others. A reload changes the
// limits.
func TestMessageIDsAreShared(t *testing.T) {
	b := newBroker(t, broker.Options{Limits: broker.Limits{DedupIDs: 3, DedupIDsPerUser: 1}})
	full := func(user, text string) {
		t.Helper()
		c := brokertest.Connect(t, b, "login", user)
		c.Send("SEND", "", "destination", "/topic/a", "message-dedup-id", "more")
		wantError(t, c, 4429, text)
	}
	ok := func(user string) {
		t.Helper()
		sendOnce(t, brokertest.Connect(t, b, "login", user), "/topic/a", "", "x")
	}
	ok("ann")
	full("ann", "more than 1 ids of messages within 2m0s from one user (limits.dedup_ids_per_user)")
	ok("ann") // a duplicate
	ok("bob")
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Headers: header("message-dedup-id", "x")}); err != nil {
		t.Fatal(err)
	}
	full("cid", "more than 3 ids of messages within 2m0s (limits.dedup_ids)")
	err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Headers: header("message-dedup-id", "y")})
	if !errors.Is(err, broker.ErrLimit) || !strings.Contains(err.Error(), "limits.dedup_ids") {
		t.Errorf("the program gets %v", err)
	}
	if err := b.SetPolicy(broker.Policy{Authorizer: auth.Open(), Limits: broker.Limits{DedupIDs: 4}}); err != nil {
		t.Fatal(err)
	}
	ok("cid")
}

// header makes a list of one header.
func header(name, value string) []broker.Header { return []broker.Header{{Name: name, Value: value}} }

// A duplicate of a message that is not stored yet waits for it and gets the same
// outcome, and receipts keep their order.
func TestDuplicateWaitsForTheFirst(t *testing.T) {
	for _, outcome := range []error{nil, &broker.Error{Reason: broker.ReasonLimit, Message: "the store is full"}} {
		b := newBroker(t, broker.Options{})
		q := b.UseLateQueues()
		one := brokertest.Connect(t, b, "login", "ann")
		two := brokertest.Connect(t, b, "login", "ann")
		one.Send("SEND", "first", "destination", "/queue/a", "message-dedup-id", "x", "receipt", "one")
		brokertest.Eventually(t, "the first is taken", func() bool { return len(q.Taken()) == 1 })
		two.Send("SEND", "second", "destination", "/queue/a", "message-dedup-id", "x", "receipt", "two")
		two.Send("SEND", "", "destination", "/topic/a", "receipt", "three")
		brokertest.Eventually(t, "the duplicate is counted", func() bool { return b.Stats().Duplicates == 1 })
		published := make(chan error, 1)
		go func() {
			published <- b.Publish(t.Context(), &broker.Message{Destination: "/queue/a", Body: []byte("program"), Headers: header("message-dedup-id", "x")})
		}()
		brokertest.Eventually(t, "the program's is taken", func() bool { return len(q.Taken()) == 2 })
		if n := one.Pending() + two.Pending(); n != 0 {
			t.Errorf("%d answers before the outcome", n)
		}
		for _, l := range q.Taken() {
			l.Finish(outcome)
		}
		err := testkit.Receive(t, published)
		if outcome != nil {
			wantHeaders(t, wantError(t, one, 4429, "the store is full"), "receipt-id", "one")
			wantHeaders(t, wantError(t, two, 4429, "the store is full"), "receipt-id", "two")
			if err == nil {
				t.Error("the program's was accepted")
			}
			continue
		}
		wantHeaders(t, one.Expect(t, "RECEIPT"), "receipt-id", "one", "duplicate", "-")
		wantHeaders(t, two.Expect(t, "RECEIPT"), "receipt-id", "two", "duplicate", "true")
		two.ExpectReceipt(t, "three")
		if err != nil {
			t.Errorf("the program gets %v", err)
		}
		if st := b.Stats(); st.QueueMessages != 2 {
			t.Errorf("%d messages are stored, want one of the user and one of the program", st.QueueMessages)
		}
	}
}

// A transaction with a duplicate is refused and does nothing; the ERROR names
// the message.
func TestDuplicateInATransaction(t *testing.T) {
	b := newBroker(t, broker.Options{})
	once := func(id string) []string {
		return []string{"SEND", id, "destination", "/queue/a", "message-dedup-id", id}
	}
	c := brokertest.Connect(t, b, "login", "ann")
	begin(c, once("a"), once("b"))
	c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
	c.ExpectReceipt(t, "done")

	// At the SEND, if it is known by then.
	c = brokertest.Connect(t, b, "login", "ann")
	begin(c, once("c"), once("b"))
	wantError(t, c, 1002, `the transaction contains a duplicate: the message with the message-dedup-id "b" was accepted before, or is being accepted`)

	// At the COMMIT, if it was accepted meanwhile, or is there twice.
	for name, list := range map[string][][]string{"meanwhile": {once("c"), once("d")}, "twice": {once("e"), once("f"), once("e")}} {
		c = brokertest.Connect(t, b, "login", "ann")
		begin(c, list...)
		if c.Sync(t); name == "meanwhile" {
			sendOnce(t, brokertest.Connect(t, b, "login", "ann"), "/queue/a", "d", "d")
		}
		c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		wantHeaders(t, wantError(t, c, 1002, "the transaction contains a duplicate"), "receipt-id", "done")
	}

	// Nothing was accepted of what was refused.
	c = brokertest.Connect(t, b, "login", "ann")
	for _, id := range []string{"c", "e", "f"} {
		wantHeaders(t, sendOnce(t, c, "/queue/a", id, id), "duplicate", "-")
	}
	c.Subscribe(t, "s", "/queue/a")
	wantMessages(t, c, "a", "b", "d", "c", "e", "f")
}

// The ids of a transaction belong to its messages: when they are stored, or
// carried out, and not before.
func TestCommitSettlesItsMessageIDs(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("no store")} {
		b := newBroker(t, broker.Options{})
		q := b.UseLateQueues()
		c := brokertest.Connect(t, b, "login", "ann")
		begin(c, []string{"SEND", "", "destination", "/queue/a", "message-dedup-id", "x"},
			[]string{"SEND", "", "destination", "/topic/a", "message-dedup-id", "x"})
		c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		brokertest.Eventually(t, "the commit is taken", func() bool { return len(q.Taken()) == 1 })
		other := brokertest.Connect(t, b, "login", "ann")
		other.Send("SEND", "", "destination", "/queue/a", "message-dedup-id", "x", "receipt", "r")
		brokertest.Eventually(t, "the duplicate is counted", func() bool { return b.Stats().Duplicates == 1 })
		q.Taken()[0].Finish(outcome)
		if outcome != nil {
			wantError(t, c, 1011, "")
			wantError(t, other, 1011, "")
		} else {
			c.ExpectReceipt(t, "done")
			wantHeaders(t, other.Expect(t, "RECEIPT"), "duplicate", "true")
		}
		c = brokertest.Connect(t, b, "login", "ann")
		want := "-"
		if outcome == nil {
			want = "true"
		}
		wantHeaders(t, sendOnce(t, c, "/topic/a", "", "x"), "duplicate", want)
	}
}

// What a program publishes with an id is published once.
func TestProgramPublishesOnce(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", "/topic/a")
	m := &broker.Message{Destination: "/topic/a", Headers: header("message-dedup-id", "x"), Body: []byte("1")}
	for i, want := range []error{nil, broker.ErrDuplicate, broker.ErrDuplicate} {
		if err := b.Publish(t.Context(), m); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", i, err, want)
		}
	}
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Headers: header("message-dedup-id", "")}); !errors.Is(err, broker.ErrHeader) {
		t.Errorf("an empty id: %v", err)
	}
	m.Destination = "/queue/a"
	if _, err := b.PublishToUser(t.Context(), "ann", m); !errors.Is(err, broker.ErrHeader) {
		t.Errorf("to a user: %v", err)
	}
	wantMessages(t, c, "1")
}

// At the end of the broker nobody waits for an outcome that never comes.
func TestPublishedBeforeEndsWithTheBroker(t *testing.T) {
	b := newBroker(t, broker.Options{})
	q := b.UseLateQueues()
	m := &broker.Message{Destination: "/queue/a", Headers: header("message-dedup-id", "x")}
	results := make(chan error, 2)
	for range 2 {
		go func() { results <- b.Publish(context.Background(), m) }()
	}
	brokertest.Eventually(t, "both are there", func() bool { return len(q.Taken()) == 1 && b.Stats().Duplicates == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Publish(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	_ = b.Close()
	for range 2 {
		select {
		case err := <-results:
			if !errors.Is(err, broker.ErrClosed) {
				t.Errorf("the error is %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("somebody still waits")
		}
	}
}

// The cost of a SEND without the header does not depend on it.
func TestLookAtTheHeadersAllocatesNothing(t *testing.T) {
	var list []broker.Header
	for i := range 20 {
		list = append(list, broker.Header{Name: fmt.Sprint("name", i), Value: "x"})
	}
	if n := testing.AllocsPerRun(100, func() { broker.Asked(list) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
