package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

// backend is a server in memory. It answers as the test says.
type backend struct {
	mu      sync.Mutex
	asked   []question
	ids     []string // Hoofbeat-Delivery
	answers func(q question) (status int, kind, body string)
	reached bool // a request that gets no answer has reached it
	logs    bytes.Buffer
}

func (s *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	var q question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked, s.ids = append(s.asked, q), append(s.ids, r.Header.Get("Hoofbeat-Delivery"))
	answers, reached := s.answers, s.reached
	s.mu.Unlock()
	status, kind, body := answers(q)
	if reached {
		httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	}
	switch status {
	case silent:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case gone:
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// Statuses of a request without an answer.
const (
	silent = -1
	gone   = -2
)

func (s *backend) set(status int, kind, body string) {
	s.answerWith(func(question) (int, string, string) { return status, kind, body })
}

func (s *backend) answerWith(f func(q question) (int, string, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = f
}

// Write takes the log.
func (s *backend) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.Write(p)
}

// bodies returns the bodies that were posted, once nothing moves any more.
func (s *backend) bodies() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, q := range s.asked {
		if q.Body != nil {
			list = append(list, *q.Body)
		} else {
			list = append(list, q.Event)
		}
	}
	return list
}

func (s *backend) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.String()
}

const jsonType = "application/json; charset=utf-8"

// within runs f in a bubble, with a broker whose handlers ask the backend.
func within(t *testing.T, o Options, list []Handler, f func(t *testing.T, b *broker.Broker, set *Set, s *backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := new(backend)
		s.set(204, "", "")
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{InFlight: 100}})
		names, err := topics.NewNames(topics.DefaultPrefixes())
		if err != nil {
			t.Fatal(err)
		}
		o.Broker, o.Names, o.Transport, o.Logger = b, names, s, slog.New(slog.NewTextHandler(s, nil))
		if o.InFlight == 0 {
			o.InFlight = 100
		}
		if o.Bytes == 0 {
			o.Bytes = 1 << 20
		}
		for _, h := range list {
			if h.URL == "" {
				h.URL = "https://app.example.com/?key=secret"
			}
			if h.InFlight == 0 {
				h.InFlight = 10
			}
			h.Timeout, h.MaxAnswer = 2*time.Second, 1000
			o.Handlers = append(o.Handlers, h)
		}
		set, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		defer b.Close()
		f(t, b, set, s)
	})
}

var orders = []Handler{{Destination: "/app/orders/{id}/**"}}

func send(c *brokertest.Client, destination, body, receipt string, headers ...string) {
	c.Send("SEND", body, append([]string{"destination", destination, "receipt", receipt}, headers...)...)
}

// want receives frames, each as "RECEIPT id", "MESSAGE destination body", or
// "ERROR id text".
func want(t *testing.T, c *brokertest.Client, list ...string) {
	t.Helper()
	for _, wanted := range list {
		f, err := c.Receive()
		if err != nil {
			t.Fatalf("%v, want %s", err, wanted)
		}
		got := f.Command + " " + f.Get("receipt-id")
		switch f.Command {
		case "MESSAGE":
			got = "MESSAGE " + f.Get("destination") + " " + string(f.Body)
		case "ERROR":
			got += " " + f.Get("message")
		}
		if got != wanted {
			t.Fatalf("got %s, want %s", got, wanted)
		}
	}
	synctest.Wait()
	if n := c.Pending(); n > 0 {
		f, err := c.Receive()
		t.Fatalf("got %v, %v and no more was wanted", f, err)
	}
}

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

