//go:build !nostore

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// What follows each other from one publisher to one subject is one message, with
// all numbers and in order. Nothing is put together that would change the order
// or make a message too large.
func TestBatchesShareMessages(t *testing.T) {
	p := newPair(t, LinksOptions{}, nil)
	messages := make(chan *nats.Msg, 64)
	if _, err := p.conn.ChanSubscribe("hb.t.>", messages); err != nil {
		t.Fatal(err)
	}
	if _, err := p.conn.ChanSubscribe("hb.tl", messages); err != nil {
		t.Fatal(err)
	}
	p.flush(t)
	long := strings.Repeat("x", largestBatch/2)
	b := p.links.Batch()
	for i, m := range []struct {
		destination string
		origin      uint64
		body        string
	}{
		{"/topic/a", 1, "0"},
		{"/topic/a", 1, "1"},
		{"/topic/a", 1, "2"},
		{"/topic/b", 1, "3"},
		{"/topic/a", 1, "4"},
		{"/topic/a", 2, "5"}, // another publisher
		{"/topic//a", 2, "6"},
		{"/topic//b", 2, "7"}, // has the same subject
		{"/topic//b", 2, "8"},
		{"/topic//a", 2, "9"},
		{"/topic/c", 2, long},
		{"/topic/c", 2, long}, // too much for one message
		{"/topic/c", 2, "12"},
		{"/topic/c", 2, long + long + long}, // alone, however large
	} {
		e := &broker.Envelope{Destination: m.destination, ID: fmt.Sprint(i), Origin: m.origin, Body: []byte(m.body)}
		if i%2 == 1 {
			e.Headers = []frames.Header{{Name: "n", Value: fmt.Sprint(i)}}
		}
		b.Add(e)
	}
	b.Send()
	p.links.Publish(&broker.Envelope{Destination: "/topic/c", ID: "14"})
	number, next := uint64(1), 0
	for _, want := range []int{3, 1, 1, 1, 4, 1, 2, 1, 1} {
		m := testkit.Receive(t, messages)
		h, err := decodeHead(m.Data)
		if err != nil || h.number != number {
			t.Fatalf("%+v, want number %d: %v", h, number, err)
		}
		list, err := decodeEnvelopes(m.Data)
		if err != nil || len(list) != want {
			t.Fatalf("message %d has %d publications, want %d: %v", number, len(list), want, err)
		}
		for _, e := range list {
			if e.ID != fmt.Sprint(next) || p.links.subject.publish(e.Destination) != m.Subject || len(e.Headers) != next%2 {
				t.Errorf("%s has the publication %q to %q, want %d", m.Subject, e.ID, e.Destination, next)
			}
			next++
		}
		number += uint64(want)
	}
	if s := p.links.Stats(); s.Sent != 15 {
		t.Errorf("%+v", s)
	}
}

// A message with several publications is delivered once, however often it comes,
// in order, and lost as a whole.
func TestSeveralPublicationsInOneMessage(t *testing.T) {
	var got []string
	done := make(chan struct{})
	p := newPair(t, LinksOptions{}, func(e *broker.Envelope) {
		if got = append(got, e.Destination+" "+e.ID); e.ID == "end" {
			close(done)
		}
	})
	p.links.Interest(topics.Interest{Destination: "/topic/a", Wanted: true, Generation: 1})
	if err := p.links.o.Conn.FlushTimeout(testkit.Patience); err != nil {
		t.Fatal(err)
	}
	publish := func(number uint64, ids ...string) {
		var list []*broker.Envelope
		for _, id := range ids {
			list = append(list, &broker.Envelope{Destination: "/topic/a", ID: id, Origin: 5})
		}
		b := several(list...)
		copy(b[1:], theirs)
		b[1+nodeIDSize+7] = byte(number)
		for range 2 {
			if err := p.conn.Publish("hb.t.topic.a", b); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(1, "1", "2", "3")
	publish(4, "4")
	publish(5, "5", "6")
	publish(7, "end")
	testkit.Receive(t, done)
	if want := []string{"/topic/a 1", "/topic/a 2", "/topic/a 3", "/topic/a 4", "/topic/a 5", "/topic/a 6", "/topic/a end"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	brokertest.Eventually(t, "copies are counted", func() bool { s := p.links.Stats(); return s.Copies == 4 && s.Received == 7 })
}
