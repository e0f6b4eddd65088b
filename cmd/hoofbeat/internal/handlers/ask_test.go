package handlers

import (
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

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
