package broker

import (
	"context"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A publication that is accepted counts once. To deliver one to the subscribers
// here counts no publication: it may have been accepted elsewhere.
func TestAcceptCountsAPublicationAndDeliverDoesNot(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	sub, err := b.Subscribe(t.Context(), "/topic/a", SubscribeOptions{}, func(context.Context, *Message) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Cancel)
	accept := func(d topics.Destination, p *publication, bt *batch) {
		if _, _, err := b.accept(b.destination(d), p, nil, bt); err != nil {
			t.Error(err)
		}
	}
	deliver := func(d topics.Destination, p *publication, bt *batch) { b.deliver(d, p, bt) }
	for _, x := range []struct {
		what                         string
		pass                         func(topics.Destination, *publication, *batch)
		destination                  string
		published, delivered, queued int64
	}{
		{"accepted", accept, "/topic/a", 1, 1, 0},
		{"delivered", deliver, "/topic/a", 1, 2, 0},
		{"accepted without a subscriber", accept, "/topic/b", 2, 2, 0},
		{"accepted for a queue", accept, "/queue/a", 3, 2, 1},
	} {
		d, err := b.o.names.Parse(x.destination)
		if err != nil {
			t.Fatal(err)
		}
		bt, p := b.begin(&Message{Body: []byte("x")}, d.Name)
		x.pass(d, p, bt)
		bt.flushLater()
		if s := b.Stats(); s.Published != x.published || s.Delivered != x.delivered || int64(s.QueueMessages) != x.queued {
			t.Errorf("%s: %d published, %d delivered, %d queued; want %d, %d, %d",
				x.what, s.Published, s.Delivered, s.QueueMessages, x.published, x.delivered, x.queued)
		}
	}
}
