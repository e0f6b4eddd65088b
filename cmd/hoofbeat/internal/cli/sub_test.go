package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestSub(t *testing.T) {
	s := newServer(t, broker.Options{})
	c := start(t, nil, nil, "sub", "-u", s.URL, "/topic/a", "/topic/b", "/app/peek", "-H", "x:1", "--count", "4")
	s.subscriptions(t, 2) // /app/peek is answered once, and that is all
	brokertest.Eventually(t, "the answer is printed", func() bool { return c.out.String() == "peeked\n" })
	for _, d := range []string{"a", "b", "a"} {
		before := c.out.String()
		s.publish(t, broker.Message{Destination: "/topic/" + d, Body: []byte("to " + d)})
		brokertest.Eventually(t, "the message is printed at once", func() bool { return c.out.String() == before+"to "+d+"\n" })
	}
	c.wait(t, exitOK)
	for _, d := range []string{"/topic/a", "/topic/b", "/app/peek"} {
		contains(t, "sub", c.err.String(), "subscribed to "+d+"\n")
	}
	if f := s.seen()[0]; f["ack"] != "auto" || f["x"] != "1" {
		t.Errorf("SUBSCRIBE %q", f)
	}
	s.left(t, 1, broker.ReasonDisconnect)
}

// subscribed waits until sub says that it is.
func subscribed(t *testing.T, c *command) {
	t.Helper()
	brokertest.Eventually(t, "sub says that it is subscribed", func() bool { return strings.Contains(c.err.String(), "subscribed to ") })
}

func TestSubInterrupted(t *testing.T) {
	s := newServer(t, broker.Options{})
	c := start(t, nil, nil, "sub", "-u", s.URL, "/topic/a")
	subscribed(t, c)
	c.cancel()
	c.wait(t, exitOK)
	s.left(t, 1, broker.ReasonDisconnect)
	c = start(t, nil, nil, "sub", "-u", s.URL, "/topic/a", "-n", "2")
	subscribed(t, c)
	c.cancel()
	contains(t, "sub", c.wait(t, exitInterrupted).err.String(), "interrupted after 0 of 2 messages")
}

// The broker confirms a subscription before its first message, and sub says so
// even if this message is the last.
func TestSubConfirmsBeforeItEnds(t *testing.T) {
	s := newServer(t, broker.Options{})
	for range 50 {
		s.publish(t, broker.Message{Destination: "/queue/a", Body: []byte("hello")})
		if got := run(t, exitOK, "", "sub", "-u", s.URL, "/queue/a", "-n", "1"); got.out.String() != "hello\n" || got.err.String() != "subscribed to /queue/a\n" {
			t.Fatalf("printed %q, %q", got.out.String(), got.err.String())
		}
	}
}

// A server that confirms no SUBSCRIBE, or denies it softly, is still listened to.
func TestSubWithoutReceipt(t *testing.T) {
	s := newServer(t, broker.Options{SoftDenial: true})
	c := start(t, nil, nil, "sub", "-u", s.URL, "--timeout", "500ms", "/topic/denied", "/topic/a", "-n", "1")
	brokertest.Eventually(t, "both are told", func() bool {
		return strings.Contains(c.err.String(), "subscribed to /topic/a\n") &&
			strings.Contains(c.err.String(), "no receipt for the subscription to /topic/denied within 500ms")
	})
	s.publish(t, broker.Message{Destination: "/topic/a", Body: []byte("hello")})
	if got := c.wait(t, exitOK); got.out.String() != "hello\n" || strings.Contains(got.err.String(), "subscribed to /topic/denied") {
		t.Errorf("printed %q, %q", got.out.String(), got.err.String())
	}
}

// What was printed is acknowledged, and no more: the next consumer gets the rest.
func TestSubAcknowledges(t *testing.T) {
	s := newServer(t, broker.Options{})
	for _, mode := range []string{"client", "client-individual", ""} {
		queue := "/queue/default" + mode
		for _, body := range []string{"1", "2", "3"} {
			s.publish(t, broker.Message{Destination: queue, Body: []byte(body)})
		}
		if got := run(t, exitOK, "", "sub", "-u", s.URL, queue, "--ack="+mode, "-n", "2").out.String(); got != "1\n2\n" {
			t.Errorf("%s: printed %q", mode, got)
		}
		next := s.Connect(t)
		next.Subscribe(t, "s", queue)
		if m := next.Expect(t, frames.CommandMessage); string(m.Body) != "3" {
			t.Errorf("%s: the next consumer gets %q, want 3", mode, m.Body)
		}
	}
}

