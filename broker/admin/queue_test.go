package admin

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

const queuesPath = "/api/v1/queues/"

// withQueues runs f for queues in memory and over a store.
func withQueues(t *testing.T, q broker.Queues, f func(t *testing.T, bo broker.Options)) {
	t.Run("memory", func(t *testing.T) { f(t, broker.Options{Queues: q}) })
	t.Run("store", func(t *testing.T) { f(t, broker.Options{Queues: q, QueueStore: brokertest.NewQueueStore(q)}) })
}

func (s *server) publish(t *testing.T, destination, body string) {
	t.Helper()
	s.do(t, "POST", "/api/v1/messages", fmt.Sprintf(`{"destination":%q,"body":%q}`, destination, body)).json(t, http.StatusAccepted, &published{})
}

func (s *server) messages(t *testing.T, queue, parameters string) (p messagePage) {
	t.Helper()
	s.do(t, "GET", queuesPath+url.PathEscape(queue)+"/messages"+parameters, "").json(t, http.StatusOK, &p)
	return p
}

// bodies returns those of a page.
func (p *messagePage) bodies() string {
	var list []string
	for _, m := range p.Items {
		list = append(list, *m.Body)
	}
	return strings.Join(list, " ")
}

// Queues are listed in pages, sorted, by prefix, and with their dead letters
// apart.
func TestQueues(t *testing.T) {
	withQueues(t, broker.Queues{Attempts: 1}, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		for name, n := range map[string]int{"/queue/a b": 2, "/queue/b/c": 1, "/queue/dead": 1} {
			for range n {
				s.publish(t, name, "x")
			}
		}
		c := brokertest.Connect(t, s.b)
		c.Subscribe(t, "d", "/queue/dead", "ack", "client-individual")
		c.Send("NACK", "", "id", c.Expect(t, "MESSAGE").Get("ack"))
		c.Sync(t)
		c.Send("UNSUBSCRIBE", "", "id", "d", "receipt", "r")
		c.ExpectReceipt(t, "r")
		c.Subscribe(t, "b", "/queue/b/c", "ack", "client-individual")
		c.Expect(t, "MESSAGE")
		brokertest.Eventually(t, "the dead letter is there", func() bool {
			_, err := s.b.Queue("/queue/DLQ.dead")
			return err == nil
		})
		list := func(parameters string) (names string, p page[queue]) {
			t.Helper()
			s.do(t, "GET", "/api/v1/queues"+parameters, "").json(t, http.StatusOK, &p)
			var all []string
			for _, q := range p.Items {
				all = append(all, strings.TrimPrefix(q.Name, "/queue/"))
			}
			return strings.Join(all, ","), p
		}
		for parameters, want := range map[string]string{
			"":                              "DLQ.dead,a b,b/c",
			"?prefix=/queue/b":              "b/c",
			"?dead_letters=true":            "DLQ.dead",
			"?dead_letters=false":           "a b,b/c",
			"?sort=messages":                "a b,DLQ.dead,b/c",
			"?sort=messages&order=asc":      "DLQ.dead,b/c,a b",
			"?sort=consumers":               "b/c,DLQ.dead,a b",
			"?sort=unacknowledged":          "b/c,DLQ.dead,a b",
			"?sort=bytes&limit=0001":        "", // decided below
			"?limit=1&offset=1":             "a b",
			"?prefix=/queue/none":           "",
			"?sort=name&order=desc&limit=2": "b/c,a b",
		} {
			if got, _ := list(parameters); want != "" && got != want {
				t.Errorf("%s: %s, want %s", parameters, got, want)
			}
		}
		_, p := list("?prefix=/queue/b")
		if q := p.Items[0]; q.Messages != 1 || q.Unacknowledged != 1 || q.Consumers != 1 || q.Bytes == 0 || q.Oldest == nil || *q.Oldest < 0 || q.DeadLettersOf != "" {
			t.Errorf("the queue is %+v", q)
		}
		var one queue
		s.do(t, "GET", queuesPath+"%2Fqueue%2FDLQ.dead", "").json(t, http.StatusOK, &one)
		if one.DeadLettersOf != "/queue/dead" || one.Messages != 1 || one.Consumers != 0 {
			t.Errorf("the queue of dead letters is %+v", one)
		}
		for _, parameters := range []string{"?sort=age", "?order=up", "?dead_letters=1", "?limit=0", "?x=1", "?prefix=a&prefix=b"} {
			s.do(t, "GET", "/api/v1/queues"+parameters, "").problem(t, http.StatusBadRequest, "")
		}
		s.do(t, "GET", queuesPath+"%2Fqueue%2Fnone", "").problem(t, http.StatusNotFound, "neither messages nor consumers")
		s.do(t, "GET", queuesPath+"%2Fqueue%2Fa%20b?x=1", "").problem(t, http.StatusBadRequest, "takes no parameters")
	})
}

