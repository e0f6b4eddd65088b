package broker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// hub joins brokers of one process, without a network. It gives all that is
// published to all, and hands on copies, since a Relay owns nothing.
type hub struct {
	mu     sync.Mutex
	peers  []*spoke
	silent bool          // no broker answers in time
	hold   bool          // nobody knows of a user before the test says so
	known  []func(error) // what waits for that
}

type spoke struct {
	hub   *hub
	peer  broker.Peer
	users map[string]int
	asked int
}

var _ broker.Directed = (*spoke)(nil)

func (s *spoke) Start(p broker.Peer) error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.peer, s.users = p, make(map[string]int)
	s.hub.peers = append(s.hub.peers, s)
	return nil
}

func (s *spoke) Interest(topics.Interest) {}

func (s *spoke) Settle(_ uint64, done func(error)) { done(nil) }

func (s *spoke) others(to string) (list []*spoke) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, p := range s.hub.peers {
		if p != s && strings.HasPrefix(p.peer.Node, to) {
			list = append(list, p)
		}
	}
	return list
}

func copyEnvelope(e broker.Envelope) broker.Envelope {
	c := broker.Envelope{Destination: strings.Clone(e.Destination), ID: strings.Clone(e.ID), Origin: e.Origin, Body: slices.Clone(e.Body)}
	for _, h := range e.Headers {
		c.Headers = append(c.Headers, frames.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)})
	}
	return c
}

func (s *spoke) Publish(e *broker.Envelope) {
	for _, p := range s.others("") {
		if e.User == "" || p.has(e.User) {
			c := copyEnvelope(*e)
			p.peer.Deliver(&c)
		}
	}
}

func (s *spoke) has(user string) bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.users[user] > 0
}

func (s *spoke) Join(user string)  { s.count(user, 1) }
func (s *spoke) Leave(user string) { s.count(user, -1) }

func (s *spoke) count(user string, n int) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.users[user] += n
}

func (s *spoke) Known(_ string, done func(error)) {
	s.hub.mu.Lock()
	if s.hub.hold {
		s.hub.known = append(s.hub.known, done)
		s.hub.mu.Unlock()
		return
	}
	s.hub.mu.Unlock()
	done(nil)
}

func (s *spoke) Ask(to string, q *broker.Question, done func(broker.Answer, error)) {
	s.hub.mu.Lock()
	s.asked++
	silent := s.hub.silent
	s.hub.mu.Unlock()
	list := s.others(to)
	var sum broker.Answer
	var err error
	switch {
	case len(list) == 0 && to != "":
		err = broker.ErrNoSession
	case silent:
		err = &broker.PartialError{Missing: []string{"n2"}}
	default:
		for _, p := range list {
			c := *q
			c.Message = copyEnvelope(q.Message)
			a := p.peer.Answer(&c)
			sum.Subscriptions += a.Subscriptions
			sum.Unacknowledged += a.Unacknowledged
			sum.Sessions += a.Sessions
		}
	}
	if done != nil {
		done(sum, err)
	}
}

// joined runs a test in a bubble with three brokers.
func joined(t *testing.T, o broker.Options, test func(t *testing.T, h *hub, b []*broker.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := new(hub)
		var list []*broker.Broker
		for range 3 {
			each := o
			each.Relay = &spoke{hub: h}
			list = append(list, brokertest.New(t, each))
		}
		test(t, h, list)
	})
}

func permissive(t *testing.T) *auth.Rules {
	return rules(t, allow("/**", auth.Send, auth.Subscribe))
}

func idOf(t *testing.T, b *broker.Broker, user string) string {
	t.Helper()
	for s := range b.Sessions() {
		if s.User == user {
			return s.ID
		}
	}
	t.Fatalf("%s has no session", user)
	return ""
}

