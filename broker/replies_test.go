package broker_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

var replyName = regexp.MustCompile(`^/reply-queue/[a-z2-7]{32}$`)

// serving is a broker whose clients may send requests and serve them, and do
// nothing else, and a client that serves them.
func serving(t *testing.T, o broker.Options) (*broker.Broker, *brokertest.Client) {
	t.Helper()
	if o.Authorizer == nil {
		o.Authorizer = rules(t, allow("/queue/rpc", auth.Send, auth.Subscribe), allow("/topic/rpc", auth.Send), allow("/app/**", auth.Send))
	}
	b := brokertest.New(t, o)
	server := brokertest.Connect(t, b, "login", "server")
	server.Subscribe(t, "1", "/queue/rpc")
	return b, server
}

// answerable sends a request and returns where its receiver can send the answer.
func answerable(t *testing.T, c, server *brokertest.Client, body, replyTo string, headers ...string) string {
	t.Helper()
	send(t, c, "/queue/rpc", body, append([]string{"reply-to", replyTo}, headers...)...)
	to := expectMessage(t, server, body).Get("reply-to")
	if !replyName.MatchString(to) {
		t.Fatalf("reply-to is %q", to)
	}
	return to
}

// A request with reply-to:/temp-queue/… gets its answers without a SUBSCRIBE,
// as with RabbitMQ, and neither side needs a rule for them.
func TestAnswersReachTheSessionThatAsked(t *testing.T) {
	b, server := serving(t, broker.Options{})
	ann, bob := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "ann")
	first := answerable(t, ann, server, "1", "/temp-queue/foo")
	again := answerable(t, ann, server, "2", "/temp-queue/foo", "correlation-id", "c-2")
	other := answerable(t, ann, server, "3", "/temp-queue/bar")
	theirs := answerable(t, bob, server, "4", "/temp-queue/foo")
	if first != again || first == other || first == theirs {
		t.Errorf("reply-to is %s, %s, %s and %s of another session", first, again, other, theirs)
	}
	send(t, server, other, "to bar")
	send(t, server, first, "to foo", "correlation-id", "c-2")
	send(t, server, theirs, "to bob")
	got := wantMessages(t, ann, "to bar", "to foo")
	wantHeaders(t, got[0], "subscription", "/temp-queue/bar", "destination", "/temp-queue/bar", "ack", "-")
	wantHeaders(t, got[1], "subscription", "/temp-queue/foo", "destination", "/temp-queue/foo", "correlation-id", "c-2")
	wantMessages(t, bob, "to bob")
	if st := b.Stats(); st.Subscriptions != 4 {
		t.Errorf("%d subscriptions, want the server's and three", st.Subscriptions)
	}
}

// Whoever was given the name may answer: it is the permission. It cannot be
// guessed, nobody else can subscribe to it, and no pattern matches it.
func TestOnlyItsSessionGetsTheAnswers(t *testing.T) {
	everything := broker.Options{Authorizer: auth.Open(), Destinations: topics.Prefixes{Topic: []string{"/"}}}
	b, server := serving(t, everything)
	ann, eve := brokertest.Connect(t, b), brokertest.Connect(t, b)
	eve.Subscribe(t, "1", "/**")
	eve.Subscribe(t, "2", "/*/*")
	eve.Subscribe(t, "3", "/temp-queue/foo")
	to := answerable(t, ann, server, "1", "/temp-queue/foo")
	send(t, server, to, "secret")
	wantMessages(t, ann, "secret")
	wantMessages(t, eve)
	for _, tc := range []struct{ command, destination, want string }{
		{"SUBSCRIBE", to, topics.ErrReplyQueue.Error()},
		{"SUBSCRIBE", "/reply-queue/*", topics.ErrReplyQueue.Error()},
		{"SUBSCRIBE", "/temp-queue/", topics.ErrEmpty.Error()},
		{"SEND", "/temp-queue/foo", topics.ErrTempQueue.Error()},
	} {
		c := brokertest.Connect(t, b)
		c.Send(tc.command, "", "destination", tc.destination, "id", "1")
		wantError(t, c, 1002, tc.want)
	}
	if _, err := b.Subscribe(t.Context(), to, broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); err == nil {
		t.Error("the program has subscribed to the answers")
	}
}