// Messages are shown in pages, cut, as text or base64, and stay.
func TestPeek(t *testing.T) {
	withQueues(t, broker.Queues{}, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		post := func(body string) {
			t.Helper()
			s.do(t, "POST", "/api/v1/messages", body).json(t, http.StatusAccepted, &published{})
		}
		post(`{"destination":"/queue/jobs","headers":{"k":"v\n<b>","expires":"4102444800000"},"content_type":"text/plain","body":"ab€"}`)
		post(`{"destination":"/queue/jobs","body_base64":"AP+A"}`)
		post(`{"destination":"/queue/jobs","body":""}`)
		s.publish(t, "/queue/jobs", strings.Repeat("x", 3000))
		p := s.messages(t, "/queue/jobs", "")
		if len(p.Items) != 4 || p.Next != 0 || p.Limit != 100 {
			t.Fatalf("the page is %+v", p)
		}
		m := p.Items[0]
		if *m.Body != "ab€" || m.BodyBase64 != nil || m.Headers["k"] != "v\n<b>" || m.Headers["content-type"] != "text/plain" || m.Destination != "/queue/jobs" || m.MessageID == "" ||
			m.Expires.UnixMilli() != 4102444800000 || m.Put == nil || m.Truncated || m.BodyBytes != 5 || m.Bytes == 0 || m.Held {
			t.Errorf("the first is %+v", m)
		}
		if m := p.Items[1]; m.Body != nil || *m.BodyBase64 != "AP+A" || m.BodyBytes != 3 || m.Expires != nil {
			t.Errorf("the second is %+v", m)
		}
		if m := p.Items[2]; *m.Body != "" || m.Truncated {
			t.Errorf("the third is %+v", m)
		}
		if m := p.Items[3]; len(*m.Body) != 1024 || !m.Truncated || m.BodyBytes != 3000 {
			t.Errorf("the last is %+v", m)
		}
		// A character is not cut in two; bytes are.
		for n, want := range []string{"", "a", "ab", "ab", "ab", "ab€"} {
			if m := s.messages(t, "/queue/jobs", fmt.Sprint("?body=", n)).Items[0]; *m.Body != want || m.Truncated != (n < 5) {
				t.Errorf("%d bytes of the first: %q", n, *m.Body)
			}
		}
		if m := s.messages(t, "/queue/jobs", "?body=2").Items[1]; m.BodyBase64 == nil || *m.BodyBase64 != "AP8=" {
			t.Errorf("two bytes of the second: %+v", m)
		}
		if p := s.messages(t, "/queue/jobs", "?body=9999"); len(*p.Items[3].Body) != 3000 {
			t.Error("not all of the last is shown")
		}
		var seen int
		for after := uint64(0); ; {
			p := s.messages(t, "/queue/jobs", fmt.Sprintf("?limit=3&after=%d", after))
			seen += len(p.Items)
			if after = p.Next; after == 0 {
				break
			}
		}
		if seen != 4 {
			t.Errorf("%d messages in pages of 3", seen)
		}
		for _, parameters := range []string{"?after=-1", "?after=x", "?after=", "?after=9223372036854775808", "?limit=0", "?limit=1001", "?body=-1", "?offset=1"} {
			s.do(t, "GET", queuesPath+"%2Fqueue%2Fjobs/messages"+parameters, "").problem(t, http.StatusBadRequest, "")
		}
		s.do(t, "GET", queuesPath+"%2Fqueue%2Fnone/messages", "").problem(t, http.StatusNotFound, "")
		c := brokertest.Connect(t, s.b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
		c.Expect(t, "MESSAGE")
		if p := s.messages(t, "/queue/jobs", ""); len(p.Items) != 4 || !p.Items[0].Held || p.Items[1].Held {
			t.Errorf("with a consumer: %+v", p.Items)
		}
	})
}