// A message to a user reaches the sessions of all brokers, with one id and in
// order, and those of nobody else. A broker without the user gets none of it.
func TestX6UsersOnOtherBrokers(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, h *hub, b []*broker.Broker) {
		ann := brokertest.Connect(t, b[0], "login", "ann")
		bob, bob2, eve := brokertest.Connect(t, b[0], "login", "bob"), brokertest.Connect(t, b[1], "login", "bob"), brokertest.Connect(t, b[1], "login", "eve")
		for _, c := range []*brokertest.Client{bob, bob2, eve} {
			c.Subscribe(t, "1", "/user/queue/a")
		}
		send(t, ann, "/user/bob/queue/a", "1", "kind", "x")
		publish(t, b[0], "/user/bob/queue/a", "2")
		d, err := b[0].PublishToUser(t.Context(), "bob", &broker.Message{Destination: "/queue/a", Body: []byte("3"), Redelivered: true})
		if d.Subscriptions != 2 || err != nil {
			t.Errorf("%+v, %v", d, err)
		}
		here, there := wantMessages(t, bob, "1", "2", "3"), wantMessages(t, bob2, "1", "2", "3")
		for i := range here {
			if a, b := here[i].Get("message-id"), there[i].Get("message-id"); a != b || a == "" {
				t.Errorf("the ids of message %d are %q and %q", i+1, a, b)
			}
		}
		wantHeaders(t, there[0], "destination", "/user/queue/a", "kind", "x", "redelivered", "-")
		wantHeaders(t, there[2], "redelivered", "true")
		wantQuiet(t, eve)
		if st := b[2].Stats(); st.Delivered != 0 {
			t.Errorf("a broker without the user delivered %d", st.Delivered)
		}

		// A message that has expired, and one that no broker takes, go nowhere.
		if err := b[0].Publish(t.Context(), &broker.Message{Destination: "/user/bob/queue/a", Headers: []broker.Header{{Name: "expires", Value: past()}}}); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*broker.Message{
			{Destination: "/app/x"}, {Destination: "/queue/*"}, {Destination: "/queue/a", Headers: []broker.Header{{Name: "ttl", Value: "soon"}}},
		} {
			if d, err := b[0].PublishToUser(t.Context(), "bob", m); err == nil {
				t.Errorf("%+v for %v", d, m)
			}
			if d, err := b[0].PublishToSession(t.Context(), idOf(t, b[1], "bob"), m); err == nil || errors.Is(err, broker.ErrNoSession) {
				t.Errorf("%+v, %v for %v", d, err, m)
			}
		}
		wantQuiet(t, bob2)

		bob2.Close()
		synctest.Wait()
		if h.peers[1].has("bob") || !h.peers[0].has("bob") {
			t.Error("the brokers say otherwise where the user is")
		}
	})
}

// Whatever names a session works from any broker.
func TestX6SessionsOnOtherBrokers(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, h *hub, b []*broker.Broker) {
		c := brokertest.Connect(t, b[1], "login", "bob")
		c.Subscribe(t, "1", "/user/queue/a", "ack", "client-individual")
		id := idOf(t, b[1], "bob")
		var outcomes []string
		m := &broker.Message{Destination: "/queue/a", Body: []byte("1"), Settled: func(s string, o broker.Outcome) { outcomes = append(outcomes, s+" "+o.String()) }}
		if d, err := b[0].PublishToSession(t.Context(), id, m); d != (broker.Delivery{Subscriptions: 1, Unacknowledged: 1}) || err != nil {
			t.Fatalf("%+v, %v", d, err)
		}
		c.Send("NACK", "", "id", expectMessage(t, c, "1").Get("ack"))
		c.Sync(t)
		if want := []string{id + " refused"}; !slices.Equal(outcomes, want) {
			t.Errorf("the outcomes are %q, want %q", outcomes, want)
		}

		// Ids that cannot be of another broker are not asked about.
		before := h.peers[0].asked
		own := h.peers[0].peer.Node[:6] + id[6:]
		for _, wrong := range []string{own, "", "x", id + "a", id[:31]} {
			if _, err := b[0].PublishToSession(t.Context(), wrong, m); !errors.Is(err, broker.ErrNoSession) {
				t.Errorf("%q: %v", wrong, err)
			}
			if err := b[0].Disconnect(wrong, ""); !errors.Is(err, broker.ErrNoSession) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		if h.peers[0].asked != before {
			t.Error("other brokers were asked")
		}
		if err := b[0].Disconnect(id, "go"); err != nil {
			t.Fatal(err)
		}
		if f := c.Expect(t, "ERROR"); f.Get("message") != "go" {
			t.Errorf("ended by %v", f.Headers)
		}
		synctest.Wait()
		if err := b[0].Disconnect(id, "go"); !errors.Is(err, broker.ErrNoSession) {
			t.Error(err)
		}
		for _, each := range b {
			brokertest.Connect(t, each, "login", "ann")
		}
		if n, err := b[2].DisconnectUser("ann", ""); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := b[2].DisconnectUser("", ""); !errors.Is(err, broker.ErrNoSession) {
			t.Error(err)
		}
	})
}