// The name does not reveal the session: neither its id nor that two names are
// of the same session.
func TestReplyNameIsRandom(t *testing.T) {
	b, server := serving(t, broker.Options{})
	ann := brokertest.Connect(t, b)
	seen := map[string]bool{}
	for i := range 20 {
		to := strings.TrimPrefix(answerable(t, ann, server, "x", fmt.Sprint("/temp-queue/", i)), "/reply-queue/")
		for s := range b.Sessions() {
			if s.ID == to || to[:6] != s.ID[:6] {
				t.Errorf("the name is %s, the session %s", to, s.ID)
			}
		}
		for at := 6; at < len(to); at += 13 {
			if part := to[at : at+13]; seen[part] {
				t.Errorf("%s occurs twice", part)
			} else {
				seen[part] = true
			}
		}
	}
}

// A request whose client has gone costs whoever answers nothing: no ERROR, and
// the RECEIPT says that nobody got it.
func TestAnswerToASessionThatHasGone(t *testing.T) {
	b, server := serving(t, broker.Options{})
	ann := brokertest.Connect(t, b)
	to := answerable(t, ann, server, "1", "/temp-queue/foo")
	ann.Close()
	ann.Ended(t)
	answer := func(headers ...string) *frames.Frame {
		t.Helper()
		server.Send("SEND", "late", append([]string{"destination", to}, headers...)...)
		f := server.Expect(t, "RECEIPT")
		return f
	}
	brokertest.Eventually(t, "the session has gone", func() bool { return b.Stats().Subscriptions == 1 })
	wantHeaders(t, answer("receipt", "r"), "receipt-id", "r", "unroutable", "true")
	wantHeaders(t, answer("receipt", "d", "message-dedup-id", "x"), "receipt-id", "d", "unroutable", "true")
	wantHeaders(t, answer("receipt", "d", "message-dedup-id", "x"), "receipt-id", "d", "duplicate", "true", "unroutable", "-")
	wantHeaders(t, answer("receipt", "e", "ttl", "60000"), "receipt-id", "e", "unroutable", "true")
	server.Send("SEND", "", "destination", to) // without a receipt
	server.Send("BEGIN", "", "transaction", "t")
	server.Send("SEND", "", "destination", to, "transaction", "t")
	server.Send("COMMIT", "", "transaction", "t", "receipt", "c")
	wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "c", "unroutable", "true")
	server.Send("SEND", "", "destination", "/reply-queue/never", "receipt", "n")
	wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "n", "unroutable", "true")
	server.Send("UNSUBSCRIBE", "", "id", "none", "receipt", "u") // the next receipt says nothing
	wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "u", "unroutable", "-")
	if err := b.Publish(t.Context(), &broker.Message{Destination: to}); !errors.Is(err, broker.ErrNoSession) {
		t.Errorf("Publish: %v, want ErrNoSession", err)
	}
}

// A SUBSCRIBE before or after the request, as of clients of ActiveMQ, gives the
// subscription an id of the client's choice. UNSUBSCRIBE ends the destination.
func TestSubscribingToAnswers(t *testing.T) {
	b, server := serving(t, broker.Options{})
	ann := brokertest.Connect(t, b)
	ann.Subscribe(t, "mine", "/temp-queue/foo", "ack", "client")
	to := answerable(t, ann, server, "1", "/temp-queue/foo")
	send(t, server, to, "a")
	m := wantMessages(t, ann, "a")[0]
	wantHeaders(t, m, "subscription", "mine", "destination", "/temp-queue/foo")
	ann.Send("ACK", "", "id", m.Get("ack")) // nothing waits for it, and it is no error
	ann.Send("UNSUBSCRIBE", "", "id", "mine", "receipt", "u")
	ann.ExpectReceipt(t, "u")
	server.Send("SEND", "b", "destination", to, "receipt", "r")
	wantHeaders(t, server.Expect(t, "RECEIPT"), "unroutable", "true")

	renewed := answerable(t, ann, server, "2", "/temp-queue/foo")
	if renewed == to {
		t.Error("the destination that was ended is in use again")
	}
	for _, id := range []string{"/temp-queue/foo", "later"} {
		send(t, server, renewed, "before")
		expectMessage(t, ann, "before")
		if id == "later" {
			ann.Send("UNSUBSCRIBE", "", "id", "/temp-queue/foo")
			renewed = answerable(t, ann, server, "3", "/temp-queue/foo")
		}
		ann.Subscribe(t, id, "/temp-queue/foo")
		send(t, server, renewed, "after")
		wantHeaders(t, expectMessage(t, ann, "after"), "subscription", id)
	}
	if got := answerable(t, ann, server, "4", "/temp-queue/foo"); got != renewed {
		t.Error("a SUBSCRIBE has changed the name")
	}
	if st := b.Stats(); st.Subscriptions != 2 {
		t.Errorf("%d subscriptions, want 2", st.Subscriptions)
	}
	ann.Send("SUBSCRIBE", "", "id", "second", "destination", "/temp-queue/foo")
	wantError(t, ann, 1002, `"/temp-queue/foo" has a subscription already`)
	brokertest.Eventually(t, "nothing is left of the session", func() bool { return b.Stats().Subscriptions == 1 })
}