// A failure tells the client no internals, and the log the key.
func TestFailures(t *testing.T) {
	const (
		later = "ERROR 1 the application does not answer now, try again later"
		never = "ERROR 1 the application could not handle this"
	)
	for _, tc := range []struct {
		status       int
		kind, answer string
		want, logged string
	}{
		{500, "", "a secret stack", never, `key=handlers[0].url url=https://app.example.com/ destination=/app/orders/{id}/** cause="status 500"`},
		{404, "", "", never, `cause="status 404"`},
		{302, "", "", never, `cause="status 302"`},
		{503, "", "", later, `cause="status 503"`},
		{429, "", "", later, `cause="status 429"`},
		{silent, "", "", later, `key=handlers[0].timeout url=https://app.example.com/ destination=/app/orders/{id}/** cause="no answer within 2s"`},
		{gone, "", "", later, `cause="connection refused"`},
		{200, jsonType, "a secret", never, `cause="the answer says application/json and is not`},
		{200, jsonType, "[]", never, `cause="the answer says application/json and is not`},
		{200, jsonType, "null", never, `cause="the answer says application/json and is not`},
		{200, jsonType, `{"repyl":{}}`, never, `cause="the answer says application/json and is not`},
		{200, jsonType, `{} {}`, never, `cause="the answer says application/json and is not`},
		{200, jsonType, `{"reply":{},"refuse":"a"}`, never, `cause="the answer has refuse and also`},
		{200, jsonType, `{"reply":{"body":"a","body_base64":"a"}}`, never, `has body and body_base64`},
		{200, jsonType, `{"reply":{"body_base64":"-"}}`, never, `is not base64`},
		{200, jsonType, `{"send":[{}]}`, never, `send[0] of the answer has no destination`},
		{200, jsonType, `{"send":[{"destination":"/app/a"}]}`, never, `send[0] of the answer: broker: destination`},
		{200, jsonType, `{"reply":{"destination":"/queue/*"}}`, never, `the reply of the answer: broker: destination`},
		{200, "text/plain", strings.Repeat("a", 1001), never, `key=handlers[0].answer url=https://app.example.com/ destination=/app/orders/{id}/** cause="the answer is longer than 1000 bytes"`},
	} {
		within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			c := brokertest.Connect(t, b, "login", "ann")
			s.set(tc.status, tc.kind, tc.answer)
			send(c, "/app/orders/7", "a secret", "1")
			want(t, c, tc.want)
			if log := s.log(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tc.logged) || strings.Contains(log, "secret") || !strings.Contains(log, "user=ann") {
				t.Errorf("%d %s: logged %s", tc.status, tc.answer, log)
			}
			if st := set.States()[0]; st.Handled != 0 || st.Failed != 1 {
				t.Errorf("the state is %+v", st)
			}
		})
	}
}