// A broker that does not answer makes the result partial, which a client hears
// of as an answer that nobody gets.
func TestSilentBroker(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, h *hub, b []*broker.Broker) {
		here, there := brokertest.Connect(t, b[0], "login", "bob"), brokertest.Connect(t, b[1], "login", "bob")
		here.Subscribe(t, "1", "/user/queue/a")
		there.Subscribe(t, "1", "/topic/rpc")
		send(t, here, "/topic/rpc", "?", "reply-to", "/temp-queue/x")
		to := expectMessage(t, there, "?").Get("reply-to")
		h.silent = true
		partial := func(what string, err error) {
			t.Helper()
			var p *broker.PartialError
			if !errors.As(err, &p) || !slices.Equal(p.Missing, []string{"n2"}) {
				t.Errorf("%s: %v", what, err)
			}
		}
		d, err := b[0].PublishToUser(t.Context(), "bob", &broker.Message{Destination: "/queue/a", Body: []byte("1")})
		partial("to a user", err)
		if d.Subscriptions != 1 {
			t.Errorf("%+v", d)
		}
		expectMessage(t, here, "1")
		id := idOf(t, b[1], "bob")
		_, err = b[0].PublishToSession(t.Context(), id, &broker.Message{Destination: "/queue/a"})
		partial("to a session", err)
		partial("end a session", b[0].Disconnect(id, ""))
		n, err := b[0].DisconnectUser("nobody", "")
		partial("end the sessions of a user", err)
		if n != 0 {
			t.Errorf("%d sessions ended", n)
		}
		partial("an answer", b[1].Publish(t.Context(), &broker.Message{Destination: to}))
		there.Send("SEND", "!", "destination", to, "receipt", "r")
		wantHeaders(t, there.Expect(t, "RECEIPT"), "receipt-id", "r", "unroutable", "true")
	})
}

// Answers go to the broker of the request, in order, also in a transaction.
func TestAnswersGoToOtherBrokers(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, _ *hub, b []*broker.Broker) {
		ann, server := brokertest.Connect(t, b[0], "login", "ann"), brokertest.Connect(t, b[1], "login", "server")
		server.Subscribe(t, "1", "/topic/rpc")
		send(t, ann, "/topic/rpc", "?", "reply-to", "/temp-queue/x")
		to := expectMessage(t, server, "?").Get("reply-to")
		server.Send("SEND", "1", "destination", to)
		server.Send("SEND", "2", "destination", to, "receipt", "r")
		wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "r", "unroutable", "-")
		server.Send("BEGIN", "", "transaction", "t")
		server.Send("SEND", "3", "destination", to, "transaction", "t")
		server.Send("COMMIT", "", "transaction", "t", "receipt", "c")
		wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "c", "unroutable", "-")
		publish(t, b[2], to, "4")
		wantHeaders(t, wantMessages(t, ann, "1", "2", "3", "4")[3], "subscription", "/temp-queue/x", "destination", "/temp-queue/x")
		ann.Close()
		synctest.Wait()
		if err := b[2].Publish(t.Context(), &broker.Message{Destination: to}); !errors.Is(err, broker.ErrNoSession) {
			t.Error(err)
		}
		for _, destination := range []string{to, "/reply-queue/aaaaaa" + to[len("/reply-queue/aaaaaa"):]} {
			server.Send("SEND", "5", "destination", destination, "receipt", "r")
			wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "r", "unroutable", "true")
			server.Send("SEND", "5", "destination", destination, "receipt", "d", "message-dedup-id", "d"+destination)
			wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "d", "unroutable", "true")
			server.Send("BEGIN", "", "transaction", "t")
			server.Send("SEND", "5", "destination", destination, "transaction", "t")
			server.Send("COMMIT", "", "transaction", "t", "receipt", "c")
			wantHeaders(t, server.Expect(t, "RECEIPT"), "receipt-id", "c", "unroutable", "true")
		}
	})
}