// A page of large messages ends early, and shows one at least.
func TestPeekAtLargeMessages(t *testing.T) {
	s := start(t, broker.Options{}, Options{MaxBody: 1 << 20})
	for range 3 {
		s.publish(t, "/queue/jobs", strings.Repeat("x", 300<<10))
	}
	pages := 0
	for after := uint64(0); ; pages++ {
		p := s.messages(t, "/queue/jobs", fmt.Sprintf("?body=1000000&after=%d", after))
		if len(p.Items) != 1 || p.Items[0].Truncated {
			t.Fatalf("a page has %d messages", len(p.Items))
		}
		if after = p.Next; after == 0 {
			break
		}
	}
	if pages != 2 {
		t.Errorf("%d pages have a next one", pages)
	}
}

// A purge empties a queue, except for what a consumer holds, and so makes room.
func TestPurge(t *testing.T) {
	withQueues(t, broker.Queues{Messages: 3, Transient: []string{"/queue/none"}}, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		publish := func(want int) {
			t.Helper()
			if a := s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/a b","body":"x"}`); a.status != want {
				t.Fatalf("published: %d %s, want %d", a.status, a.body, want)
			}
		}
		for range 3 {
			publish(http.StatusAccepted)
		}
		c := brokertest.Connect(t, s.b)
		c.Subscribe(t, "s", "/queue/a b", "ack", "client-individual", "prefetch-count", "1")
		c.Expect(t, "MESSAGE")
		publish(http.StatusTooManyRequests)
		purge := func(destination, parameters string) answer {
			return s.do(t, "DELETE", queuesPath+url.PathEscape(destination)+"/messages"+parameters, "")
		}
		for _, parameters := range []string{"", "?confirm=", "?confirm=yes", "?confirm=false", "?id=", "?id=x&confirm=true"} {
			purge("/queue/a b", parameters).problem(t, http.StatusBadRequest, "nothing was removed")
		}
		var got removed
		purge("/queue/a b", "?confirm=true").json(t, http.StatusOK, &got)
		if got.Removed != 2 {
			t.Errorf("%d messages were removed, want 2", got.Removed)
		}
		if st := s.b.Stats(); st.QueueMessages != 1 {
			t.Errorf("%d messages are left, want the one that is held", st.QueueMessages)
		}
		publish(http.StatusAccepted)
		for _, destination := range []string{"a", "/topic/a", "/queue/", "/queue/*", "/queue/none", "/user/ann/queue/a", "/app/a", "/queue/\xff"} {
			purge(destination, "?confirm=true").problem(t, http.StatusBadRequest, "want one queue that is kept")
		}
		purge("/queue/b", "?confirm=true").problem(t, http.StatusNotFound, "")
		purge("/queue/a b", "?confirm=true&x=1").problem(t, http.StatusBadRequest, "")
	})
}

