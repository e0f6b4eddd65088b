package handlers

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		answer, kind string
		want         []string
	}{
		{"", jsonType, []string{"RECEIPT 1"}},
		{"{}", jsonType, []string{"RECEIPT 1"}},
		{"plain", "text/plain", []string{"MESSAGE /user/queue/orders/7 plain", "RECEIPT 1"}},
		{`{"reply":{"body":"text"}}`, jsonType, []string{"MESSAGE /user/queue/orders/7 text", "RECEIPT 1"}},
		{`{"reply":{"body":{"a": 1}}}`, jsonType, []string{`MESSAGE /user/queue/orders/7 {"a": 1}`, "RECEIPT 1"}},
		{`{"reply":{"body_base64":"aGk="}}`, jsonType, []string{"MESSAGE /user/queue/orders/7 hi", "RECEIPT 1"}},
		{`{"reply":{"destination":"/queue/other","body":"text"}}`, jsonType, []string{"MESSAGE /user/queue/other text", "RECEIPT 1"}},
		{
			`{"send":[{"destination":"/topic/a","body":"1"},{"destination":"/user/ann/queue/other","body":"2"}],"reply":{"body":"3"}}`, jsonType,
			[]string{"MESSAGE /topic/a 1", "MESSAGE /user/queue/other 2", "MESSAGE /user/queue/orders/7 3", "RECEIPT 1"},
		},
		{`{"refuse":"sold out"}`, jsonType, []string{"ERROR 1 sold out"}},
		{`{"refuse":""}`, jsonType, []string{"ERROR 1 " + refused}},
		{`{"refuse":"a\nb:c"}`, jsonType, []string{"ERROR 1 " + refused}},
	} {
		within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			c := brokertest.Connect(t, b, "login", "ann")
			for _, destination := range []string{"/user/queue/orders/7", "/user/queue/other", "/topic/a"} {
				c.Subscribe(t, destination, destination)
			}
			s.set(200, tc.kind, tc.answer)
			send(c, "/app/orders/7", "", "1")
			want(t, c, tc.want...)
			if st := set.States()[0]; st.Handled != 1 || st.Failed != 0 || st.URL != "https://app.example.com/" {
				t.Errorf("the state is %+v", st)
			}
			if s.log() != "" {
				t.Errorf("%s: logged %s", tc.answer, s.log())
			}
		})
	}
}

// The content-type of a reply, and a reply-to.
func TestReplyHeaders(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "r", "/user/queue/answers")
		for _, tc := range []struct{ kind, answer, want string }{
			{"text/html", "<p>", "text/html"},
			{jsonType, `{"reply":{"body":[1]}}`, "application/json"},
			{jsonType, `{"reply":{"body":[1],"headers":{"content-type":"application/vnd.x"}}}`, "application/vnd.x"},
			{jsonType, `{"reply":{"body":"a","headers":{"k":"v"}}}`, ""},
		} {
			s.set(200, tc.kind, tc.answer)
			c.Send("SEND", "", "destination", "/app/orders/7", "reply-to", "/user/queue/answers")
			if m := c.Expect(t, "MESSAGE"); m.Get("content-type") != tc.want {
				t.Errorf("%s: content-type %q, want %q", tc.answer, m.Get("content-type"), tc.want)
			}
		}
	})
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

// The reply goes to the temporary destination that the client names, at once and
// through a queue.
func TestReplyToATemporaryDestination(t *testing.T) {
	for destination, list := range map[string][]Handler{"/app/orders/7": orders, "/app/invoices/7": invoices} {
		within(t, Options{}, list, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
			c := brokertest.Connect(t, b)
			s.set(200, jsonType, `{"reply":{"body":"done"}}`)
			c.Send("SEND", "", "destination", destination, "reply-to", "/temp-queue/a")
			if m := c.Expect(t, "MESSAGE"); string(m.Body) != "done" || m.Get("subscription") != "/temp-queue/a" {
				t.Errorf("%s: received %v %q", destination, m.Headers, m.Body)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		c := brokertest.Connect(t, b)
		s.set(200, jsonType, `{"reply":{"body":"now","destination":"/queue/ignored"}}`)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/orders/7", "receipt", "1")
		want(t, c, "RECEIPT 1", "MESSAGE /app/orders/7 now")
		s.set(200, jsonType, `{"refuse":"no"}`)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/app/orders/7", "receipt", "2")
		want(t, c, "ERROR 2 no")
	})
}

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
