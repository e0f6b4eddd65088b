package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// replying starts hoofbeat reply and waits until it is ready.
func replying(t *testing.T, s *server, args ...string) *command {
	t.Helper()
	c := start(t, nil, []string{"PATH=/usr/bin:/bin", "HOOFBEAT_PASSCODE=hush"}, append([]string{"reply", "-u", s.URL}, args...)...)
	brokertest.Eventually(t, "reply says that it is ready", func() bool { return strings.Contains(c.err.String(), "subscribed to ") })
	return c
}

func TestRequestAndReply(t *testing.T) {
	s := newServer(t, broker.Options{})
	upper := replying(t, s, "/queue/upper", "--exec", "tr a-z A-Z", "--count", "2", "-t", "text/plain")
	if got := run(t, exitOK, "", "request", "-u", s.URL, "/queue/upper", "hello").out.String(); got != "HELLO\n" {
		t.Errorf("printed %q", got)
	}
	answer := run(t, exitOK, "from stdin", "request", "-u", s.TCP, "/queue/upper", "-H", "correlation-id:c-1", "--json").out.String()
	var m struct {
		Destination string
		Headers     map[string]string
		Body        string
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil || m.Body != "FROM STDIN" || m.Destination != "/temp-queue/answers" ||
		m.Headers["correlation-id"] != "c-1" || m.Headers["content-type"] != "text/plain" || m.Headers["subscription"] != "/temp-queue/answers" {
		t.Errorf("printed %s: %v", answer, err)
	}
	upper.wait(t, exitOK)

	echo := replying(t, s, "/queue/echo", "--echo")
	got := run(t, exitOK, "", "request", "-u", s.URL, "/queue/echo", "hello", "-t", "text/x", "--verbose").out.String()
	contains(t, "request", got, "content-type: text/x\n")
	if !strings.HasSuffix(got, "\n\nhello\n") {
		t.Errorf("printed %q", got)
	}
	echo.cancel()
	echo.wait(t, exitOK)
	// Everything that was answered is acknowledged.
	for _, queue := range []string{"/queue/upper", "/queue/echo"} {
		s.publish(t, broker.Message{Destination: queue, Body: []byte("last")})
		next := s.Connect(t)
		next.Subscribe(t, "1", queue)
		if m := next.Expect(t, frames.CommandMessage); string(m.Body) != "last" {
			t.Errorf("%s has %q", queue, m.Body)
		}
	}
}

func TestRequestWithManyAnswers(t *testing.T) {
	s := newServer(t, broker.Options{})
	for _, name := range []string{"a", "b"} {
		replying(t, s, "/topic/who", "--body", name)
	}
	got := run(t, exitOK, "", "request", "-u", s.URL, "/topic/who", "?", "-n", "2").out.String()
	if got != "a\nb\n" && got != "b\na\n" {
		t.Errorf("printed %q", got)
	}
	c := run(t, exitFailure, "", "request", "-u", s.URL, "/topic/who", "?", "-n", "3", "--timeout", "1s")
	contains(t, "request", c.err.String(), "no answer within 1s, 2 of 3 were received")
	if got := c.out.String(); len(got) != 4 {
		t.Errorf("printed %q", got)
	}
}

func TestRequestEnds(t *testing.T) {
	s := newServer(t, broker.Options{})
	contains(t, "request", run(t, exitRefused, "", "request", "-u", s.URL, "/topic/denied", "?").err.String(), "not allowed to send")
	c := start(t, strings.NewReader("?"), nil, "request", "-u", s.URL, "/queue/nobody")
	s.subscriptions(t, 1)
	c.cancel()
	contains(t, "request", c.wait(t, exitInterrupted).err.String(), "interrupted")
	c = start(t, strings.NewReader("?"), nil, "request", "-u", s.URL, "/queue/nobody")
	s.subscriptions(t, 2)
	if err := s.Broker.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	contains(t, "request", c.wait(t, exitFailure).err.String(), "code 1012: draining")
	for want, args := range map[string][]string{
		"DESTINATION is missing":                           {"request"},
		"--count 0 is not positive":                        {"request", "/queue/a", "-n", "0"},
		"leave --verbose out":                              {"request", "/queue/a", "-v", "--json"},
		"--header reply-to is not yours":                   {"request", "/queue/a", "x", "-H", "reply-to:/queue/b"},
		"one of --exec, --body and --echo":                 {"reply", "/queue/a"},
		"--exec, --body and --echo":                        {"reply", "/queue/a", "--echo", "--body", ""},
		"--count -1 is negative":                           {"reply", "/queue/a", "--echo", "-n", "-1"},
		"only this connection could send to /temp-queue/x": {"reply", "/temp-queue/x", "--echo"},
		"--exec-timeout 0s is not positive":                {"reply", "/queue/a", "--exec", "cat", "--exec-timeout", "0s"},
	} {
		contains(t, strings.Join(args, " "), run(t, exitUsage, "", args...).err.String(), want)
	}
}

// What cannot be answered is refused: it is delivered again, and then a dead
// letter. The other messages are answered.
func TestReplyRefuses(t *testing.T) {
	s := newServer(t, broker.Options{Queues: broker.Queues{Attempts: 2}})
	dead := s.Connect(t)
	dead.Subscribe(t, "1", "/queue/DLQ.job")
	c := replying(t, s, "/queue/job", "--exec", `read word; test "$HOOFBEAT_PASSCODE" = "" && test "$word" = good && echo "it is $word"`)
	s.publish(t, broker.Message{Destination: "/queue/job", Body: []byte("no reply-to")})
	s.publish(t, broker.Message{Destination: "/queue/job", Body: []byte("good"), Headers: []frames.Header{{Name: "reply-to", Value: "/queue/of/others"}}})
	for _, body := range []string{"no reply-to", "good"} {
		if m := dead.Expect(t, frames.CommandMessage); string(m.Body) != body {
			t.Errorf("the dead letter is %q, want %q", m.Body, body)
		}
	}
	run(t, exitFailure, "", "request", "-u", s.URL, "/queue/job", "bad", "--timeout", "500ms")
	if m := dead.Expect(t, frames.CommandMessage); string(m.Body) != "bad" {
		t.Errorf("the dead letter is %q", m.Body)
	}
	if got := run(t, exitOK, "", "request", "-u", s.URL, "/queue/job", "good").out.String(); got != "it is good\n\n" {
		t.Errorf("printed %q", got)
	}
	for _, want := range []string{
		"a message has no reply-to header: the message is refused",
		"a message wants its answer at /queue/of/others, which needs --any-reply-to: the message is refused",
		"the command failed: exit status 1: the message is refused",
	} {
		contains(t, "reply", c.err.String(), "hoofbeat: "+want+"\n")
	}
	c.cancel()
	c.wait(t, exitOK)

	anywhere := replying(t, s, "/queue/any", "--echo", "--any-reply-to", "-n", "1")
	s.publish(t, broker.Message{Destination: "/queue/any", Body: []byte("x"), Headers: []frames.Header{{Name: "reply-to", Value: "/queue/DLQ.job"}}})
	if m := dead.Expect(t, frames.CommandMessage); string(m.Body) != "x" {
		t.Errorf("answered %q", m.Body)
	}
	anywhere.wait(t, exitOK)
}

// A command that hangs is ended with its children, by --exec-timeout or Ctrl-C.
func TestReplyEndsItsCommand(t *testing.T) {
	s := newServer(t, broker.Options{Queues: broker.Queues{Attempts: 2}})
	dead := s.Connect(t)
	dead.Subscribe(t, "1", "/queue/DLQ.slow")
	c := replying(t, s, "/queue/slow", "--exec", "sleep 600 | cat", "--exec-timeout", "100ms")
	ask := start(t, strings.NewReader("?"), nil, "request", "-u", s.URL, "/queue/slow")
	dead.Expect(t, frames.CommandMessage)
	contains(t, "reply", c.err.String(), "the command failed: it ran longer than 100ms (--exec-timeout)")
	ask.cancel()
	ask.wait(t, exitInterrupted)
	c.cancel()
	c.wait(t, exitOK)

	c = replying(t, s, "/queue/other", "--exec", "echo started >&2; sleep 600", "-n", "1")
	s.publish(t, broker.Message{Destination: "/queue/other", Headers: []frames.Header{{Name: "reply-to", Value: "/reply-queue/x"}}})
	brokertest.Eventually(t, "the command runs", func() bool { return strings.Contains(c.err.String(), "started\n") })
	c.cancel()
	contains(t, "reply", c.wait(t, exitInterrupted).err.String(), "interrupted after 0 of 1 answers")
	next := s.Connect(t) // the message was not acknowledged
	next.Subscribe(t, "1", "/queue/other")
	wantRedelivered(t, next)
}

// The output of a command is bounded, and a longer one is no answer. One of just
// the length is.
func TestReplyBoundsItsCommand(t *testing.T) {
	s := &service{exec: `head -c "$(cat)" /dev/zero`, execTimeout: time.Minute, connection: connection{program: &Program{Env: []string{"PATH=/usr/bin:/bin"}, Err: t.Output()}}}
	if out, err := s.runCommand(t.Context(), fmt.Append(nil, maxAnswer)); err != nil || len(out) != maxAnswer {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	for _, size := range []int{maxAnswer + 1, 2 * maxAnswer} {
		if out, err := s.runCommand(t.Context(), fmt.Append(nil, size)); !errors.Is(err, errLongOutput) {
			t.Errorf("%d bytes of output: %d bytes, %v", size, len(out), err)
		}
	}
}

func wantRedelivered(t *testing.T, c *brokertest.Client) {
	t.Helper()
	if m := c.Expect(t, frames.CommandMessage); m.Get("redelivered") != "true" {
		t.Errorf("received %v", m.Headers)
	}
}