// The RECEIPT of a SUBSCRIBE to a destination of the user waits until other
// brokers know that the user is here.
func TestReceiptWaitsUntilTheUserIsKnown(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, h *hub, b []*broker.Broker) {
		h.hold = true
		ann, nobody := brokertest.Connect(t, b[0], "login", "ann"), brokertest.Connect(t, b[0])
		nobody.Subscribe(t, "1", "/user/queue/a") // only its id names it
		ann.Subscribe(t, "0", "/topic/a")
		ann.Send("SUBSCRIBE", "", "id", "1", "destination", "/user/queue/a", "receipt", "1")
		ann.Send("SUBSCRIBE", "", "id", "2", "destination", "/user/ann/queue/a", "receipt", "2")
		synctest.Wait()
		wantQuietReceipts(t, ann, h, 2)
		for _, done := range h.known {
			done(nil)
		}
		ann.ExpectReceipt(t, "1")
		ann.ExpectReceipt(t, "2")
		h.known = nil
		ann.Send("SUBSCRIBE", "", "id", "3", "destination", "/user/queue/b", "receipt", "3")
		synctest.Wait()
		h.known[0](errors.New("closed"))
		wantLateError(t, ann, "3", "other brokers could not be told of the subscription")
	})
}

func wantQuietReceipts(t *testing.T, c *brokertest.Client, h *hub, n int) {
	t.Helper()
	if c.Pending() != 0 || len(h.known) != n {
		t.Fatalf("%d frames came, %d wait, want 0 and %d", c.Pending(), len(h.known), n)
	}
}

// A late ACK of a message of another broker is no more unknown than one of a
// message of this broker.
func TestLateAckOfAnotherBrokersMessage(t *testing.T) {
	joined(t, broker.Options{Authorizer: permissive(t)}, func(t *testing.T, _ *hub, b []*broker.Broker) {
		c := brokertest.Connect(t, b[1], "login", "ann", "accept-version", "1.1")
		c.Subscribe(t, "1", "/topic/a", "ack", "client")
		publish(t, b[0], "/topic/a", "x")
		id := expectMessage(t, c, "x").Get("message-id")
		for range 2 {
			c.Send("ACK", "", "message-id", id, "subscription", "1")
		}
		c.Sync(t)
		if n := b[1].Stats().UnknownAcks; n != 0 {
			t.Errorf("%d ACKs are unknown", n)
		}
		c.Send("ACK", "", "message-id", "nobody made this", "subscription", "1")
		c.Sync(t)
		if n := b[1].Stats().UnknownAcks; n != 1 {
			t.Errorf("%d ACKs are unknown, want 1", n)
		}
	})
}

// A revocation that was decided here ends the sessions on other brokers, too; one
// that was learned from elsewhere is not told again.
func TestX9RevocationsEndSessionsOnOtherBrokers(t *testing.T) {
	joined(t, broker.Options{Authenticator: credentialed{}}, func(t *testing.T, h *hub, b []*broker.Broker) {
		revocations := auth.NewRevocations()
		o := broker.Options{Authenticator: credentialed{}, Relay: &spoke{hub: h}, Revocations: revocations}
		brokertest.New(t, o)
		for _, r := range []auth.Revocation{{User: "ann"}, {Credential: "credential of ann"}, {}} {
			ann, bob := brokertest.Connect(t, b[0], "login", "ann"), brokertest.Connect(t, b[1], "login", "bob")
			if r == (auth.Revocation{}) {
				r.Session = idOf(t, b[0], "ann")
			}
			if err := revocations.Revoke(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if f := ann.Expect(t, "ERROR"); f.Get("message") != "session revoked" {
				t.Errorf("%v: ended by %v", r, f.Headers)
			}
			wantQuiet(t, bob)
			bob.Close()
			synctest.Wait()
		}
		asked := h.peers[3].asked
		ann := brokertest.Connect(t, b[0], "login", "ann")
		if err := revocations.Apply(auth.Event{Revocation: auth.Revocation{User: "ann"}, User: "ann", Epoch: 7, Source: "elsewhere"}); err != nil {
			t.Fatal(err)
		}
		wantQuiet(t, ann)
		if h.peers[3].asked != asked {
			t.Error("other brokers were told")
		}
	})
}

// credentialed gives each login a credential of its own.
type credentialed struct{}

func (credentialed) Authenticate(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Login == "" {
		return nil, auth.ErrNotMine
	}
	return &auth.Principal{Name: a.Login, CredentialID: "credential of " + a.Login}, nil
}
