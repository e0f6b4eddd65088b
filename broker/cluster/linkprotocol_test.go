//go:build !nostore

package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// beat has the second node say a heart-beat with a protocol.
func (p *pair) beat(t *testing.T, protocol int, number uint64) {
	t.Helper()
	if err := p.conn.Publish("hb.all", traits{protocol, "n2"}.append(note{noteBeat, theirs, number}.encode())); err != nil {
		t.Fatal(err)
	}
}

// built sets the protocol, as -ldflags -X does, for one test.
func built(t *testing.T, as string) {
	t.Helper()
	before := protocol
	t.Cleanup(func() { protocol = before })
	protocol = as
}

// a node whose protocol is one step away works with this one. One that is
// older by more is refused, with both versions in the log: it is not live, and
// what it publishes is not delivered.
func TestX39OlderProtocolIsRefused(t *testing.T) {
	got := make(chan string, 8)
	built(t, "3")
	p := newPair(t, LinksOptions{}, func(e *broker.Envelope) { got <- e.ID })
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	if err := p.links.o.Conn.FlushTimeout(testkit.Patience); err != nil {
		t.Fatal(err)
	}
	number := uint64(0)
	publish := func(id string) {
		number++
		b := appendEnvelope(nil, theirs, number, &broker.Envelope{Destination: "/topic/a", ID: id})
		if err := p.conn.Publish("hb.t.topic.a", b); err != nil {
			t.Fatal(err)
		}
	}
	for i, protocol := range []int{4, 2} {
		p.beat(t, protocol, uint64(i+1))
		p.live(t, 2)
		answer := p.settle(1)
		if i == 0 {
			p.answer(t, p.expect(t, noteQuestion))
		}
		settled(t, answer)
		publish("known")
		if id := testkit.Receive(t, got); id != "known" {
			t.Errorf("protocol %d: got %s", protocol, id)
		}
	}
	p.beat(t, 1, 3)
	p.live(t, 1)
	settled(t, p.settle(1)) // it is not asked
	publish("strange")
	brokertest.Eventually(t, "its message is counted", func() bool { return p.links.Stats().Unreadable == 1 })
	if err := p.links.Refused(); err != nil {
		t.Errorf("the newer node is refused: %v", err)
	}
	for _, text := range []string{"its protocol is too old", "name=n2", "protocol=1", "protocol_of_this_node=3"} {
		if !p.log.has(text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	p.beat(t, 2, 4) // it was replaced
	p.live(t, 2)
	publish("again")
	if id := testkit.Receive(t, got); id != "again" {
		t.Errorf("got %s", id)
	}
}

// the node that is too old knows it, and its clients are told, instead of
// missing messages. When the newer ones are gone it works again.
func TestX39TooOldANodeKnowsIt(t *testing.T) {
	built(t, "1")
	p := newPair(t, LinksOptions{}, nil)
	p.join(t, 1)
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	waiting := p.settle(1)
	p.expect(t, noteQuestion)
	p.beat(t, p.links.protocol+2, 2)
	brokertest.Eventually(t, "the node knows that it is refused", func() bool { return p.links.Refused() != nil })
	var refused *ProtocolError
	p.links.Join("ann")
	known := make(chan error, 2)
	p.links.Known("ann", func(err error) { known <- err })
	for _, answer := range []<-chan error{p.settle(1), waiting, known} {
		if err := testkit.Receive(t, answer); !errors.As(err, &refused) {
			t.Fatalf("the error is %v", err)
		}
	}
	if text := refused.Error(); !strings.Contains(text, "node n2 speaks protocol 3") || !strings.Contains(text, "speaks protocol 1") {
		t.Errorf("the error is %q", text)
	}
	if !p.log.has("this node is refused by another one") {
		t.Error("the log does not say so")
	}
	p.links.tidy(time.Now().Add(missedBeats*time.Hour + time.Minute))
	if err := p.links.Refused(); err != nil {
		t.Errorf("it is refused by nobody: %v", err)
	}
	settled(t, p.settle(1))
}

// A build whose protocol is no number does not start.
func TestProtocolIsANumber(t *testing.T) {
	built(t, "two")
	if _, err := speaks(); err == nil || !strings.Contains(err.Error(), `"two"`) {
		t.Errorf("the error is %v", err)
	}
}