// The requests of one session are posted one after another, those of others
// meanwhile. The session goes on.
func TestOrder(t *testing.T) {
	list := []Handler{{Destination: "/app/slow"}, {Destination: "/app/quick"}}
	within(t, Options{}, list, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(q question) (int, string, string) {
			if q.Destination == "/app/slow" {
				<-let
			}
			return 204, "", ""
		})
		one, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		one.Subscribe(t, "a", "/topic/a")
		send(one, "/app/slow", "1", "1")
		send(one, "/app/quick", "2", "2")
		send(one, "/topic/a", "meanwhile", "3")
		want(t, one, "MESSAGE /topic/a meanwhile")
		send(other, "/app/quick", "other", "1")
		want(t, other, "RECEIPT 1")
		if got := s.bodies(); !slices.Equal(got, []string{"1", "other"}) {
			t.Errorf("posted %q", got)
		}
		close(let)
		want(t, one, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3")
		if got := s.bodies(); !slices.Equal(got, []string{"1", "other", "2"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// A request that was accepted is posted although its session has ended.
func TestTheClientLeaves(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(question) (int, string, string) {
			<-let
			return 200, jsonType, `{"reply":{"body":"a"}}`
		})
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "1", "1")
		send(c, "/app/orders/7", "2", "2")
		synctest.Wait()
		c.Close()
		synctest.Wait()
		close(let)
		if got := s.bodies(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// Requests wait for their turn, and not forever.
func TestInFlight(t *testing.T) {
	for _, o := range []struct {
		all int
		h   Handler
	}{{100, Handler{Destination: "/app/a", InFlight: 1}}, {1, Handler{Destination: "/app/a"}}} {
		within(t, Options{InFlight: o.all}, []Handler{o.h}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			let := make(chan struct{})
			s.answerWith(func(q question) (int, string, string) {
				<-let
				return 204, "", ""
			})
			one, two := brokertest.Connect(t, b), brokertest.Connect(t, b)
			send(one, "/app/a", "1", "1")
			synctest.Wait()
			send(two, "/app/a", "2", "1")
			if got := s.bodies(); !slices.Equal(got, []string{"1"}) {
				t.Errorf("posted %q", got)
			}
			close(let)
			want(t, one, "RECEIPT 1")
			want(t, two, "RECEIPT 1")
			// Somebody has the only turn for good.
			slots := set.slots
			if o.all > 1 {
				slots = set.handlers[0].slots
			}
			slots <- struct{}{}
			begun := time.Now()
			send(two, "/app/a", "3", "2")
			want(t, two, "ERROR 2 the application does not answer now, try again later")
			if d := time.Since(begun); d != patience {
				t.Errorf("it waited %v", d)
			}
			if log := s.log(); !strings.Contains(log, "in_flight") || !strings.Contains(log, "no turn within 15s") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A session whose request finds no room stops reading; others go on.
func TestRoom(t *testing.T) {
	within(t, Options{Bytes: 15000}, []Handler{{Destination: "/app/a"}}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(q question) (int, string, string) {
			<-let
			return 204, "", ""
		})
		c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		other.Subscribe(t, "a", "/topic/a")
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			send(c, "/app/a", strings.Repeat(id, 100), id)
		}
		send(c, "/topic/a", "from c", "6")
		synctest.Wait()
		send(other, "/topic/a", "from the other", "1")
		want(t, other, "MESSAGE /topic/a from the other", "RECEIPT 1")
		close(let)
		want(t, c, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3", "RECEIPT 4", "RECEIPT 5", "RECEIPT 6")
		want(t, other, "MESSAGE /topic/a from c")
		if set.room.free != 15000 {
			t.Errorf("%d bytes are free", set.room.free)
		}
	})
}

// While the server does not answer, nobody waits for it.
func TestCircuit(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		ask := func() string {
			c := brokertest.Connect(t, b)
			send(c, "/app/orders/7", "", "1")
			f, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			return f.Command
		}
		s.set(500, "", "") // it answers
		for range 2 * circuit.Failures {
			ask()
		}
		if since := set.States()[0].Broken; !since.IsZero() {
			t.Fatalf("broken since %v", since)
		}
		s.set(silent, "", "")
		for range circuit.Failures {
			ask()
		}
		if set.States()[0].Broken.IsZero() || strings.Count(s.log(), "nothing is sent to it until it does") != 1 {
			t.Errorf("logged %s", s.log())
		}
		n, begun := len(s.bodies()), time.Now()
		for range 10 {
			if got := ask(); got != "ERROR" {
				t.Errorf("got %s", got)
			}
		}
		if time.Since(begun) != 0 || len(s.bodies()) != n {
			t.Errorf("%d requests in %v", len(s.bodies())-n, time.Since(begun))
		}
		s.set(204, "", "")
		time.Sleep(circuit.FirstPause) // of the bubble's clock
		if got := ask(); got != "RECEIPT" {
			t.Errorf("got %s", got)
		}
		if !set.States()[0].Broken.IsZero() || strings.Count(s.log(), "answers again") != 1 {
			t.Errorf("logged %s", s.log())
		}
	})
}

var invoices = []Handler{{Destination: "/app/invoices/{n}", Via: "/queue/invoices"}}

// waiting returns the messages of a queue, as they are in it.
func waiting(b *broker.Broker, queue string) int {
	synctest.Wait()
	for d := range b.Destinations() {
		if d.Name == queue {
			return d.Messages
		}
	}
	return 0
}

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

// Close ends what is on its way.
func TestClose(t *testing.T) {
	within(t, Options{}, append(slices.Clone(orders), invoices...), func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		s.set(silent, "", "")
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "1", "1")
		send(c, "/app/orders/7", "2", "2")
		send(c, "/app/invoices/7", "3", "3")
		synctest.Wait()
		begun := time.Now()
		b.Close()
		set.Close()
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestPatterns(t *testing.T) {
	for path, wrong := range map[string]error{
		"/a/{b}c": errBraces, "/{a-b}": errBraces, "/{}": errBraces, "/**/{a}": errDeep, "/{a}/**": nil, "/a/{b}/{c_1}": nil,
	} {
		if _, err := parsePattern(path); err != wrong {
			t.Errorf("%s: %v, want %v", path, err, wrong)
		}
	}
	if _, err := parsePattern("/{a}/{a}"); err == nil || err.Error() != "{a} is there twice" {
		t.Errorf("twice: %v", err)
	}
	p, err := parsePattern("/a/{b}/*/{c}/**")
	if err != nil || p.ant() != "/a/*/*/*/**" || fmt.Sprint(p.variables("/a//1/2/3/4")) != "map[b:1 c:3] true" {
		t.Errorf("%v, %s", err, p.ant())
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"/a", "/a", true},
		{"/a", "/b", false},
		{"/a/*", "/a/b", true},
		{"/a/*", "/a", false},
		{"/a/**", "/a", true},
		{"/**/b", "/a/**", true},
		{"/**/b", "/a/*/c", false},
		{"/a/*x", "/a/y*", true},
		{"/a/*x", "/a/*y", false},
		{"/a/?", "/a/é", true},
		{"/a/??", "/a/b", false},
		{"/**", "/", true},
	} {
		a, b := segmentsOf(tc.a), segmentsOf(tc.b)
		if overlap(a, b) != tc.want || overlap(b, a) != tc.want {
			t.Errorf("%s and %s: want %v", tc.a, tc.b, tc.want)
		}
	}
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
