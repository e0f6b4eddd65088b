package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// relay is a Relay that only notes what it is told.
type relay struct {
	refuses error // Start's

	mu        sync.Mutex
	peer      broker.Peer
	interests []topics.Interest
	published []*broker.Envelope
	settling  []settling
}

type settling struct {
	generation uint64
	done       func(error)
}

func (r *relay) Start(p broker.Peer) error {
	r.peer = p
	return r.refuses
}

func (r *relay) Interest(i topics.Interest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interests = append(r.interests, i)
}

func (r *relay) Settle(generation uint64, done func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settling = append(r.settling, settling{generation, done})
}

func (r *relay) Publish(e *broker.Envelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := &broker.Envelope{Destination: strings.Clone(e.Destination), ID: strings.Clone(e.ID), Origin: e.Origin, Body: slices.Clone(e.Body)}
	for _, h := range e.Headers {
		kept.Headers = append(kept.Headers, frames.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)})
	}
	r.published = append(r.published, kept)
}

// take returns what was handed on since the last call.
func (r *relay) take() []*broker.Envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.published
	r.published = nil
	return list
}

// waits returns the only SUBSCRIBE that waits for other brokers.
func (r *relay) waits(t *testing.T) settling {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.settling) != 1 {
		t.Fatalf("%d subscriptions wait for other brokers, want 1", len(r.settling))
	}
	w := r.settling[0]
	r.settling = nil
	return w
}

// subscribe subscribes a client, and answers for the other brokers.
func (r *relay) subscribe(t *testing.T, c *brokertest.Client, id, destination string) {
	t.Helper()
	c.Send("SUBSCRIBE", "", "id", id, "destination", destination, "receipt", id)
	synctest.Wait()
	r.mu.Lock()
	list := r.settling
	r.settling = nil
	r.mu.Unlock()
	for _, w := range list {
		w.done(nil)
	}
	c.ExpectReceipt(t, id)
}

// relayed runs a test in a bubble with a broker that has a relay.
func relayed(t *testing.T, o broker.Options, test func(t *testing.T, b *broker.Broker, r *relay)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := new(relay)
		o.Relay = r
		test(t, brokertest.New(t, o), r)
	})
}

// past returns a moment that has passed as a header has it.
func past() string { return fmt.Sprint(time.Now().Add(-time.Second).UnixMilli()) }

// What is published to a topic or a transient queue is handed on as it was
// accepted: with its id, its headers and its publisher. Nothing else is.
func TestRelayGetsWhatIsPublished(t *testing.T) {
	o := broker.Options{
		Queues:     broker.Queues{Transient: []string{"/queue/t*"}},
		Authorizer: rules(t, deny("/topic/secret", auth.Send), allow("/**", auth.Send, auth.Subscribe)),
	}
	relayed(t, o, func(t *testing.T, b *broker.Broker, r *relay) {
		if p := r.peer; len(p.Node) != 12 || p.Frame <= 0 || p.Deliver == nil {
			t.Fatalf("%+v", p)
		}
		ann, bob := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "bob")
		send(t, ann, "/topic//a/", "1", "kind", "x")
		send(t, ann, "/queue/t1", "2")
		send(t, bob, "/topic/a", "3")
		publish(t, b, "/topic/a", "4")
		got := r.take()
		var bodies, destinations []string
		for _, e := range got {
			bodies, destinations = append(bodies, string(e.Body)), append(destinations, e.Destination)
			if !strings.HasPrefix(e.ID, r.peer.Node) {
				t.Errorf("the id %q does not begin with that of the broker, %q", e.ID, r.peer.Node)
			}
		}
		if want := []string{"1", "2", "3", "4"}; !slices.Equal(bodies, want) {
			t.Fatalf("handed on: %q, want %q", bodies, want)
		}
		if want := []string{"/topic//a/", "/queue/t1", "/topic/a", "/topic/a"}; !slices.Equal(destinations, want) {
			t.Errorf("handed on to %q, want %q", destinations, want)
		}
		if a, again, other, program := got[0].Origin, got[1].Origin, got[2].Origin, got[3].Origin; a == 0 || again != a || other == a || other == 0 || program != 0 {
			t.Errorf("the origins are %d, %d, %d, %d", a, again, other, program)
		}
		if !slices.Contains(got[0].Headers, frames.Header{Name: "kind", Value: "x"}) {
			t.Errorf("the headers are %v", got[0].Headers)
		}

		// An id is the same everywhere.
		r.subscribe(t, bob, "s", "/topic/b")
		send(t, ann, "/topic/b", "5")
		if m, e := expectMessage(t, bob, "5"), r.take(); len(e) != 1 || m.Get("message-id") != e[0].ID {
			t.Errorf("the message-id is %q, handed on: %v", m.Get("message-id"), e)
		}

		// A transaction is handed on with its COMMIT, a delayed message when it is due.
		ann.Send("BEGIN", "", "transaction", "t")
		ann.Send("SEND", "6", "destination", "/topic/a", "transaction", "t")
		send(t, ann, "/topic/a", "7", "delay", "1000")
		if e := r.take(); len(e) != 0 {
			t.Errorf("handed on too early: %v", e)
		}
		ann.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		ann.ExpectReceipt(t, "c")
		if e := r.take(); len(e) != 1 || string(e[0].Body) != "6" {
			t.Errorf("a COMMIT has handed on %v", e)
		}
		time.Sleep(2 * time.Second) // of the bubble
		synctest.Wait()
		if e := r.take(); len(e) != 1 || string(e[0].Body) != "7" {
			t.Errorf("a delayed message: %v", e)
		}

		// What is of one broker, is refused or is aborted is not handed on.
		handle(t, b, "/app/x", func(context.Context, *broker.Request) error { return nil })
		for _, destination := range []string{"/queue/work", "/user/bob/queue/a", "/app/x"} {
			send(t, ann, destination, "no")
		}
		send(t, ann, "/topic/a", "no", "expires", past())
		ann.Send("BEGIN", "", "transaction", "t")
		ann.Send("SEND", "no", "destination", "/topic/a", "transaction", "t")
		ann.Send("ABORT", "", "transaction", "t", "receipt", "a")
		ann.ExpectReceipt(t, "a")
		ann.Send("SEND", "no", "destination", "/topic/secret")
		ann.Expect(t, "ERROR")
		if e := r.take(); len(e) != 0 {
			t.Errorf("handed on: %v", e)
		}
	})
}