// Single messages are removed by message-id or sequence.
func TestRemoveMessage(t *testing.T) {
	withQueues(t, broker.Queues{}, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		for i := range 4 {
			s.publish(t, "/queue/jobs", fmt.Sprint(i))
		}
		all := s.messages(t, "/queue/jobs", "").Items
		c := brokertest.Connect(t, s.b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "1")
		c.Expect(t, "MESSAGE")
		const path = queuesPath + "%2Fqueue%2Fjobs/messages"
		remove := func(what string) answer { return s.do(t, "DELETE", path+what, "") }
		var got removed
		remove(fmt.Sprint("/", all[1].Sequence)).json(t, http.StatusOK, &got)
		remove("?id="+url.QueryEscape(all[2].MessageID)).json(t, http.StatusOK, &got)
		if p := s.messages(t, "/queue/jobs", ""); got.Removed != 1 || p.bodies() != "0 3" {
			t.Errorf("removed %d, left %s", got.Removed, p.bodies())
		}
		remove(fmt.Sprint("/", all[1].Sequence)).problem(t, http.StatusNotFound, "no such message")
		remove("?id=none").problem(t, http.StatusNotFound, "no such message")
		remove(fmt.Sprint("/", all[0].Sequence)).problem(t, http.StatusConflict, "a consumer has the message")
		remove("?id="+url.QueryEscape(all[0].MessageID)).problem(t, http.StatusConflict, "a consumer has the message")
		for _, what := range []string{"/x", "/-1", "/1.0", "/99999999999999999999", "/1?confirm=true"} {
			remove(what).problem(t, http.StatusBadRequest, "")
		}
		s.do(t, "DELETE", queuesPath+"%2Fqueue%2Fnone/messages/1", "").problem(t, http.StatusNotFound, "no such queue")
	})
}

// Messages move, dead letters return, and a full target ends the move with the
// number of those that it took.
func TestMoveRequests(t *testing.T) {
	withQueues(t, broker.Queues{Messages: 4, Attempts: 1}, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		for i := range 4 {
			s.publish(t, "/queue/a", fmt.Sprint(i))
		}
		const path = queuesPath + "%2Fqueue%2Fa/moves"
		all := s.messages(t, "/queue/a", "").Items
		move := func(want moved, body string) {
			t.Helper()
			var got moved
			if s.do(t, "POST", path, body).json(t, http.StatusOK, &got); got != want {
				t.Errorf("%s: %+v, want %+v", body, got, want)
			}
		}
		move(moved{Moved: 1, Next: all[0].Sequence}, `{"to":"/queue/b","count":1}`)
		move(moved{Moved: 2}, fmt.Sprintf(`{"to":"/queue/b","ids":[%q,"none"],"sequences":[%d]}`, all[3].MessageID, all[1].Sequence))
		move(moved{}, fmt.Sprintf(`{"to":"/queue/b","after":%d}`, all[3].Sequence))
		if p := s.messages(t, "/queue/b", ""); p.bodies() != "0 1 3" {
			t.Errorf("moved: %s", p.bodies())
		}
		s.publish(t, "/queue/a", "4")
		a := s.do(t, "POST", path, `{"to":"/queue/b"}`)
		a.problem(t, http.StatusTooManyRequests, "/queue/b takes no more: queue limit reached: at most 4 messages per queue (queues.messages)")
		var p problem
		if decode(t, a.body, &p); p.Moved == nil || *p.Moved != 1 || a.header.Get("Retry-After") == "" {
			t.Errorf("the problem is %s", a.body)
		}
		if p := s.messages(t, "/queue/a", ""); p.bodies() != "4" {
			t.Errorf("left: %s", p.bodies())
		}

		c := brokertest.Connect(t, s.b)
		c.Subscribe(t, "d", "/queue/a", "ack", "client-individual")
		c.Send("NACK", "", "id", c.Expect(t, "MESSAGE").Get("ack"))
		brokertest.Eventually(t, "the dead letter is there", func() bool {
			_, err := s.b.Queue("/queue/DLQ.a")
			return err == nil
		})
		s.publish(t, "/queue/DLQ.a", "from nowhere")
		var got moved
		s.do(t, "POST", queuesPath+"%2Fqueue%2FDLQ.a/moves", `{}`).json(t, http.StatusOK, &got)
		if got != (moved{Moved: 1, Skipped: 1}) {
			t.Errorf("dead letters: %+v", got)
		}
		if m := c.Expect(t, "MESSAGE"); string(m.Body) != "4" || m.Get("dead-letter-reason") != "" {
			t.Errorf("what returned is %s %v", m.Body, m.Headers)
		}
	})
}