func TestSubOutputs(t *testing.T) {
	s := newServer(t, broker.Options{})
	c := start(t, nil, nil, "sub", "-u", s.URL, "/topic/j", "--json", "-n", "2")
	v := start(t, nil, nil, "sub", "-u", s.URL, "/topic/v", "--verbose", "-n", "1")
	s.subscriptions(t, 2)
	s.publish(t, broker.Message{Destination: "/topic/j", Headers: []frames.Header{{Name: "x", Value: "first"}, {Name: "x", Value: "second"}}, Body: []byte(`<"é">`)})
	s.publish(t, broker.Message{Destination: "/topic/j", Body: []byte("\xff\x00")})
	s.publish(t, broker.Message{Destination: "/topic/v", Headers: []frames.Header{{Name: "x", Value: "a\nb:c"}}, Body: []byte("body")})

	lines := strings.Split(c.wait(t, exitOK).out.String(), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	var m struct {
		Destination string
		Headers     map[string]string
		Body        *string
		Base64      []byte `json:"body_base64"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &m); err != nil || m.Destination != "/topic/j" || m.Headers["x"] != "first" || m.Body == nil || *m.Body != `<"é">` {
		t.Errorf("%s: %+v, %v", lines[0], m, err)
	}
	contains(t, "JSON", lines[0], `"body":"<\"é\">"`)
	m.Body = nil
	if err := json.Unmarshal([]byte(lines[1]), &m); err != nil || m.Body != nil || string(m.Base64) != "\xff\x00" {
		t.Errorf("%s: %+v, %v", lines[1], m, err)
	}

	text := v.wait(t, exitOK).out.String()
	contains(t, "verbose", text, "destination: /topic/v\n")
	contains(t, "verbose", text, "x: a\\nb:c\n")
	if !strings.HasSuffix(text, "\n\nbody\n") {
		t.Errorf("verbose %q", text)
	}
}

// A burst is printed whole and in order, also the part that was still under way
// when the server went.
func TestSubBurstThenClose(t *testing.T) {
	const n = 2000
	s := newServer(t, broker.Options{})
	c := start(t, nil, nil, "sub", "-u", s.URL, "/topic/a")
	s.subscriptions(t, 1)
	for i := range n {
		s.publish(t, broker.Message{Destination: "/topic/a", Body: fmt.Append(nil, i)})
	}
	if err := s.Broker.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	contains(t, "sub", c.wait(t, exitFailure).err.String(), "code 1012: draining")
	lines := strings.Split(strings.TrimSpace(c.out.String()), "\n")
	if len(lines) != n || lines[n-1] != fmt.Sprint(n-1) {
		t.Errorf("%d lines, the last %q, want %d", len(lines), lines[len(lines)-1], n)
	}
}

func TestSubFromAnOffset(t *testing.T) {
	s := newServer(t, broker.Options{History: []broker.History{{Destination: "/topic/**"}}})
	for _, body := range []string{"1", "2", "3"} {
		s.publish(t, broker.Message{Destination: "/topic/a", Body: []byte(body)})
	}
	c := start(t, nil, nil, "sub", "-u", s.URL, "--offset", "-2", "--count", "2", "/topic/a")
	c.wait(t, exitOK)
	if c.out.String() != "2\n3\n" || strings.Contains(c.err.String(), "missing") {
		t.Errorf("printed %q, %q", c.out.String(), c.err.String())
	}
	c = start(t, nil, nil, "sub", "-u", s.URL, "--offset", "another1:1", "--count", "3", "/topic/a")
	c.wait(t, exitOK)
	if c.out.String() != "1\n2\n3\n" || strings.Count(c.err.String(), "messages of /topic/a may be missing before this one (recovered:false)\n") != 1 {
		t.Errorf("printed %q, %q", c.out.String(), c.err.String())
	}
}
