//go:build !nostore

package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// question is one that the second node of a pair has heard.
type question struct {
	id uint64
	q  *broker.Question
}

// answered is how a question of the first node ended.
type answered struct {
	sum broker.Answer
	err error
}

// asking returns a pair whose second node is live and hears the questions.
func asking(t *testing.T, o LinksOptions) (*pair, chan question) {
	t.Helper()
	p := newPair(t, o, nil)
	heard := make(chan question, 1024)
	for _, subject := range []string{"hb.d", "hb.n." + theirs + ".d"} {
		_, err := p.conn.Subscribe(subject, func(m *nats.Msg) {
			_, id, _, q, err := decodeQuestion(m.Data)
			if err != nil {
				t.Error(err)
				return
			}
			heard <- question{id, q}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.flush(t)
	p.join(t, 1)
	return p, heard
}

func (p *pair) reply(t *testing.T, r reply) {
	t.Helper()
	r.node = theirs
	if err := p.conn.Publish("hb.n."+ours+".a", r.encode()); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) ask(to string, settled func(string, broker.Outcome)) chan answered {
	got := make(chan answered, 2) // a second answer would be a mistake
	q := &broker.Question{Kind: broker.ToUser, User: "ann", Settled: settled}
	p.links.Ask(to, q, func(sum broker.Answer, err error) { got <- answered{sum, err} })
	return got
}

func missing(t *testing.T, a answered, names ...string) {
	t.Helper()
	var partial *broker.PartialError
	if !errors.As(a.err, &partial) || !slices.Equal(partial.Missing, names) {
		t.Errorf("the error is %v, want that %v are missing", a.err, names)
	}
}

// A question ends with the answers, or with the names of who is silent, gone or
// has no room. Nobody is asked who is not there.
func TestQuestions(t *testing.T) {
	p, heard := asking(t, LinksOptions{})
	got := p.ask("", nil)
	first := testkit.Receive(t, heard)
	p.reply(t, reply{kind: replyAnswer, id: first.id + 1, answer: broker.Answer{Sessions: 9}}) // of another one
	p.reply(t, reply{kind: replyOutcome, id: first.id, outcome: broker.Lost})                  // that nobody waits for
	want := broker.Answer{Delivery: broker.Delivery{Subscriptions: 3, Unacknowledged: 1}, Sessions: 2}
	p.reply(t, reply{kind: replyAnswer, id: first.id, answer: want})
	if a := testkit.Receive(t, got); a.sum != want || a.err != nil || first.q.User != "ann" {
		t.Errorf("%+v", a)
	}
	got = p.ask(theirs[:6], nil)
	p.reply(t, reply{kind: replyRefused, id: testkit.Receive(t, heard).id})
	missing(t, testkit.Receive(t, got), theirs)
	if a := testkit.Receive(t, p.ask("nobody", nil)); !errors.Is(a.err, broker.ErrNoSession) {
		t.Errorf("%+v", a)
	}
	p.links.Ask("", &broker.Question{Kind: broker.EndRevoked}, nil)
	if q := testkit.Receive(t, heard); q.id != 0 || q.q.Kind != broker.EndRevoked {
		t.Errorf("%+v", q)
	}
	got = p.ask("", nil)
	testkit.Receive(t, heard)
	p.say(t, noteBye, 0)
	missing(t, testkit.Receive(t, got), theirs)
	if a := testkit.Receive(t, p.ask("", nil)); a != (answered{}) {
		t.Errorf("alone: %+v", a)
	}
	if n := p.links.asks.size(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// A node that does not answer is named when the deadline is over.
func TestSilentNodeIsNamed(t *testing.T) {
	p, heard := asking(t, LinksOptions{Deadline: 20 * time.Millisecond})
	if err := p.conn.Publish("hb.all", traits{1, "n2"}.append(note{noteBeat, theirs, 2}.encode())); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "it has a name", func() bool { return p.links.Nodes()[1].Name == "n2" })
	got := p.ask("", nil)
	missing(t, testkit.Receive(t, got), "n2")
	// What comes later counts no more.
	id := testkit.Receive(t, heard).id
	p.reply(t, reply{kind: replyAnswer, id: id, answer: broker.Answer{Sessions: 1}})
	p.flush(t)
	if n := len(got); n != 0 || p.links.asks.size() != 0 {
		t.Errorf("%d answers more, %d wait", n, p.links.asks.size())
	}
}

// The outcomes of a node that dies are Lost, once each, and so are those that a
// broken link may have lost. Outcomes that overtake the answer are kept for it.
func TestOutcomesOfADeadNodeAreLost(t *testing.T) {
	p, heard := asking(t, LinksOptions{})
	outcomes := make(chan told, 16)
	settled := func(session string, o broker.Outcome) { outcomes <- told{session, o} }
	begin := func() uint64 {
		t.Helper()
		got := p.ask("", settled)
		id := testkit.Receive(t, heard).id
		p.reply(t, reply{kind: replyOutcome, id: id, session: "s1", outcome: broker.Acknowledged}) // early
		p.reply(t, reply{kind: replyAnswer, id: id, answer: broker.Answer{Delivery: broker.Delivery{Subscriptions: 3, Unacknowledged: 3}}})
		if a := testkit.Receive(t, got); a.err != nil || a.sum.Unacknowledged != 3 {
			t.Fatalf("%+v", a)
		}
		if o := testkit.Receive(t, outcomes); o != (told{"s1", broker.Acknowledged}) {
			t.Fatalf("%+v", o)
		}
		return id
	}
	over := func(n int) {
		t.Helper()
		for range n {
			if o := testkit.Receive(t, outcomes); o != (told{"", broker.Lost}) {
				t.Fatalf("%+v", o)
			}
		}
		if n := p.links.asks.size(); n != 0 {
			t.Errorf("%d wait", n)
		}
	}
	id := begin()
	p.reply(t, reply{kind: replyOutcome, id: id, session: "s2", outcome: broker.Refused})
	if o := testkit.Receive(t, outcomes); o != (told{"s2", broker.Refused}) {
		t.Fatalf("%+v", o)
	}
	p.say(t, noteBye, 0)
	over(1)
	p.reply(t, reply{kind: replyOutcome, id: id, session: "s3", outcome: broker.Acknowledged}) // too late
	p.join(t, 1)
	begin()
	p.say(t, noteBeat, 3) // the second was lost
	over(2)
	begin()
	if err := p.links.Close(); err != nil {
		t.Fatal(err)
	}
	over(2)
	if n := len(outcomes); n != 0 {
		t.Errorf("%d outcomes too many", n)
	}
	if a := testkit.Receive(t, p.ask("", nil)); !errors.Is(a.err, broker.ErrClosed) {
		t.Errorf("%+v", a)
	}
}

// Questions that wait are bounded. One that waits ends with the links.
func TestQuestionsAreBounded(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	p.join(t, 1)
	var list []chan answered
	for range maxWaiting {
		list = append(list, p.ask("", nil))
	}
	if a := testkit.Receive(t, p.ask("", nil)); !errors.Is(a.err, broker.ErrLimit) {
		t.Errorf("%+v", a)
	}
	if err := p.links.Close(); err != nil {
		t.Fatal(err)
	}
	for _, got := range list {
		if a := testkit.Receive(t, got); !errors.Is(a.err, broker.ErrClosed) {
			t.Fatalf("%+v", a)
		}
	}
}

// A user is known when all live nodes have answered behind the interest, once for
// the bucket, and again after a node has come.
func TestUserIsKnown(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	p.join(t, 1)
	known := func(user string) chan error {
		done := make(chan error, 2)
		p.links.Known(user, func(err error) { done <- err })
		return done
	}
	other := "bob"
	for i := 0; bucketOf(other) == bucketOf("ann"); i++ {
		other = fmt.Sprint("bob", i)
	}
	p.links.Join("ann")
	done := known("ann")
	question := p.expect(t, noteQuestion)
	p.links.Join(other)
	second := known(other) // after the question was put
	waits(t, done)
	p.answer(t, question)
	settled(t, done)
	question = p.expect(t, noteQuestion)
	waits(t, second)
	p.answer(t, question)
	settled(t, second)
	settled(t, known("ann"))
	p.links.Join("ann")
	settled(t, known("ann"))
	p.say(t, noteBye, 0)
	p.live(t, 1)
	settled(t, known("ann")) // nobody else is there
	p.join(t, 1)
	done = known("ann")
	p.answer(t, p.expect(t, noteQuestion))
	settled(t, done)

	// A silent node is not live before the receipt is given.
	p.links.Leave("ann")
	p.links.Leave("ann")
	p.links.mu.Lock()
	p.links.expireUsers(time.Now().Add(leaveAfter + time.Second))
	sub := p.links.users.buckets[bucketOf("ann")].sub
	p.links.mu.Unlock()
	if sub != nil {
		t.Error("the bucket of a user who has gone is still subscribed to")
	}
	p.links.Join("ann")
	done = known("ann")
	p.expect(t, noteQuestion)
	waits(t, done)
	if err := p.links.Close(); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, done); !errors.Is(err, errLinksClosed) {
		t.Error(err)
	}
	if err := testkit.Receive(t, known("ann")); !errors.Is(err, errLinksClosed) {
		t.Error(err)
	}
}

// A node that does not confirm a user is not live before the receipt is given.
func TestSilentNodeDoesNotHoldUpUsers(t *testing.T) {
	p := newPair(t, LinksOptions{Deadline: 20 * time.Millisecond}, nil)
	p.join(t, 1)
	p.links.Join("ann")
	done := make(chan error, 2)
	p.links.Known("ann", func(err error) { done <- err })
	p.expect(t, noteQuestion)
	settled(t, done)
	if n := len(p.links.Nodes()); n != 1 || !p.log.has("it did not confirm an interest") {
		t.Errorf("%d nodes are live", n)
	}
}

// What is written is read again, and nothing that is cut short.
func TestQuestionsAndRepliesOnTheWire(t *testing.T) {
	q := &broker.Question{
		Kind: broker.ToSession, User: "u", Session: "s", Redelivered: true, Text: "t", Revocation: auth.Revocation{User: "a", Session: "b", Credential: "c"},
		Message: broker.Envelope{Destination: "/queue/a", ID: "i", Origin: 9, Headers: []frames.Header{{Name: "n", Value: "v"}, {Name: "m"}}, Body: []byte("body")},
	}
	b := appendQuestion(nil, theirs, 7, 8, q)
	h, id, settles, got, err := decodeQuestion(b)
	if err != nil || h != (head{theirs, 7, 9}) || id != 8 || settles || !reflect.DeepEqual(got, q) {
		t.Errorf("%+v, %+v, %d, %v, %v", got, h, id, settles, err)
	}
	for n := range b {
		if _, _, _, _, err := decodeQuestion(b[:n]); err == nil {
			t.Errorf("%d bytes of %d were read", n, len(b))
		}
	}
	if _, _, _, _, err := decodeQuestion(append(b[:len(b):len(b)], 0)); err == nil {
		t.Error("a byte more was read")
	}
	r := &reply{replyOutcome, theirs, 5, broker.Answer{Delivery: broker.Delivery{Subscriptions: 1, Unacknowledged: 2}, Sessions: 3}, "s", broker.Refused}
	b = r.encode()
	back, err := decodeReply(b)
	if err != nil || *back != *r {
		t.Errorf("%+v, %v", back, err)
	}
	for n := range b {
		if _, err := decodeReply(b[:n]); err == nil {
			t.Errorf("%d bytes of %d were read", n, len(b))
		}
	}
}