func TestMoveRequestsAreChecked(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	s.publish(t, "/queue/a", "x")
	for body, detail := range map[string]string{
		``:                                   "",
		`[]`:                                 "must be a JSON object",
		`{}`:                                 "is no queue of dead letters",
		`{"to":""}`:                          `"to" is empty`,
		`{"to":"/topic/a"}`:                  "does not name one work queue",
		`{"to":"/queue/a"}`:                  "is the queue itself",
		`{"to":"/queue/*"}`:                  "destination",
		`{"to":"/queue/b","ids":[]}`:         `"ids" is empty`,
		`{"to":"/queue/b","ids":["a",1]}`:    `"ids" must be a list`,
		`{"to":"/queue/b","sequences":[-1]}`: `"sequences" must be a list`,
		`{"to":"/queue/b","sequences":[]}`:   `"sequences" is empty`,
		`{"to":"/queue/b","count":0}`:        `"count" must be a number from 1 to 1000`,
		`{"to":"/queue/b","count":1001}`:     `"count" must be`,
		`{"to":"/queue/b","after":-1}`:       `"after" must be`,
		`{"to":"/queue/b","all":true}`:       `there is no field "all"`,
		`{"to":"/queue/b","to":"/queue/c"}`:  `"to" twice`,
	} {
		want := http.StatusBadRequest
		if body == "" {
			want = http.StatusUnsupportedMediaType
		}
		s.do(t, "POST", queuesPath+"%2Fqueue%2Fa/moves", body).problem(t, want, detail)
	}
	s.do(t, "POST", queuesPath+"%2Fqueue%2Fnone/moves", `{"to":"/queue/b"}`).problem(t, http.StatusNotFound, "")
	if p := s.messages(t, "/queue/a", ""); p.bodies() != "x" {
		t.Errorf("the queue has %s", p.bodies())
	}
}

// What removes or moves messages is logged with its caller and the number.
func TestQueueChangesAreLogged(t *testing.T) {
	var log bytes.Buffer
	b := brokertest.New(t, broker.Options{})
	h := newHandler(t, b, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 4 {
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/a"}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.Browse(t.Context(), "/queue/a", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ method, path, body, want string }{
		{"POST", "/moves", `{"to":"/queue/b","count":1}`, `msg="messages moved" queue=/queue/a to=/queue/b moved=1 remote=192.0.2.9:4711`},
		{"DELETE", fmt.Sprint("/messages/", all[1].Sequence), "", fmt.Sprintf(`msg="message removed from its queue" queue=/queue/a ids="" sequences=[%d] removed=1 remote=192.0.2.9:4711`, all[1].Sequence)},
		{"DELETE", "/messages?id=" + url.QueryEscape(all[2].Message.ID), "", `ids=` + all[2].Message.ID + ` sequences=[] removed=1 remote=192.0.2.9:4711`},
		{"DELETE", "/messages?confirm=true", "", `msg="queue purged" queue=/queue/a removed=1 remote=192.0.2.9:4711`},
	} {
		log.Reset()
		r := request(t, tc.method, "http://localhost"+queuesPath+"%2Fqueue%2Fa"+tc.path, tc.body)
		r.RemoteAddr = "192.0.2.9:4711"
		if a := serve(h, r); a.status != http.StatusOK {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, a.status, a.body)
		}
		if text := log.String(); !strings.Contains(text, tc.want) || !strings.Contains(text, "admin request") {
			t.Errorf("%s %s: the log lacks %s:\n%s", tc.method, tc.path, tc.want, text)
		}
	}
}
