package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// withAdmin starts a broker with its admin API, and returns what commands need to
// find it.
func withAdmin(t *testing.T, o broker.Options) (*broker.Broker, []string) {
	t.Helper()
	const token = "a-token-for-the-tests"
	b := brokertest.New(t, o)
	h, err := admin.New(b, admin.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return b, []string{"HOOFBEAT_ADMIN_URL=" + s.URL, "HOOFBEAT_ADMIN_TOKEN=" + token}
}

func put(t *testing.T, b *broker.Broker, queue string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := b.Publish(context.Background(), &broker.Message{Destination: queue, Body: []byte(body), ID: "id-" + body, Headers: []broker.Header{{Name: "k", Value: "v" + body}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// bury makes a dead letter of the only message in a queue.
func bury(t *testing.T, b *broker.Broker, queue string) {
	t.Helper()
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", queue, "ack", "client-individual")
	c.Send("NACK", "", "id", c.Expect(t, "MESSAGE").Get("ack"))
	c.Sync(t)
	c.Close()
	brokertest.Eventually(t, "the consumer is gone", func() bool {
		_, err := b.Queue(queue)
		return err != nil
	})
}

func TestQueuesLs(t *testing.T) {
	b, env := withAdmin(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	put(t, b, "/queue/orders/a b", "1")
	bury(t, b, "/queue/orders/a b")
	put(t, b, "/queue/jobs", "1", "2")
	put(t, b, "/queue/hostile <b> %s€", "1")
	got := start(t, nil, env, "queues", "ls").wait(t, exitOK).out.String()
	for i, want := range []string{
		`NAME +MESSAGES +UNACKNOWLEDGED +CONSUMERS +BYTES +OLDEST +DEAD LETTERS OF`,
		`/queue/DLQ\.orders/a b +1 +0 +0 +\d+ +\d+s +/queue/orders/a b`,
		`/queue/hostile <b> %s€ +1 +0 +0 +\d+ +\d+s +-`,
		`/queue/jobs +2 +0 +0 +\d+ +\d+s +-`,
	} {
		lines := strings.Split(got, "\n")
		if len(lines) != 5 || !regexp.MustCompile("^"+want+"$").MatchString(lines[i]) {
			t.Fatalf("line %d of\n%s does not match %s", i, got, want)
		}
	}
	for args, want := range map[string]string{
		"--json --prefix /queue/j":                      "/queue/jobs",
		"--json --dead-letters":                         "/queue/DLQ.orders/a b",
		"--json --sort messages":                        "/queue/jobs",
		"--json --sort name --order desc":               "/queue/jobs",
		"--json --prefix /queue/ --sort unacknowledged": "/queue/DLQ.orders/a b",
	} {
		out := start(t, nil, env, append([]string{"queues", "list"}, strings.Fields(args)...)...).wait(t, exitOK).out.String()
		first, _, _ := strings.Cut(out, "\n")
		var q struct {
			Name     string
			Messages int
		}
		if err := json.Unmarshal([]byte(first), &q); err != nil || q.Name != want {
			t.Errorf("%s prints %s", args, out)
		}
	}
	contains(t, "ls", start(t, nil, env, "queues", "ls", "--sort", "age").wait(t, exitFailure).err.String(), "must be one of name, messages")
	start(t, nil, append(env[:1:1], "HOOFBEAT_ADMIN_TOKEN=wrong"), "queues", "ls").wait(t, exitRefused)
	contains(t, "queues", start(t, nil, nil, "queues").wait(t, exitOK).out.String(), "hoofbeat queues move /queue/DLQ.orders")
	contains(t, "queues", start(t, nil, nil, "queues", "pek").wait(t, exitUsage).err.String(), "did you mean peek?")
}

func TestQueuesPeek(t *testing.T) {
	b, env := withAdmin(t, broker.Options{})
	put(t, b, "/queue/jobs", "1", "two\nlines\x1b[2J", "\xff\x00", strings.Repeat("x", 2000))
	peek := func(args ...string) *command {
		t.Helper()
		return start(t, nil, env, append([]string{"queues", "peek", "/queue/jobs"}, args...)...).wait(t, exitOK)
	}
	const stamp = `  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	c := peek("--body", "10")
	want := `^1  id-1` + stamp + `\n1\n` +
		`2  id-two\\nlines\\x1b\[2J` + stamp + "\ntwo\nlines\n" + `\(10 of 13 bytes\)\n`
	want = strings.Replace(want, "\ntwo\nlines\n", "\ntwo\nlines\\\\x1b\n", 1)
	want += `3  id-.*` + stamp + `\nbase64: /wA=\n` +
		`4  id-x+` + stamp + `\nxxxxxxxxxx\n\(10 of 2000 bytes\)\n$`
	if !regexp.MustCompile(want).MatchString(c.out.String()) || c.err.String() != "" {
		t.Errorf("peek prints\n%s\n%s", c.out.String(), c.err.String())
	}
	c = peek("--count", "2", "-v")
	contains(t, "peek", c.out.String(), "\n  k: v1\n")
	if got := c.err.String(); got != "There may be more: --after 2\n" {
		t.Errorf("peek says %q", got)
	}
	var m struct {
		Sequence  int
		MessageID string `json:"message_id"`
		Body      string
	}
	if err := json.Unmarshal([]byte(peek("--after", "3", "--json", "--full").out.String()), &m); err != nil || m.Sequence != 4 || len(m.Body) != 2000 {
		t.Errorf("%+v %v", m, err)
	}
	if q, err := b.Queue("/queue/jobs"); err != nil || q.Messages != 4 {
		t.Errorf("afterwards: %+v %v", q, err)
	}
	contains(t, "peek", start(t, nil, env, "queues", "peek", "/queue/none").wait(t, exitFailure).err.String(), "there is no such queue")
	for _, args := range [][]string{{}, {"/queue/a", "--count", "0"}, {"/queue/a", "--body", "-1"}, {"/queue/a", "--json", "-v"}, {"/queue/a", "--after", "-1"}, {"/queue/a", "b"}, {".."}, {""}, {"/"}} {
		start(t, nil, env, append([]string{"queues", "peek"}, args...)...).wait(t, exitUsage)
	}
	contains(t, "peek", start(t, nil, env, "queues", "peek", "jobs").wait(t, exitFailure).err.String(), "want one queue that is kept")
}

func TestQueuesMove(t *testing.T) {
	b, env := withAdmin(t, broker.Options{Queues: broker.Queues{Attempts: 1, Messages: 1500}})
	move := func(code int, want string, args ...string) {
		t.Helper()
		c := start(t, nil, env, append([]string{"queues", "move"}, args...)...).wait(t, code)
		contains(t, fmt.Sprint(args), c.out.String()+c.err.String(), want)
	}
	put(t, b, "/queue/orders", "1")
	bury(t, b, "/queue/orders")
	put(t, b, "/queue/DLQ.orders", "x")
	move(exitOK, "1 moved, 1 stay because they did not come from a queue: name a target to move them\n", "/queue/DLQ.orders")
	move(exitOK, "0 moved, 1 stay", "/queue/DLQ.orders")
	move(exitOK, "1 moved\n", "/queue/DLQ.orders", "/queue/other")
	move(exitFailure, "there is no such queue", "/queue/DLQ.orders")
	for i := range 1200 { // more than one request moves
		put(t, b, "/queue/a", fmt.Sprint(i))
	}
	move(exitOK, "2 moved\n", "--count", "2", "/queue/a", "/queue/b")
	list, err := b.Browse(t.Context(), "/queue/a", 0, 10)
	if err != nil || len(list) != 10 {
		t.Fatal(list, err)
	}
	move(exitOK, "2 moved, 1 not found, or held by a consumer\n", "--id", "id-7", "--id", "none", "--seq", fmt.Sprint(list[9].Sequence), "/queue/a", "/queue/b")
	move(exitOK, "1196 moved\n", "/queue/a", "/queue/b")
	put(t, b, "/queue/full", make([]string, 400)...)
	move(exitFailure, "/queue/full takes no more: queue limit reached: at most 1500 messages per queue (queues.messages) (1100 moved before)\n", "/queue/b", "/queue/full")
	if q, err := b.Queue("/queue/b"); err != nil || q.Messages != 100 {
		t.Errorf("left: %+v %v", q, err)
	}
	move(exitFailure, "is the queue itself", "/queue/b", "/queue/b")
	move(exitFailure, "is no queue of dead letters", "/queue/b")
	for _, args := range [][]string{{}, {"/queue/a", "/queue/b", "c"}, {"--count", "0", "/queue/a"}, {"--seq", "x", "/queue/a"}, {"--id", "", "/queue/a"}} {
		move(exitUsage, "See hoofbeat queues move --help", args...)
	}
}

func TestQueuesRmAndPurge(t *testing.T) {
	b, env := withAdmin(t, broker.Options{})
	put(t, b, "/queue/jobs", "1", "2", "3", "4", "5", "6")
	queues := func(code int, want string, args ...string) {
		t.Helper()
		c := start(t, nil, env, append([]string{"queues"}, args...)...).wait(t, code)
		contains(t, fmt.Sprint(args), c.out.String()+c.err.String(), want)
	}
	left := func(want int) {
		t.Helper()
		if n := b.Stats().QueueMessages; n != want {
			t.Fatalf("%d messages are left, want %d", n, want)
		}
	}
	queues(exitOK, "3 removed\n", "rm", "--seq", "2,3", "--id", "id-4", "/queue/jobs")
	queues(exitFailure, "message none: the admin API answers HTTP 404 Not Found: the queue has no such message (1 removed before)", "rm", "--seq", "5", "--id", "none", "/queue/jobs")
	left(2)
	queues(exitUsage, "which messages to remove", "rm", "/queue/jobs")
	queues(exitUsage, "want the sequence of a message", "rm", "--seq", "-1", "/queue/jobs")
	queues(exitUsage, "nothing was removed: want --yes", "purge", "/queue/jobs")
	queues(exitUsage, "want a whole name", "purge", "--yes", "..")
	left(2)
	queues(exitOK, "2 removed\n", "purge", "--yes", "/queue/jobs")
	left(0)
	queues(exitFailure, "there is no such queue", "purge", "--yes", "/queue/jobs")
}