// An id is one subscription's, whichever came first.
func TestIDsOfSubscriptionsToAnswers(t *testing.T) {
	b, server := serving(t, broker.Options{Authorizer: auth.Open()})
	for _, other := range [][]string{
		{"SUBSCRIBE", "id", "/temp-queue/foo", "destination", "/topic/a"},
		{"SUBSCRIBE", "id", "/temp-queue/foo", "destination", "/temp-queue/bar"},
	} {
		c := brokertest.Connect(t, b)
		c.Send(other[0], "", other[1:]...)
		c.Send("SEND", "", "destination", "/queue/rpc", "reply-to", "/temp-queue/foo")
		wantError(t, c, 1002, `reply-to header: "/temp-queue/foo" is already the id of another subscription`)
		c = brokertest.Connect(t, b)
		answerable(t, c, server, "1", "/temp-queue/foo")
		c.Send(other[0], "", other[1:]...)
		wantError(t, c, 1002, `subscription id "/temp-queue/foo" is already in use`)
	}
}

// No answer is lost or out of order while a SUBSCRIBE takes the destination
// over, and none has the old id after the RECEIPT.
func TestNoAnswerIsLostWhileSubscribing(t *testing.T) {
	const n = 300
	b, server := serving(t, broker.Options{})
	for round := range 5 {
		ann := brokertest.Connect(t, b)
		to := answerable(t, ann, server, "x", "/temp-queue/foo")
		var all sync.WaitGroup
		all.Go(func() {
			for i := range n {
				if err := b.Publish(context.Background(), &broker.Message{Destination: to, Body: fmt.Append(nil, i)}); err != nil {
					t.Error(err)
				}
			}
		})
		ann.Send("SUBSCRIBE", "", "id", "mine", "destination", "/temp-queue/foo", "receipt", "r")
		id := "/temp-queue/foo"
		for next := 0; next < n || id != "mine"; {
			f, err := ann.Receive()
			switch {
			case err != nil:
				t.Fatal(err)
			case f.Command == "RECEIPT":
				id = "mine"
			case string(f.Body) != fmt.Sprint(next) || f.Get("subscription") != id:
				t.Fatalf("round %d: got %v %q, want %d with the id %s", round, f.Headers, f.Body, next, id)
			default:
				next++
			}
		}
		all.Wait()
		ann.Close()
	}
}

