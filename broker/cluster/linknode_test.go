//go:build !nostore

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/topics"
)

const (
	ours   = "oursoursours"
	theirs = "theirstheirs"
)

// records keeps a log as text.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), text)
}

// pair is links of this process, and a second node of which the test plays the
// part.
type pair struct {
	links *Links
	log   *records
	conn  *nats.Conn // of the second node
	heard chan note  // what was said to it
}

// newPair starts links that send no heart-beat within the test, so that what
// happens is what the test does, unless the options say otherwise.
func newPair(t *testing.T, o LinksOptions, deliver func(*broker.Envelope)) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	server, err := embedded.StartLink(ctx, embedded.LinkOptions{Name: "a", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	connect := func() *nats.Conn {
		conn, err := server.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	p := &pair{log: new(records), conn: connect(), heard: make(chan note, 1024)}
	subject := subjects{"hb"}
	for _, s := range []string{subject.all(), subject.node(theirs)} {
		_, err := p.conn.Subscribe(s, func(m *nats.Msg) {
			if n, _, err := decodeBeat(m.Data); err != nil {
				t.Error(err)
			} else {
				p.heard <- n
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.flush(t)
	o.Conn = connect()
	if o.Beat == 0 {
		o.Beat = time.Hour
	}
	if o.Deadline == 0 {
		o.Deadline = time.Hour
	}
	o.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	if p.links, err = NewLinks(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.links.Close(); err != nil {
			t.Error(err)
		}
	})
	if deliver == nil {
		deliver = func(*broker.Envelope) {}
	}
	if err := p.links.Start(broker.Peer{Node: ours, Frame: 1 << 16, Deliver: deliver}); err != nil {
		t.Fatal(err)
	}
	p.expect(t, noteHello)
	return p
}

func (p *pair) flush(t *testing.T) {
	t.Helper()
	if err := p.conn.FlushTimeout(testkit.Patience); err != nil {
		t.Fatal(err)
	}
}

// expect returns the next note of a kind. Others are skipped.
func (p *pair) expect(t *testing.T, kind byte) note {
	t.Helper()
	for {
		if n := testkit.Receive(t, p.heard); n.kind == kind && n.node == ours {
			return n
		}
	}
}

func (p *pair) say(t *testing.T, kind byte, number uint64) {
	t.Helper()
	if err := p.conn.Publish("hb.all", note{kind, theirs, number}.encode()); err != nil {
		t.Fatal(err)
	}
}

// join has the second node say a heart-beat, and waits until it is live.
func (p *pair) join(t *testing.T, number uint64) {
	t.Helper()
	p.say(t, noteBeat, number)
	p.live(t, 2)
}

func (p *pair) live(t *testing.T, n int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprint(n, " nodes are live"), func() bool { return len(p.links.Nodes()) == n })
}

// settle asks whether an interest is known, and returns where the answer comes.
func (p *pair) settle(generation uint64) <-chan error {
	answer := make(chan error, 2) // a second answer would be a mistake
	p.links.Settle(generation, func(err error) { answer <- err })
	return answer
}

func (p *pair) answer(t *testing.T, question note) {
	t.Helper()
	if err := p.conn.Publish("hb.n."+ours, note{noteAnswer, theirs, question.number}.encode()); err != nil {
		t.Fatal(err)
	}
}

func waits(t *testing.T, answer <-chan error) {
	t.Helper()
	select {
	case err := <-answer:
		t.Fatalf("it is settled: %v", err)
	default:
	}
}

func settled(t *testing.T, answer <-chan error) {
	t.Helper()
	if err := testkit.Receive(t, answer); err != nil {
		t.Fatal(err)
	}
}

// A node is live until it has missed three heart-beats, or says good-bye. It may
// come back.
func TestMembership(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	if got := p.links.Nodes(); len(got) != 1 || got[0].ID != ours {
		t.Fatalf("the nodes are %v", got)
	}
	p.say(t, noteHello, 0)
	p.expect(t, noteBeat) // so the new one learns of us at once
	p.live(t, 2)
	p.say(t, noteBye, 0)
	p.live(t, 1)
	p.join(t, 5)
	p.links.mu.Lock()
	heard := p.links.nodes[theirs].heard
	p.links.mu.Unlock()
	p.links.tidy(heard.Add(3 * time.Hour))
	if n := len(p.links.Nodes()); n != 2 {
		t.Errorf("%d nodes are live after three times the time between two heart-beats", n)
	}
	p.links.tidy(heard.Add(3*time.Hour + 1))
	if n := len(p.links.Nodes()); n != 1 {
		t.Errorf("%d nodes are live after three heart-beats were missed", n)
	}
	for _, text := range []string{"it has said good-bye", "it has missed its heart-beats", "a node has joined"} {
		if !p.log.has(text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	p.join(t, 6)
}

// A node is known by its id, and by what it says of itself. What a later version
// says besides is ignored.
func TestNodesSayWhatTheyAre(t *testing.T) {
	start := time.Now()
	p := newPair(t, LinksOptions{Name: "n1"}, nil)
	beat := traits{p.links.protocol + 1, "n2"}.append(note{noteBeat, theirs, 1}.encode())
	if err := p.conn.Publish("hb.all", append(beat, "more"...)); err != nil {
		t.Fatal(err)
	}
	p.live(t, 2)
	nodes := p.links.Nodes()
	for i, want := range []Node{{ID: ours, Name: "n1", Protocol: p.links.protocol}, {ID: theirs, Name: "n2", Protocol: p.links.protocol + 1}} {
		got := nodes[i]
		if got.Since.Before(start) || got.Heard.Before(got.Since) {
			t.Errorf("%+v: the times are wrong", got)
		}
		if got.Since, got.Heard = want.Since, want.Heard; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	p.say(t, noteBeat, 2) // of a version that says nothing of itself
	brokertest.Eventually(t, "a node without a name has that of its id", func() bool {
		n := p.links.Nodes()[1]
		return n.Name == theirs && n.Heard.After(n.Since)
	})
	for _, b := range [][]byte{beat[:len(beat)-1], append(beat[:noteSize:noteSize], 1), traits{1, strings.Repeat("x", longestName+1)}.append(beat[:noteSize:noteSize])} {
		if _, _, err := decodeBeat(b); err == nil {
			t.Errorf("a heart-beat of %d bytes was read", len(b))
		}
	}
}

// Links send heart-beats, and notice by themselves that none comes.
func TestHeartBeats(t *testing.T) {
	p := newPair(t, LinksOptions{Beat: 10 * time.Millisecond}, nil)
	first := p.expect(t, noteBeat)
	if next := p.expect(t, noteBeat); next.number != first.number+1 {
		t.Errorf("heart-beat %d comes after %d", next.number, first.number)
	}
	p.say(t, noteHello, 0)
	brokertest.Eventually(t, "a silent node is not live", func() bool { return p.log.has("it has missed its heart-beats") })
	p.live(t, 1)
}

// An interest is settled when every live node has answered, and not again until a
// node comes, a heart-beat was lost or there is another one.
func TestInterestIsSettledByAnswers(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	settled(t, p.settle(1)) // nobody else is there
	p.join(t, 1)
	answer := p.settle(1) // a node has come that may not know it
	question := p.expect(t, noteQuestion)
	waits(t, answer)
	p.answer(t, note{number: question.number + 1}) // of another question
	p.join(t, 2)
	p.answer(t, question)
	settled(t, answer)
	settled(t, p.settle(1)) // at once

	// Two that wait share a question. Reports that come late are waited for.
	p.links.Interest(topics.Interest{Destination: "/topic/c", Wanted: true, Generation: 3})
	late := p.settle(3)
	p.links.Interest(topics.Interest{Destination: "/topic/b", Wanted: true, Generation: 2})
	early := p.settle(2)
	question = p.expect(t, noteQuestion)
	waits(t, late)
	waits(t, early)
	p.answer(t, question)
	settled(t, late)
	settled(t, early)

	p.say(t, noteBeat, 4) // the third was lost, and with it perhaps an interest
	brokertest.Eventually(t, "a lost heart-beat unsettles", func() bool {
		p.links.mu.Lock()
		defer p.links.mu.Unlock()
		return p.links.settled == 0
	})
	answer = p.settle(1)
	p.answer(t, p.expect(t, noteQuestion))
	settled(t, answer)

	// Who leaves while it is asked need not answer.
	p.links.Interest(topics.Interest{Destination: "/topic/d", Wanted: true, Generation: 4})
	answer = p.settle(4)
	p.expect(t, noteQuestion)
	p.say(t, noteBye, 0)
	settled(t, answer)
}

// A node that does not answer is not live before the receipt is given, and is
// asked again when it is back.
func TestSilentNodeIsNotLive(t *testing.T) {
	p := newPair(t, LinksOptions{Deadline: 20 * time.Millisecond}, nil)
	p.join(t, 1)
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	settled(t, p.settle(1))
	if n := len(p.links.Nodes()); n != 1 {
		t.Errorf("%d nodes are live", n)
	}
	if !p.log.has("it did not confirm an interest") {
		t.Error("the log does not say why")
	}
	p.expect(t, noteQuestion)
	p.join(t, 2)
	answer := p.settle(1)
	p.expect(t, noteQuestion)
	settled(t, answer)
}

// What comes faster than it is delivered is lost, counted and logged, beyond a
// number of bytes. So is nothing else.
func TestBacklogIsBounded(t *testing.T) {
	message := func(number uint64) []byte {
		return appendEnvelope(nil, theirs, number, &broker.Envelope{Destination: "/topic/a", ID: "x", Origin: 1, Body: make([]byte, 1000)})
	}
	delivering, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	deliver := func(*broker.Envelope) {
		once.Do(func() {
			close(delivering)
			testkit.Hold(t, let)
		})
	}
	p := newPair(t, LinksOptions{Backlog: 2 * (len(message(0)) + laneOverhead)}, deliver)
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	publish := func(b []byte) {
		if err := p.conn.Publish("hb.t.topic.a", b); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.links.o.Conn.FlushTimeout(testkit.Patience); err != nil {
		t.Fatal(err)
	}
	publish(message(1))
	testkit.Receive(t, delivering)
	for n := range uint64(5) { // two have room
		publish(message(2 + n))
	}
	publish([]byte("what is this"))
	publish(message(6)) // a copy
	brokertest.Eventually(t, "all have come", func() bool { s := p.links.Stats(); return s.Unreadable == 1 && s.Copies == 1 })
	if s := p.links.Stats(); s.Dropped != 3 || s.Received != 1 {
		t.Errorf("%+v", s)
	}
	close(let)
	brokertest.Eventually(t, "what had room is delivered", func() bool { return p.links.Stats().Received == 3 })
	publish(message(7)) // there is room again
	brokertest.Eventually(t, "the next is delivered", func() bool { return p.links.Stats().Received == 4 })
	for _, text := range []string{"messages between nodes were lost", "another node sends what this one cannot read"} {
		if !p.log.has(text) {
			t.Errorf("the log does not say %q", text)
		}
	}
}

// The number of a node that publishes no more is forgotten, by and by.
func TestLinksForgetNumbers(t *testing.T) {
	p := newPair(t, LinksOptions{Beat: time.Millisecond}, nil)
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	if err := p.links.o.Conn.FlushTimeout(testkit.Patience); err != nil {
		t.Fatal(err)
	}
	message := appendEnvelope(nil, theirs, 1, &broker.Envelope{Destination: "/topic/a", ID: "x"})
	if err := p.conn.Publish("hb.t.topic.a", message); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the message is here", func() bool { return p.links.Stats().Received == 1 })
	brokertest.Eventually(t, "its number is forgotten", func() bool { return p.links.Stats().Publishers == 0 })
}

// An interest outlives its last subscriber by two seconds. Nobody is told of one
// that comes back meanwhile.
func TestInterestEndsLater(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	report := func(wanted bool, generation uint64) {
		p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: wanted, Generation: generation})
	}
	left := func() time.Time {
		p.links.mu.Lock()
		defer p.links.mu.Unlock()
		return p.links.born.Add(time.Duration(p.links.wanted["/topic/a"].left) * time.Millisecond)
	}
	want := func(subjects int, when string) {
		t.Helper()
		if s := p.links.Stats(); s.Subjects != subjects {
			t.Errorf("%s: %d subjects", when, s.Subjects)
		}
	}
	report(true, 1)
	report(false, 2)
	p.links.tidy(left().Add(leaveAfter - 1))
	want(1, "just before two seconds")
	report(true, 3)
	p.links.tidy(left().Add(time.Hour))
	want(1, "after it has come back")
	report(false, 5)
	p.links.tidy(left().Add(time.Hour))
	want(1, "while a report is missing")
	report(true, 4) // is older than what is known
	p.links.tidy(left().Add(leaveAfter))
	want(0, "after two seconds")
	report(true, 6)
	want(1, "when it comes back later")
}

// Close ends whatever waits and runs, tells the others, and may be called twice.
func TestCloseEndsTheLinks(t *testing.T) {
	var p *pair
	var before goleak.Option
	t.Run("", func(t *testing.T) {
		before = goleak.IgnoreCurrent()
		p = newPair(t, LinksOptions{}, nil)
		p.join(t, 1)
		p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
		answer := p.settle(1)
		never := p.settle(7) // of a report that has not come
		p.expect(t, noteQuestion)
		for range 2 {
			if err := p.links.Close(); err != nil {
				t.Fatal(err)
			}
		}
		p.expect(t, noteBye)
		for _, answer := range []<-chan error{answer, never, p.settle(1)} {
			if err := testkit.Receive(t, answer); !errors.Is(err, errLinksClosed) {
				t.Errorf("what waits ends with %v", err)
			}
		}
		p.links.Interest(topics.Interest{Destination: "/topic/b", Wanted: true, Generation: 2})
		if s := p.links.Stats(); s.Subjects != 0 || p.log.has("it did not confirm") {
			t.Errorf("%+v", s)
		}
		if err := p.links.Start(broker.Peer{Node: ours, Frame: 1}); err == nil {
			t.Error("closed links were started")
		}
	})
	goleak.VerifyNone(t, before)
}

// Links that cannot work are refused.
func TestLinksThatCannotWork(t *testing.T) {
	if _, err := NewLinks(LinksOptions{}); err == nil {
		t.Error("links without a connection were made")
	}
	if _, err := NewLinks(LinksOptions{Conn: new(nats.Conn), Name: strings.Repeat("x", longestName+1)}); err == nil {
		t.Error("links with a name that is too long were made")
	}
	p := newPair(t, LinksOptions{}, nil)
	if err := p.links.Start(broker.Peer{Node: ours, Frame: 1}); err == nil {
		t.Error("links were started twice")
	}
	for _, peer := range []broker.Peer{{Node: "short", Frame: 1}, {Node: ours, Frame: 2 << 20}} {
		links, err := NewLinks(LinksOptions{Conn: p.conn})
		if err != nil {
			t.Fatal(err)
		}
		if err := links.Start(peer); err == nil {
			t.Errorf("links were started for %+v", peer)
		}
		if err := links.Close(); err != nil {
			t.Error(err)
		}
	}
}