// What comes from another broker is for subscribers here only.
func TestRelayedMessagesGoNoFurther(t *testing.T) {
	o := broker.Options{Queues: broker.Queues{Transient: []string{"/queue/t*"}}}
	relayed(t, o, func(t *testing.T, b *broker.Broker, r *relay) {
		c := brokertest.Connect(t, b, "login", "ann")
		for i, destination := range []string{"/topic/*", "/queue/t1", "/queue/work", "/user/queue/a"} {
			r.subscribe(t, c, fmt.Sprint(i), destination)
		}
		handle(t, b, "/app/x", func(context.Context, *broker.Request) error {
			t.Error("a handler was called")
			return nil
		})
		from := func(destination, body string, headers ...frames.Header) {
			r.peer.Deliver(&broker.Envelope{Destination: destination, ID: "of-another-1", Origin: 7, Headers: headers, Body: []byte(body)})
		}
		from("/topic/a", "1", frames.Header{Name: "kind", Value: "x"})
		from("/queue/t1", "2")
		for _, destination := range []string{"/queue/work", "/user/ann/queue/a", "/user/queue/a", "/app/x", "/elsewhere", ""} {
			from(destination, "no")
		}
		from("/topic/a", "no", frames.Header{Name: "expires", Value: past()})
		from("/topic/a", "3", frames.Header{Name: "expires", Value: fmt.Sprint(time.Now().Add(time.Minute).UnixMilli())})
		synctest.Wait()
		got := wantMessages(t, c, "1", "2", "3")
		wantHeaders(t, got[0], "message-id", "of-another-1", "kind", "x", "destination", "/topic/a", "subscription", "0")
		wantHeaders(t, got[1], "destination", "/queue/t1", "subscription", "1")
		if e := r.take(); len(e) != 0 {
			t.Errorf("handed on again: %v", e)
		}
		if st := b.Stats(); st.Published != 0 || st.Delivered != 3 {
			t.Errorf("%d published and %d delivered, want 0 and 3", st.Published, st.Delivered)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		from("/topic/a", "after the end") // must do no harm
	})
}

// The RECEIPT of a SUBSCRIBE waits until other brokers know the interest, also of
// the second subscriber, which causes none. The session goes on meanwhile.
func TestReceiptWaitsForOtherBrokers(t *testing.T) {
	relayed(t, broker.Options{}, func(t *testing.T, b *broker.Broker, r *relay) {
		c, other := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "bob")
		c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "1")
		first := r.waits(t)
		wantQuiet(t, c)
		c.Send("SEND", "meanwhile", "destination", "/topic/b")
		synctest.Wait()
		if e := r.take(); len(e) != 1 {
			t.Errorf("the session stands still: %v", e)
		}
		other.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "1")
		second := r.waits(t)
		wantQuiet(t, other)
		if first.generation != 1 || second.generation != 1 {
			t.Errorf("they wait for %d and %d, want 1", first.generation, second.generation)
		}
		r.peer.Deliver(&broker.Envelope{Destination: "/topic/a", ID: "x", Body: []byte("early")})
		wantQuiet(t, c)
		first.done(nil)
		c.ExpectReceipt(t, "1")
		expectMessage(t, c, "early") // it waited behind the RECEIPT
		second.done(nil)
		other.ExpectReceipt(t, "1")
		expectMessage(t, other, "early")

		// Nothing waits without a receipt, and what other brokers need not know.
		c.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/b")
		c.Subscribe(t, "3", "/user/queue/a")
		c.Subscribe(t, "4", "/queue/work")
		for _, id := range []string{"1", "2"} {
			c.Send("UNSUBSCRIBE", "", "id", id)
		}
		c.Sync(t)
		other.Send("UNSUBSCRIBE", "", "id", "1")
		other.Sync(t)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.settling) != 0 {
			t.Errorf("%d wait", len(r.settling))
		}
		want := []topics.Interest{
			{Destination: "/topic/a", Wanted: true, Generation: 1},
			{Destination: "/topic/b", Wanted: true, Generation: 2},
			{Destination: "/topic/b", Wanted: false, Generation: 3},
			{Destination: "/topic/a", Wanted: false, Generation: 4},
		}
		if !slices.Equal(r.interests, want) {
			t.Errorf("the interests are %v, want %v", r.interests, want)
		}
	})
}