// A session has a bounded number of destinations for answers, and they are
// subscriptions too.
func TestDestinationsForAnswersAreBounded(t *testing.T) {
	full := "more than 2 destinations for answers (limits.reply_destinations)"
	for _, tc := range []struct {
		limits broker.Limits
		last   []string
		want   string
	}{
		{broker.Limits{ReplyDestinations: 2}, []string{"SEND", "destination", "/queue/rpc", "reply-to", "/temp-queue/c"}, full},
		{broker.Limits{ReplyDestinations: 2}, []string{"SEND", "destination", "/queue/rpc", "reply-to", "/temp-queue/c", "transaction", "t"}, full},
		{broker.Limits{ReplyDestinations: 2}, []string{"SUBSCRIBE", "destination", "/temp-queue/c", "id", "c"}, full},
		{broker.Limits{Subscriptions: 2}, []string{"SEND", "destination", "/queue/rpc", "reply-to", "/temp-queue/c"}, "more than 2 subscriptions (limits.subscriptions)"},
		{broker.Limits{SubscriptionBytes: 3000}, []string{"SEND", "destination", "/queue/rpc", "reply-to", "/temp-queue/" + strings.Repeat("c", 500)}, "more than 3000 bytes in subscriptions (limits.subscription_bytes)"},
		{broker.Limits{}, []string{"SEND", "destination", "/queue/rpc", "reply-to", "/temp-queue/" + strings.Repeat("c", topics.MaxLength)}, "reply-to header: " + topics.ErrTooLong.Error()},
	} {
		b, server := serving(t, broker.Options{Limits: tc.limits})
		c := brokertest.Connect(t, b)
		answerable(t, c, server, "1", "/temp-queue/a")
		answerable(t, c, server, "2", "/temp-queue/b")
		answerable(t, c, server, "3", "/temp-queue/a")
		c.Send("UNSUBSCRIBE", "", "id", "/temp-queue/b")
		answerable(t, c, server, "4", "/temp-queue/d")
		c.Send("BEGIN", "", "transaction", "t")
		c.Send(tc.last[0], "", tc.last[1:]...)
		code := 4429
		if tc.limits == (broker.Limits{}) {
			code = 1002
		}
		wantError(t, c, code, tc.want)
	}
}

// A client that does not read its answers is a slow consumer as any other.
func TestAnswersCountInTheOutbox(t *testing.T) {
	b, server := serving(t, broker.Options{Limits: broker.Limits{Frame: 1 << 10, Outbox: 4 << 10}})
	p := pipe(t, b, false).connect(t)
	p.send(t, "SEND", "x", "destination", "/queue/rpc", "reply-to", "/temp-queue/foo")
	to := server.Expect(t, "MESSAGE").Get("reply-to")
	brokertest.Eventually(t, "the session ends", func() bool {
		err := b.Publish(t.Context(), &broker.Message{Destination: to, Body: make([]byte, 1000)})
		return errors.Is(err, broker.ErrNoSession)
	})
}

// The headers of a request keep their meaning, and so do those of an answer.
func TestRequestsWithOtherHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, server := serving(t, broker.Options{HeartBeat: frames.HeartBeat{Send: -1, Receive: -1}})
		ann := brokertest.Connect(t, b, "login", "ann")
		start := time.Now()
		to := answerable(t, ann, server, "delayed", "/temp-queue/foo", "delay", "30000")
		if d := time.Since(start); d < 30*time.Second {
			t.Errorf("the request came after %v", d)
		}
		if got := answerable(t, ann, server, "once", "/temp-queue/foo", "message-dedup-id", "1", "ttl", "1000"); got != to {
			t.Errorf("reply-to is %s, want %s", got, to)
		}
		ann.Send("BEGIN", "", "transaction", "t")
		ann.Send("SEND", "in transaction", "destination", "/queue/rpc", "reply-to", "/temp-queue/bar", "transaction", "t")
		ann.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		ann.ExpectReceipt(t, "c")
		other := expectMessage(t, server, "in transaction").Get("reply-to")
		if !replyName.MatchString(other) {
			t.Errorf("reply-to is %s", other)
		}

		start = time.Now()
		send(t, server, to, "later", "delay", "30000")
		expectMessage(t, ann, "later")
		if d := time.Since(start); d < 30*time.Second {
			t.Errorf("the answer came after %v", d)
		}
		send(t, server, to, "too late", "expires", "900000000000")
		send(t, server, to, "delayed for nobody", "delay", "60000")
		server.Send("BEGIN", "", "transaction", "t")
		server.Send("SEND", "committed", "destination", other, "transaction", "t")
		server.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "c", "unroutable", "-")
		wantHeaders(t, expectMessage(t, ann, "committed"), "subscription", "/temp-queue/bar")
		ann.Close()
		time.Sleep(2 * time.Minute) // what is due for nobody harms nobody
		server.Send("SEND", "", "destination", "/queue/rpc", "receipt", "r")
		server.Expect(t, "MESSAGE")
		server.ExpectReceipt(t, "r")
		server.Close()
		_ = b.Close()
	})
}

