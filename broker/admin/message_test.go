package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestPublish(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/news")
	c.Subscribe(t, "2", "/queue/work")
	c.Subscribe(t, "3", "/user/queue/mine")
	for _, x := range []struct{ body, subscription, destination, want string }{
		{`{"destination":"/topic/news","body":"hé\u0000 \u00fc","content_type":"text/plain"}`, "1", "/topic/news", "hé\x00 ü"},
		{`{"destination":"/queue/work","body_base64":"AP/+","content_type":"text/plain","body":null}`, "2", "/queue/work", "\x00\xff\xfe"},
		{`{"content_type":"text/plain", "destination":"/user/ann/queue/mine","headers":null}`, "3", "/user/queue/mine", ""},
		{` {"headers":{"b":"1:2","a":"x\ny","content-type":"text/plain","gone":null},"destination":"/topic/news"} `, "1", "/topic/news", ""},
	} {
		var got published
		s.do(t, "POST", "/api/v1/messages", x.body).json(t, http.StatusAccepted, &got)
		m := c.Expect(t, "MESSAGE")
		if string(m.Body) != x.want || m.Get("subscription") != x.subscription || m.Get("destination") != x.destination || m.Get("content-type") != "text/plain" {
			t.Errorf("%s became %v %q", x.body, m.Headers, m.Body)
		}
		if got.MessageID == "" || m.Get("message-id") != got.MessageID {
			t.Errorf("message-id %q, answered %q", m.Get("message-id"), got.MessageID)
		}
		if strings.Contains(x.body, "headers\":{") {
			order := fmt.Sprint(m.Headers)
			if m.Get("a") != "x\ny" || m.Get("b") != "1:2" || strings.Index(order, "{b ") > strings.Index(order, "{a ") {
				t.Errorf("headers %v", m.Headers)
			}
		}
	}
}

// A message that is posted again with its message-dedup-id is published once.
func TestPublishOnce(t *testing.T) {
	s := start(t, broker.Options{Limits: broker.Limits{DedupIDs: 1}}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/news")
	post := func(path, destination, id string) answer {
		return s.do(t, "POST", path, `{"destination":"`+destination+`","headers":{"message-dedup-id":"`+id+`"}}`)
	}
	var first, second published
	post("/api/v1/messages", "/topic/news", "x").json(t, http.StatusAccepted, &first)
	post("/api/v1/messages", "/topic/news", "x").json(t, http.StatusAccepted, &second)
	if first.MessageID == "" || first.Duplicate || second.MessageID != "" || !second.Duplicate {
		t.Errorf("answered %+v, then %+v", first, second)
	}
	if got := c.Sync(t); len(got) != 1 || got[0].Get("message-id") != first.MessageID {
		t.Errorf("received %v", got)
	}
	post("/api/v1/messages", "/topic/news", "").problem(t, http.StatusBadRequest, "message-dedup-id is empty")
	post("/api/v1/messages", "/topic/news", "y").problem(t, http.StatusTooManyRequests, "limits.dedup_ids")
	post("/api/v1/users/ann/messages", "/queue/news", "x").problem(t, http.StatusBadRequest, "/user/{name}/…")
	var st stats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &st)
	if st.Duplicates != 1 {
		t.Errorf("%d duplicates", st.Duplicates)
	}
}

func TestPublishToUser(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for _, name := range []string{"ann", "a/b %c", "..", "Ünal?x=1"} {
		c := brokertest.Connect(t, s.b, "login", name)
		c.Subscribe(t, "1", "/user/queue/news")
		c.Subscribe(t, "2", "/user/queue/news", "ack", "client")
		path := "/api/v1/users/" + escape(name) + "/messages"
		for _, destination := range []string{"/queue/news", "/user/queue/news"} {
			var got delivered
			s.do(t, "POST", path, `{"destination":"`+destination+`","body":"x"}`).json(t, http.StatusOK, &got)
			if got.Subscriptions != 2 || got.Unacknowledged != 1 {
				t.Errorf("%s: %+v", name, got)
			}
			for range 2 {
				if m := c.Expect(t, "MESSAGE"); m.Get("message-id") != got.MessageID || string(m.Body) != "x" {
					t.Errorf("%s got %v %q", name, m.Headers, m.Body)
				}
			}
		}
	}
	var got delivered
	s.do(t, "POST", "/api/v1/users/nobody/messages", `{"destination":"/topic/x"}`).json(t, http.StatusOK, &got)
	if got.Subscriptions != 0 || got.MessageID == "" {
		t.Errorf("nobody: %+v", got)
	}
}