// Subscribe in the process waits for other brokers, too: not longer than its
// context, and with an error if they cannot be told.
func TestSubscribeInTheProcessWaitsForOtherBrokers(t *testing.T) {
	relayed(t, broker.Options{}, func(t *testing.T, b *broker.Broker, r *relay) {
		type result struct {
			sub *broker.Subscription
			err error
		}
		results, got := make(chan result, 1), make(chan string, 4)
		subscribe := func(ctx context.Context, destination string) {
			go func() {
				sub, err := b.Subscribe(ctx, destination, broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
					got <- string(m.Body)
					return nil
				})
				results <- result{sub, err}
			}()
		}
		subscribe(t.Context(), "/topic/*")
		w := r.waits(t)
		publish(t, b, "/topic/a", "meanwhile")
		if m := <-got; m != "meanwhile" {
			t.Errorf("got %q", m)
		}
		select {
		case res := <-results:
			t.Fatalf("it does not wait: %v", res.err)
		default:
		}
		w.done(nil)
		first := <-results
		if first.err != nil {
			t.Fatal(first.err)
		}

		broken := errors.New("the links are closed")
		subscribe(t.Context(), "/topic/b")
		r.waits(t).done(broken)
		if res := <-results; !errors.Is(res.err, broken) || !strings.Contains(res.err.Error(), "/topic/b") {
			t.Errorf("the error is %v", res.err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		subscribe(ctx, "/topic/c")
		w = r.waits(t)
		cancel(enough)
		if res := <-results; !errors.Is(res.err, enough) {
			t.Errorf("the error is %v", res.err)
		}
		w.done(nil) // late, which must do no harm

		// A queue is not known by interest, and Close ends whoever waits.
		subscribe(t.Context(), "/queue/work")
		if res := <-results; res.err != nil {
			t.Error(res.err)
		}
		subscribe(t.Context(), "/topic/d")
		r.waits(t)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if res := <-results; !errors.Is(res.err, broker.ErrClosed) {
			t.Errorf("the error is %v", res.err)
		}
		<-first.sub.Done()
	})
}

// If other brokers cannot know a subscription, the client is told which.
func TestSubscriptionThatOtherBrokersCannotKnow(t *testing.T) {
	relayed(t, broker.Options{}, func(t *testing.T, b *broker.Broker, r *relay) {
		c := brokertest.Connect(t, b)
		c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "r1")
		r.waits(t).done(errors.New("the links are closed"))
		wantLateError(t, c, "r1", "other brokers could not be told of the subscription")
		c.Ended(t)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if last := r.interests[len(r.interests)-1]; last != (topics.Interest{Destination: "/topic/a", Generation: 2}) {
			t.Errorf("the last interest is %v", last)
		}
	})
}

// A session may end while other brokers are asked.
func TestSessionEndsBeforeOtherBrokersAnswer(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("closed")} {
		relayed(t, broker.Options{}, func(t *testing.T, b *broker.Broker, r *relay) {
			c := brokertest.Connect(t, b)
			c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "r1")
			w := r.waits(t)
			c.Close()
			w.done(outcome)
			synctest.Wait()
			if st := b.Stats(); st.Subscriptions != 0 {
				t.Errorf("%d subscriptions are left", st.Subscriptions)
			}
		})
	}
}

// What is of one broker only cannot be used with a relay, and a relay that cannot
// start ends the start of the broker.
func TestRelayRefusesWhatIsOfOneBroker(t *testing.T) {
	broken := errors.New("no connection")
	for name, o := range map[string]broker.Options{
		"History":       {Relay: new(relay), History: []broker.History{{Destination: "/topic/a"}}},
		"Durable":       {Relay: new(relay), Durable: []broker.Durable{{Destination: "/topic/a"}}},
		"Presence":      {Relay: new(relay), Presence: []string{"/topic/a"}},
		"no connection": {Relay: &relay{refuses: broken}},
	} {
		o.Authenticator, o.Authorizer = auth.TrustLogin, auth.Open()
		b, err := broker.New(o)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if o.Relay.(*relay).refuses != nil && !errors.Is(err, broken) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if b != nil {
			t.Errorf("%s: there is a broker", name)
		}
	}
}
