package handlers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// With Via a message is posted until the server accepts it, in the order of the
// queue, each time with the same id.
func TestVia(t *testing.T) {
	within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "r", "/user/queue/invoices/7")
		s.set(gone, "", "")
		send(c, "/app/invoices/7", "1", "1")
		send(c, "/app/invoices/7", "2", "2")
		want(t, c, "RECEIPT 1", "RECEIPT 2") // it is stored
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.bodies(); len(got) < 8 || len(got) > 30 || slices.Contains(got, "2") || waiting(b, "/queue/invoices") != 2 {
			t.Errorf("posted %q, %d wait", got, waiting(b, "/queue/invoices"))
		}
		s.set(200, jsonType, `{"reply":{"body":"paid"},"send":[{"destination":"/user/ann/queue/invoices/7","body":"booked"}]}`)
		want(t, c, "MESSAGE /user/queue/invoices/7 booked", "MESSAGE /user/queue/invoices/7 paid", "MESSAGE /user/queue/invoices/7 booked", "MESSAGE /user/queue/invoices/7 paid")
		if n := waiting(b, "/queue/invoices"); n != 0 {
			t.Errorf("%d wait", n)
		}
		ids := slices.Compact(slices.Clone(s.ids))
		if len(ids) != 2 || s.asked[0].ID != ids[0] || s.asked[0].User != "ann" || s.asked[0].Variables["n"] != "7" {
			t.Errorf("the ids are %q", s.ids)
		}
		// A SUBSCRIBE does not go through the queue.
		s.set(200, "text/plain", "state")
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/invoices/7", "receipt", "3")
		want(t, c, "RECEIPT 3", "MESSAGE /app/invoices/7 state")
	})
}

// What may have reached the server is a delivery; the message comes again, and
// is a dead letter in the end.
func TestViaAttempts(t *testing.T) {
	for _, status := range []int{500, silent, gone} {
		within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.reached = true
			s.set(status, "", "")
			c := brokertest.Connect(t, b)
			send(c, "/app/invoices/7", "1", "1")
			want(t, c, "RECEIPT 1")
			time.Sleep(time.Minute)
			if got := s.bodies(); len(got) != 5 || waiting(b, "/queue/invoices") != 0 || waiting(b, "/queue/DLQ.invoices") != 1 {
				t.Errorf("posted %q", got)
			}
			if ids := slices.Compact(slices.Clone(s.ids)); len(ids) != 1 {
				t.Errorf("the ids are %q", s.ids)
			}
		})
	}
}

// A proxy says 502 or 504 for an outage and for a message on which the server
// fails. Only if the server answers others meanwhile, it is the message.
func TestViaBehindAProxy(t *testing.T) {
	for _, status := range []int{502, 504} {
		within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			outage := true
			s.answerWith(func(q question) (int, string, string) {
				if outage || q.Body != nil && *q.Body == "bad" {
					return status, "", ""
				}
				return 200, "text/plain", "state"
			})
			c := brokertest.Connect(t, b)
			send(c, "/app/invoices/7", "bad", "1")
			send(c, "/app/invoices/7", "good", "2")
			want(t, c, "RECEIPT 1", "RECEIPT 2")
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := waiting(b, "/queue/invoices"); n != 2 {
				t.Fatalf("after an outage of an hour %d wait", n)
			}
			s.mu.Lock()
			outage = false
			s.mu.Unlock()
			for n := 3; waiting(b, "/queue/invoices") > 0 && n < 1000; n++ { // other requests
				c := brokertest.Connect(t, b) // is ended if the circuit is open
				c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/invoices/7")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				c.Close()
			}
			if n, dead := waiting(b, "/queue/invoices"), waiting(b, "/queue/DLQ.invoices"); n != 0 || dead != 1 {
				t.Errorf("%d wait, %d dead letters", n, dead)
			}
			bodies := s.bodies()
			if bodies[len(bodies)-1] != "bad" || !slices.Contains(bodies, "good") {
				t.Errorf("posted %q", bodies)
			}
		})
	}
}

// What the server does not want is a dead letter at once; what follows is
// posted.
func TestViaRefused(t *testing.T) {
	for _, tc := range []struct {
		status int
		answer string
	}{{400, ""}, {404, ""}, {200, `{"refuse":"no"}`}} {
		within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.answerWith(func(q question) (int, string, string) {
				if *q.Body == "bad" {
					return tc.status, jsonType, tc.answer
				}
				return 204, "", ""
			})
			c := brokertest.Connect(t, b)
			send(c, "/app/invoices/7", "bad", "1", "ttl", "100000")
			send(c, "/app/invoices/7", "good", "2")
			want(t, c, "RECEIPT 1", "RECEIPT 2")
			if got := s.bodies(); !slices.Equal(got, []string{"bad", "good"}) || waiting(b, "/queue/invoices") != 0 {
				t.Errorf("posted %q", got)
			}
			c.Subscribe(t, "d", "/queue/DLQ.invoices")
			m := c.Expect(t, "MESSAGE")
			var q question
			if err := json.Unmarshal(m.Body, &q); err != nil || q.ID != s.ids[0] || m.Get("dead-letter-reason") != "refused" || m.Get("original-destination") != "/queue/invoices" || m.Get("ttl") != "" {
				t.Errorf("the dead letter is %v %s", m.Headers, m.Body)
			}
			if log := s.log(); strings.Count(log, "a handler has failed") != 1 {
				t.Errorf("logged %s", log)
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
		c.Send("SEND", "", "destination", "/app/invoices/7") // its receipt could come before the message, or after it
		want(t, c, "MESSAGE /topic/a 1")
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

// Clients cannot write into the queue. What a program writes there that is no
// request becomes a dead letter.
func TestViaIsReserved(t *testing.T) {
	within(t, Options{}, invoices, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		c := brokertest.Connect(t, b)
		c.Send("SEND", `{"id":"1","user":"somebody else"}`, "destination", "/queue/invoices")
		want(t, c, `ERROR  not allowed to send a message to "/queue/invoices"`)
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/invoices", Body: []byte("nonsense")}); err != nil {
			t.Fatal(err)
		}
		if got := s.bodies(); len(got) != 0 || waiting(b, "/queue/DLQ.invoices") != 1 {
			t.Errorf("posted %q", got)
		}
	})
}