// escape escapes every byte, dots included, which a path would not keep.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func TestPublishRefuses(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/**")
	c.Subscribe(t, "2", "/user/queue/x")
	const topic = `"destination":"/topic/x"`
	for _, x := range []struct{ body, detail string }{
		{`{` + topic, "not JSON: at byte"},
		{`{` + topic + `} {}`, "not JSON"},
		{`{` + topic + `,}`, "not JSON"},
		{"{\"destination\":\"/topic/\xff\"}", "not valid UTF-8"},
		{`[]`, "must be a JSON object"},
		{`null`, "must be a JSON object"},
		{`"x"`, "must be a JSON object"},
		{`{}`, `"destination" is missing`},
		{`{"destination":null}`, `"destination" is missing`},
		{`{"destination":7}`, `"destination" must be a string`},
		{`{"Destination":"/topic/x"}`, `no field "Destination"`},
		{`{` + topic + `,"boddy":""}`, `no field "boddy", only destination, headers, body, body_base64 and content_type`},
		{`{` + topic + `,"body":"a","body":"b"}`, `"body" twice`},
		{`{` + topic + `,"body":{}}`, `"body" must be a string`},
		{`{` + topic + `,"body":"","body_base64":""}`, "exclude each other"},
		{`{` + topic + `,"body_base64":"_-8="}`, "not standard base64"},
		{`{` + topic + `,"body_base64":"QQ"}`, "not standard base64"},
		{`{` + topic + `,"headers":[]}`, `"headers" must be a JSON object`},
		{`{` + topic + `,"headers":{"a":1}}`, `"a" must be a string`},
		{`{` + topic + `,"headers":{"a":"1","\u0061":"2"}}`, `"a" twice`},
		{`{` + topic + `,"headers":{"":"1"}}`, "no name"},
		{`{` + topic + `,"headers":{"a":"\u0000"}}`, "NUL"},
		{`{` + topic + `,"headers":{"message-id":"1"}}`, `"message-id" belongs to the protocol`},
		{`{` + topic + `,"headers":{"simpUser":"1"}}`, `"simpUser" belongs to the protocol`},
		{`{` + topic + `,"headers":{"content-type":""},"content_type":"a/b"}`, "content type is given twice"},
		{`{"destination":""}`, "must begin with"},
		{`{"destination":"/topic/a\nb"}`, "control character"},
		{`{"destination":"/topic/*"}`, "to no pattern"},
		{`{"destination":"/app/x"}`, "a message goes to /topic/…, /queue/… or /user/{name}/…"},
		{`{"destination":"/user/queue/x"}`, "a message goes to"},
		{`{"destination":"/topic/` + strings.Repeat("x", 1024) + `"}`, "longer than 1024 bytes"},
	} {
		s.do(t, "POST", "/api/v1/messages", x.body).problem(t, http.StatusBadRequest, x.detail)
	}
	for _, destination := range []string{"/app/x", "/user/ann/queue/x", "/queue/*", "x", ""} {
		s.do(t, "POST", "/api/v1/users/ann/messages", `{"destination":"`+destination+`"}`).
			problem(t, http.StatusBadRequest, "a message to a user goes to /topic/… or /queue/…")
	}
	s.do(t, "POST", "/api/v1/users/a%0Ab/messages", `{"destination":"/queue/x"}`).problem(t, http.StatusBadRequest, "user name")
	s.do(t, "POST", "/api/v1/messages?dry-run", `{`+topic+`}`).problem(t, http.StatusBadRequest, `takes no parameters, not "dry-run"`)
	for _, mediaType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json;;"} {
		s.do(t, "POST", "/api/v1/messages", `{`+topic+`}`, "Content-Type", mediaType).
			problem(t, http.StatusUnsupportedMediaType, "application/json")
	}
	if got := c.Sync(t); len(got) != 0 {
		t.Errorf("published: %v", got)
	}
	s.do(t, "POST", "/api/v1/messages", `{`+topic+`}`, "Content-Type", "Application/JSON; charset=utf-8").
		json(t, http.StatusAccepted, &published{})
}

func TestBodyLimit(t *testing.T) {
	body := func(n int) string {
		const frame = `{"destination":"/topic/x","body":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
	}
	for _, x := range []struct {
		option int64
		limit  int
	}{{0, 256 << 10}, {100, 100}} {
		s := start(t, broker.Options{}, Options{MaxBody: x.option})
		s.do(t, "POST", "/api/v1/messages", body(x.limit)).json(t, http.StatusAccepted, &published{})
		s.do(t, "POST", "/api/v1/messages", body(x.limit+1)).
			problem(t, http.StatusRequestEntityTooLarge, fmt.Sprintf("larger than %d bytes", x.limit))
	}
	s := start(t, broker.Options{}, Options{MaxBody: -1})
	s.do(t, "POST", "/api/v1/messages", body(1<<20)).json(t, http.StatusAccepted, &published{})
}

func TestQueueFull(t *testing.T) {
	s := start(t, broker.Options{Queues: broker.Queues{Messages: 1}}, Options{})
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`).json(t, http.StatusAccepted, &published{})
	a := s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`)
	a.problem(t, http.StatusTooManyRequests, "queue full: queue limit reached: at most 1 messages per queue (queues.messages)")
	if got := a.header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
}

func TestPublishAfterClose(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	if err := s.b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/messages", "/api/v1/users/ann/messages"} {
		s.do(t, "POST", path, `{"destination":"/topic/x"}`).problem(t, http.StatusServiceUnavailable, "closed")
	}
}

func TestPublishForOneWhoHasLeft(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := request(t, "POST", "http://localhost/api/v1/messages", `{"destination":"/queue/x"}`)
	serve(newHandler(t, b, Options{}), r.WithContext(ctx)).problem(t, http.StatusServiceUnavailable, "given up")
	if n := b.Stats().QueueMessages; n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

// Many callers at once: each message arrives once, and lists and figures remain
// readable.
func TestConcurrentUse(t *testing.T) {
	const callers, each = 8, 25
	s := start(t, broker.Options{}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/news")
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				body := fmt.Sprintf(`{"destination":"/topic/news","body":"%d-%d"}`, i, j)
				if a := s.do(t, "POST", "/api/v1/messages", body); a.status != http.StatusAccepted {
					t.Errorf("%d: %s", a.status, a.body)
				}
				for _, path := range []string{"sessions", "users", "destinations", "stats"} {
					if a := s.do(t, "GET", "/api/v1/"+path, ""); a.status != http.StatusOK {
						t.Errorf("%s: %d: %s", path, a.status, a.body)
					}
				}
			}
		})
	}
	seen := make(map[string]bool)
	for range callers * each {
		seen[string(c.Expect(t, "MESSAGE").Body)] = true
	}
	testkit.Wait(t, &wg)
	if len(seen) != callers*each {
		t.Errorf("%d different messages, want %d", len(seen), callers*each)
	}
}
