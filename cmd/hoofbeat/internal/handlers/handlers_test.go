package handlers

import (
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

func TestRequest(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		c := brokertest.Connect(t, b, "login", "ann")
		send(c, "/app/orders/7//x", "text", "1", "k", "v", "k", "second")
		send(c, "/user/queue/orders/8", "\xff\x00", "2", "content-length", "2")
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/orders/9", "receipt", "3")
		want(t, c, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3")
		if len(s.asked) != 3 {
			t.Fatalf("%d requests", len(s.asked))
		}
		for i, q := range s.asked {
			if q.ID == "" || q.ID != s.ids[i] || i > 0 && q.ID == s.ids[i-1] || q.User != "ann" || q.Session != c.Session {
				t.Errorf("request %d is %+v with %s %s", i, q, deliveryHeader, s.ids[i])
			}
		}
		q := s.asked[0]
		if q.Event != "send" || q.Destination != "/app/orders/7//x" || q.Variables["id"] != "7" || *q.Body != "text" || q.Headers["k"] != "v" {
			t.Errorf("the request is %+v", q)
		}
		q = s.asked[1]
		if q.Destination != "/app/orders/8" || q.Headers["destination"] != "/user/queue/orders/8" || q.Body != nil || string(q.BodyBase64) != "\xff\x00" {
			t.Errorf("the request is %+v", q)
		}
		if q = s.asked[2]; q.Event != "subscribe" || q.Body != nil || q.BodyBase64 != nil || q.Headers["id"] != "s" {
			t.Errorf("the request is %+v", q)
		}
	})
}

func TestProblems(t *testing.T) {
	b := brokertest.New(t, broker.Options{Queues: broker.Queues{Transient: []string{"/queue/t"}}})
	names, err := topics.NewNames(topics.DefaultPrefixes())
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://app.example.com"
	for _, tc := range []struct {
		want string
		list []Handler
	}{
		{"handlers[0].destination: is not below /app", []Handler{{Destination: "/topic/a", URL: url}}},
		{"handlers[0].destination: /app/bootstrap has a handler in the broker itself", []Handler{{Destination: "/app/bootstrap", URL: url}}},
		{"handlers[1].destination: /app/** overlaps with /app/x/{a} of handlers[0]", []Handler{{Destination: "/app/x/{a}", URL: url}, {Destination: "/app/**", URL: url}}},
		{"handlers[0].url: is not an absolute https URL", []Handler{{Destination: "/app/a", URL: "https://ann:secret@app.example.com"}}},
		{"handlers[0].url: is neither https nor http to this machine: everybody on the way could read what clients send. handlers[0].allow_http", []Handler{{Destination: "/app/a", URL: "http://app.example.com"}}},
		{"handlers[0].via: /topic/a is not a queue", []Handler{{Destination: "/app/b", URL: url, Via: "/topic/a"}}},
		{"handlers[0].via: /queue/* is not a queue", []Handler{{Destination: "/app/b", URL: url, Via: "/queue/*"}}},
		{"handlers[0].via: /queue/DLQ.a is for dead letters", []Handler{{Destination: "/app/b", URL: url, Via: "/queue/DLQ.a"}}},
		{"handlers[0].via: /queue/t does not keep messages", []Handler{{Destination: "/app/c", URL: url, Via: "/queue/t"}}},
		{"handlers[1].via: /queue/a is the queue of handlers[0], too", []Handler{{Destination: "/app/d", URL: url, Via: "/queue/a"}, {Destination: "/app/e", URL: url, Via: "/queue/a"}}},
	} {
		_, err := New(Options{Broker: b, Names: names, Handlers: tc.list, InFlight: 1, Bytes: 1000})
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
}