// What is no /temp-queue passes unchanged, and of a repeated header the first
// one counts (STOMP 1.2, "Repeated Header Entries").
func TestOtherReplyToPassesUnchanged(t *testing.T) {
	b, server := serving(t, broker.Options{})
	ann := brokertest.Connect(t, b)
	for _, to := range []string{"/queue/answers", "/temp-topic/a", "/temp-queue", "temp-queue/a", "/reply-queue/x", "anything", ""} {
		send(t, ann, "/queue/rpc", "x", "reply-to", to, "reply-to", "/temp-queue/second")
		m := expectMessage(t, server, "x")
		wantHeaders(t, m, "reply-to", to)
	}
	if st := b.Stats(); st.Subscriptions != 1 {
		t.Errorf("%d subscriptions, want 1: a second reply-to has no meaning", st.Subscriptions)
	}
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/rpc", Headers: []frames.Header{{Name: "reply-to", Value: "/temp-queue/a"}}}); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, server.Expect(t, "MESSAGE"), "reply-to", "/temp-queue/a") // the program has no session
}

// A handler of the program answers with Reply, or publishes later to the
// reply-to of the request.
func TestHandlersAnswerTemporaryDestinations(t *testing.T) {
	b, _ := serving(t, broker.Options{})
	var later string
	handle(t, b, "/ask", func(ctx context.Context, r *broker.Request) error {
		later = r.Header("reply-to")
		if !replyName.MatchString(later) {
			t.Errorf("reply-to is %q", later)
		}
		for _, m := range []*broker.Message{{Body: []byte("first")}, {Body: []byte("second"), Destination: later}} {
			if d, err := r.Reply(ctx, m); err != nil || d.Subscriptions != 1 {
				t.Errorf("Reply: %+v, %v", d, err)
			}
		}
		return nil
	})
	ann, bob := brokertest.Connect(t, b), brokertest.Connect(t, b)
	ann.Send("SEND", "?", "destination", "/app/ask", "reply-to", "/temp-queue/foo", "receipt", "r")
	for _, body := range []string{"first", "second"} {
		wantHeaders(t, expectMessage(t, ann, body), "subscription", "/temp-queue/foo", "destination", "/temp-queue/foo")
	}
	ann.ExpectReceipt(t, "r")
	publish(t, b, later, "third")
	wantMessages(t, ann, "third")
	for s := range b.Sessions() {
		if d, err := b.PublishToSession(t.Context(), s.ID, &broker.Message{Destination: later, Body: []byte("to one")}); err != nil {
			t.Errorf("PublishToSession: %+v, %v", d, err)
		}
	}
	wantMessages(t, ann, "to one") // the other sessions have no such destination

	// Reply answers its own session only, whatever reply-to it was given.
	anns := later
	handle(t, b, "/other", func(ctx context.Context, r *broker.Request) error {
		d, err := r.Reply(ctx, &broker.Message{Body: []byte("x")})
		if err != nil || d.Subscriptions != 0 {
			t.Errorf("Reply to another session: %+v, %v", d, err)
		}
		return nil
	})
	bob.Send("SEND", "?", "destination", "/app/other", "reply-to", anns, "receipt", "r")
	bob.ExpectReceipt(t, "r")
	wantMessages(t, ann)
}

// Rules that change, and observers, see these subscriptions as they see others.
func TestSubscriptionsToAnswersAreObserved(t *testing.T) {
	b, server := serving(t, broker.Options{})
	var d diary
	b.Observe(d.observer())
	ann := brokertest.Connect(t, b)
	to := answerable(t, ann, server, "1", "/temp-queue/foo")
	ann.Subscribe(t, "mine", "/temp-queue/foo")
	if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, deny("/**", auth.Send, auth.Subscribe))}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, to, "still")
	expectMessage(t, ann, "still")
	ann.Send("UNSUBSCRIBE", "", "id", "mine", "receipt", "u")
	ann.ExpectReceipt(t, "u")
	d.want(t, "connected ", "subscribed  /temp-queue/foo /temp-queue/foo", "unsubscribed  /temp-queue/foo /temp-queue/foo unsubscribe",
		"subscribed  /temp-queue/foo mine", "unsubscribed  /temp-queue/foo mine unsubscribe")
}
