package handlers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A message to a client that has gone is dropped, in the reply and in send: it
// is no fault of the server, and what follows is sent.
func TestAnswersToAClientThatHasGone(t *testing.T) {
	for destination, list := range map[string][]Handler{"/app/orders/7": orders, "/app/invoices/7": invoices} {
		within(t, Options{}, list, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.set(200, jsonType, `{"send":[{"destination":"/reply-queue/gone","body":"1"},{"destination":"/topic/a","body":"2"}]}`)
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s", "/topic/a")
			send(c, destination, "", "1")
			synctest.Wait()
			if c.Pending() != 2 {
				t.Fatalf("%s: %d frames, log %s", destination, c.Pending(), s.log())
			}
			s.answerWith(func(question) (int, string, string) {
				time.Sleep(time.Second)
				return 200, jsonType, `{"reply":{"body":"late"}}`
			})
			for _, replyTo := range []string{"/temp-queue/a", "/user/queue/a", "/topic/a"} {
				gone := brokertest.Connect(t, b)
				gone.Send("SEND", "", "destination", destination, "reply-to", replyTo)
				synctest.Wait()
				gone.Close()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if states := set.States(); states[0].Failed != 0 || states[0].Handled != 4 || s.log() != "" {
				t.Errorf("%s: %+v, log %s", destination, states[0], s.log())
			}
		})
	}
}

// The reply goes where the client says, at once and through a queue, and a
// client cannot make the reply of a server fail.
func TestReplyTo(t *testing.T) {
	for destination, list := range map[string][]Handler{"/app/orders/7": orders, "/app/invoices/7": invoices} {
		ordinary := "/user/queue" + strings.TrimPrefix(destination, "/app")
		within(t, Options{}, list, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.set(200, jsonType, `{"reply":{"body":"a"}}`)
			c := brokertest.Connect(t, b, "login", "ann")
			c.Subscribe(t, "a", "/user/queue/a")
			c.Subscribe(t, "b", ordinary)
			for replyTo, wanted := range map[string]string{
				"/user/queue/a": "/user/queue/a", "/user/ann/queue/a": "/user/queue/a",
				"/user/ben/queue/a": ordinary, "/user/queue/*": ordinary, "/reply-queue/unknown": ordinary, "/topic/a": ordinary, "nonsense": ordinary,
			} {
				c.Send("SEND", "", "destination", destination, "reply-to", replyTo)
				synctest.Wait()
				if c.Pending() == 0 {
					t.Fatalf("%s, %s: no reply. %s", destination, replyTo, s.log())
				}
				want(t, c, "MESSAGE "+wanted+" a")
			}
			if s.log() != "" {
				t.Errorf("logged %s", s.log())
			}
		})
	}
}

// A message that expires while its server does not answer is not posted.
func TestViaExpires(t *testing.T) {
	within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		s.set(gone, "", "")
		c := brokertest.Connect(t, b)
		send(c, "/app/invoices/7", "short", "1", "ttl", "10000")
		send(c, "/app/invoices/7", "long", "2")
		want(t, c, "RECEIPT 1", "RECEIPT 2")
		time.Sleep(time.Minute)
		s.mu.Lock()
		s.asked = nil
		s.mu.Unlock()
		s.set(204, "", "")
		time.Sleep(time.Minute)
		if got := s.bodies(); !slices.Equal(got, []string{"long"}) || waiting(b, "/queue/invoices") != 0 {
			t.Errorf("posted %q", got)
		}
	})
}

// A request that expires while it waits for its turn is not posted.
func TestRequestExpires(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		s.answerWith(func(question) (int, string, string) {
			time.Sleep(time.Second)
			return 204, "", ""
		})
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "first", "1", "ttl", "500")
		send(c, "/app/orders/7", "short", "2", "ttl", "500")
		send(c, "/app/orders/7", "long", "3", "ttl", "5000")
		want(t, c, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3")
		if got := s.bodies(); !slices.Equal(got, []string{"first", "long"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// What an answer to a message of a queue sends waits while there is no room, and
// is not lost.
func TestViaAnswersWaitForRoom(t *testing.T) {
	within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		for size := 1 << 20; size > 0; size /= 100 { // until there is no room
			for b.Publish(t.Context(), &broker.Message{Destination: "/queue/full", Body: make([]byte, size)}) == nil {
			}
		}
		s.set(200, jsonType, `{"send":[{"destination":"/topic/a","body":"1"},{"destination":"/queue/full","body":"`+strings.Repeat("a", 600)+`"},{"destination":"/topic/a","body":"2"}]}`)
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/a")
		send(c, "/app/invoices/7", "", "1")
		want(t, c, "RECEIPT 1", "MESSAGE /topic/a 1")
		time.Sleep(time.Minute)
		want(t, c)
		full := waiting(b, "/queue/full")
		sub, err := b.Subscribe(t.Context(), "/queue/full", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Cancel()
		want(t, c, "MESSAGE /topic/a 2")
		if got := s.bodies(); len(got) != 1 || waiting(b, "/queue/invoices") != 0 || full == 0 || set.States()[0].Handled != 1 {
			t.Errorf("posted %d times, %+v", len(got), set.States())
		}
	})
}

// One user cannot keep the requests of others from a server that is slow, with
// however many sessions, also after they have ended.
func TestOneUserLeavesRoomForOthers(t *testing.T) {
	for name, o := range map[string]Options{"in_flight": {}, "handlers_in_flight": {InFlight: 10}, "handlers_bytes": {Bytes: 400_000}} {
		within(t, o, []Handler{{Destination: "/app/a", InFlight: 10}}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.answerWith(func(q question) (int, string, string) {
				if q.User == "mallory" {
					time.Sleep(1900 * time.Millisecond)
				}
				return 204, "", ""
			})
			for range 100 {
				c := brokertest.Connect(t, b, "login", "mallory")
				send(c, "/app/a", "", "1")
				send(c, "/app/a", "", "2")
				synctest.Wait()
				c.Close()
			}
			begun := time.Now()
			ann := brokertest.Connect(t, b, "login", "ann")
			send(ann, "/app/a", "", "1")
			want(t, ann, "RECEIPT 1")
			if d := time.Since(begun); d > time.Second {
				t.Errorf("%s: it took %v", name, d)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			for _, l := range []*shares{set.shares, set.roomShares, set.handlers[0].shares} {
				if len(l.owners) != 0 {
					t.Errorf("%s: shares of %v are kept", name, l.owners)
				}
			}
		})
	}
}
