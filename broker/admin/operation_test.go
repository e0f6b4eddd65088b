package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// withFlow returns a broker that lets clients in by tickets and by their login,
// and options of its API with a Flow and Tickets.
func withFlow(t testing.TB, o webflow.Options) (*broker.Broker, Options) {
	t.Helper()
	bo, ao := withTickets(t, ticket.Options{})
	b := brokertest.New(t, bo)
	flow, err := webflow.New(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flow.Close() }) // never fails
	ao.Flow = flow
	return b, ao
}

func startFlow(t testing.TB, o webflow.Options) (*server, *webflow.Flow) {
	t.Helper()
	b, ao := withFlow(t, o)
	s := &server{b, httptest.NewServer(newHandler(t, b, ao))}
	t.Cleanup(s.http.Close)
	return s, ao.Flow
}

// announce returns the webSocketId of an operation that it announces.
func (s *server) announce(t testing.TB, id, body string) string {
	t.Helper()
	var got opened
	s.do(t, "PUT", "/api/v1/operations/"+escape(id), body).json(t, http.StatusCreated, &got)
	if got.OperationID != id {
		t.Errorf("%q was announced as %q", id, got.OperationID)
	}
	return got.WebSocketID
}

// report returns whether the answer says that the result was delivered.
func (s *server) report(t testing.TB, id, result string) bool {
	t.Helper()
	var got notified
	s.do(t, "POST", "/api/v1/operations/"+escape(id)+"/result", fmt.Sprintf(`{"result":%q}`, result)).json(t, http.StatusOK, &got)
	return got.Delivered
}

// page connects a client that waits for results.
func (s *server) page(t testing.TB, headers ...string) *brokertest.Client {
	t.Helper()
	c := brokertest.Connect(t, s.b, headers...)
	c.Subscribe(t, "r", "/user/topic/registration")
	c.Subscribe(t, "a", "/user/topic/authorization")
	return c
}

// register has the client register an operation, and wants that to succeed or
// not.
func register(t testing.TB, c *brokertest.Client, webSocketID string, succeeds bool) {
	t.Helper()
	c.Send("SEND", fmt.Sprintf(`{"webSocketId":%q}`, webSocketID), "destination", "/app/registration")
	want := fmt.Sprintf(`"registrationSucceeded":%t`, succeeds)
	if got := c.Expect(t, "MESSAGE"); got.Get("subscription") != "r" || !strings.Contains(string(got.Body), want) {
		t.Fatalf("%q to %s, want %s", got.Body, got.Get("subscription"), want)
	}
}

// wantResult wants the result next, and nothing after it.
func wantResult(t testing.TB, c *brokertest.Client, webSocketID, result string) {
	t.Helper()
	want := fmt.Sprintf(`{"webSocketId":%q,"authResult":%q}`, webSocketID, result)
	if got := c.Expect(t, "MESSAGE"); got.Get("subscription") != "a" || string(got.Body) != want {
		t.Errorf("%q to %s, want %s", got.Body, got.Get("subscription"), want)
	}
	if got := c.Sync(t); len(got) != 0 {
		t.Errorf("and then %v", got)
	}
}

// A login on a page without a user, using only this API.
func TestOperationOfTicket(t *testing.T) {
	s, flow := startFlow(t, webflow.Options{})
	const id = "sign in/ü 7"
	webSocketID := s.announce(t, id, `{}`)
	if webSocketID != flow.WebSocketID(id) {
		t.Errorf("its webSocketId is %q", webSocketID)
	}
	var ticket minted
	s.do(t, "POST", "/api/v1/tickets", `{"user":"visitor","operation":"`+id+`"}`).json(t, http.StatusCreated, &ticket)
	c, stranger := s.page(t, "ticket", ticket.Ticket), s.page(t, "login", "visitor")
	register(t, stranger, webSocketID, false)
	register(t, c, webSocketID, true)
	for _, result := range []string{"AUTH_FAILED", "CONFIRMED"} {
		if !s.report(t, id, result) {
			t.Errorf("%s was not delivered to the page that waits", result)
		}
		wantResult(t, c, webSocketID, result)
	}
	if !s.report(t, id, "CONFIRMED") { // idempotent
		t.Error("it was delivered, and now it was not")
	}
	if got := append(c.Sync(t), stranger.Sync(t)...); len(got) != 0 {
		t.Errorf("too much was told: %v", got)
	}
}

func TestOperationOfUser(t *testing.T) {
	s, _ := startFlow(t, webflow.Options{})
	if got := s.announce(t, "x", `{"owner":{"user":"ann","anyone":null},"websocket_id":"ws x"}`); got != "ws x" {
		t.Errorf("its webSocketId is %q", got)
	}
	if s.report(t, "x", "CONFIRMED") {
		t.Error("a result was delivered before anybody waited")
	}
	bob, ann := s.page(t, "login", "bob"), s.page(t, "login", "ann")
	register(t, bob, "ws x", false)
	register(t, ann, "ws x", true)
	wantResult(t, ann, "ws x", "CONFIRMED")
}

func TestOperationOfAnyone(t *testing.T) {
	s, _ := startFlow(t, webflow.Options{})
	webSocketID := s.announce(t, "x", `{"owner":{"anyone":true}}`)
	c := s.page(t)
	register(t, c, webSocketID, true)
	if !s.report(t, "x", "CANCELED") {
		t.Error("not delivered to the page that waits")
	}
	wantResult(t, c, webSocketID, "CANCELED")
}

func TestOperationTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := withFlow(t, webflow.Options{TTL: time.Minute})
		h := newHandler(t, b, o)
		do := func(method, path, body string) answer {
			return serve(h, request(t, method, "http://localhost/api/v1/operations/"+path, body))
		}
		wantEnd := func(body string, ttl time.Duration) {
			t.Helper()
			<-time.After(ttl - time.Second)
			if n := o.Flow.Stats().Operations; n != 1 {
				t.Errorf("%s: %d operations before its end", body, n)
			}
			<-time.After(2 * time.Second)
			do("POST", "x/result", `{"result":"CONFIRMED"}`).problem(t, http.StatusNotFound, "no such operation, or it has expired")
		}
		for body, ttl := range map[string]time.Duration{
			`{}`: time.Minute, `{"owner":null,"websocket_id":null,"ttl":null}`: time.Minute, `{"ttl":5}`: 5 * time.Second, `{"ttl":86400}`: 24 * time.Hour,
		} {
			do("PUT", "x", body).json(t, http.StatusCreated, &opened{})
			wantEnd(body, ttl)
		}
		// Announcing it again extends it.
		do("PUT", "x", `{"ttl":5}`).json(t, http.StatusCreated, &opened{})
		<-time.After(4 * time.Second)
		do("PUT", "x", `{"ttl":30}`).json(t, http.StatusCreated, &opened{})
		wantEnd("again", 30*time.Second)
	})
}

func TestOperationConflicts(t *testing.T) {
	s, flow := startFlow(t, webflow.Options{})
	s.announce(t, "x", `{"owner":{"user":"ann"},"websocket_id":"1"}`)
	for _, x := range []struct{ id, body string }{
		{"x", `{"owner":{"user":"bob"},"websocket_id":"1"}`},
		{"x", `{"owner":{"anyone":true},"websocket_id":"1"}`},
		{"x", `{"websocket_id":"1"}`},
		{"x", `{"owner":{"user":"ann"},"websocket_id":"2"}`},
		{"x", `{"owner":{"user":"ann"}}`},
		{"y", `{"owner":{"user":"ann"},"websocket_id":"1"}`},
	} {
		s.do(t, "PUT", "/api/v1/operations/"+x.id, x.body).problem(t, http.StatusConflict, "the operation exists already and differs")
	}
	s.announce(t, "x", `{"owner":{"user":"ann"},"websocket_id":"1"}`)
	if n := flow.Stats().Operations; n != 1 {
		t.Errorf("%d operations", n)
	}
	s.report(t, "x", "CONFIRMED")
	for _, result := range []string{"CANCELED", "AUTH_FAILED"} {
		s.do(t, "POST", "/api/v1/operations/x/result", `{"result":"`+result+`"}`).problem(t, http.StatusConflict, "has its result already")
	}
}

func TestOperationLimits(t *testing.T) {
	s, _ := startFlow(t, webflow.Options{MaxOperations: 1, MaxInterim: 2, Registration: webflow.Open})
	s.announce(t, "x", `{}`)
	for _, a := range []answer{
		s.do(t, "PUT", "/api/v1/operations/y", `{}`),
		s.do(t, "POST", "/api/v1/operations/y/result", `{"result":"CONFIRMED"}`), // which would take it up
	} {
		a.problem(t, http.StatusTooManyRequests, "too many operations")
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q", got)
		}
	}
	s.report(t, "x", "AUTH_FAILED")
	s.report(t, "x", "AUTH_FAILED")
	a := s.do(t, "POST", "/api/v1/operations/x/result", `{"result":"AUTH_FAILED"}`)
	a.problem(t, http.StatusTooManyRequests, "more than 2 interim results")
	if got := a.header.Values("Retry-After"); len(got) != 0 {
		t.Errorf("Retry-After %q, though it does not help to wait", got)
	}
	s.report(t, "x", "CONFIRMED")
}

// A Store of operations that fails is a matter of trying again, and its error is
// not told.
func TestStoreOfOperationsFails(t *testing.T) {
	s, _ := startFlow(t, webflow.Options{Store: readOnly{webflow.NewMemory()}})
	for _, a := range []answer{
		s.do(t, "PUT", "/api/v1/operations/x", `{}`),
		s.do(t, "GET", "/api/v1/operations/x", ""),
		s.do(t, "POST", "/api/v1/operations/x/result", `{"result":"CONFIRMED"}`),
	} {
		a.problem(t, http.StatusServiceUnavailable, "the store of operations does not answer")
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q", got)
		}
	}
}

// readOnly is a Store that has nothing and takes nothing.
type readOnly struct{ *webflow.Memory }

var errDisk = errors.New("the disk at 192.0.2.1 is full")

func (readOnly) Create(context.Context, *webflow.Record) error         { return errDisk }
func (readOnly) Get(context.Context, string) (*webflow.Record, error)  { return nil, errDisk }
func (readOnly) Find(context.Context, string) (*webflow.Record, error) { return nil, errDisk }

func TestOperationRefuses(t *testing.T) {
	b, o := withFlow(t, webflow.Options{MaxIDBytes: 300})
	o.MaxBody = 2000
	s := &server{b, httptest.NewServer(newHandler(t, b, o))}
	t.Cleanup(s.http.Close)
	const one = `"owner" must have exactly one of "user" and "anyone"`
	for body, detail := range map[string]string{
		`{`:                       "not JSON",
		`[]`:                      "must be a JSON object",
		`{"Owner":{}}`:            `no field "Owner", only websocket_id, owner and ttl`,
		`{"id":"y"}`:              `no field "id"`,
		`{"ttl":1,"ttl":1}`:       `"ttl" twice`,
		`{"websocket_id":""}`:     `"websocket_id" is empty`,
		`{"websocket_id":7}`:      `"websocket_id" must be a string`,
		`{"websocket_id":"a\tb"}`: "WebSocketID is not 1 to 300 bytes of printable text",
		`{"websocket_id":"` + strings.Repeat("x", 301) + `"}`: "WebSocketID is not 1 to 300 bytes",
		`{"owner":"ann"}`:                        `"owner" must be a JSON object`,
		`{"owner":{}}`:                           one,
		`{"owner":{"user":null}}`:                one,
		`{"owner":{"user":"ann","anyone":true}}`: one,
		`{"owner":{"user":"ann","user":"bob"}}`:  `"owner" has "user" twice`,
		`{"owner":{"users":"ann"}}`:              `no field "users" in "owner", only user and anyone`,
		`{"owner":{"user":""}}`:                  "user name is blank",
		`{"owner":{"user":"a\u0000"}}`:           "the user name contains",
		`{"owner":{"user":1}}`:                   `"user" must be a string`,
		`{"owner":{"anyone":false}}`:             `"anyone" must be true`,
		`{"owner":{"anyone":1}}`:                 `"anyone" must be true`,
		`{"ttl":0}`:                              `"ttl" must be a whole number of seconds from 1 to 86400`,
		`{"ttl":86401}`:                          `"ttl" must be`,
		`{"ttl":1.5}`:                            `"ttl" must be`,
		`{"ttl":"30"}`:                           `"ttl" must be`,
	} {
		s.do(t, "PUT", "/api/v1/operations/x", body).problem(t, http.StatusBadRequest, detail)
	}
	for _, id := range []string{"a\nb", "\xff", strings.Repeat("x", 257)} {
		s.do(t, "PUT", "/api/v1/operations/"+escape(id), `{}`).problem(t, http.StatusBadRequest, "ID is not 1 to 256 bytes of printable text")
		s.do(t, "POST", "/api/v1/operations/"+escape(id)+"/result", `{"result":"CONFIRMED"}`).problem(t, http.StatusNotFound, "no such operation")
	}
	if n := o.Flow.Stats().Operations; n != 0 {
		t.Fatalf("%d operations were announced", n)
	}

	s.do(t, "POST", "/api/v1/operations/x/result", `{"result":"CONFIRMED"}`).problem(t, http.StatusNotFound, "no such operation")
	s.announce(t, "x", `{"owner":{"user":"ann"}}`)
	for body, detail := range map[string]string{
		`{`:                      "not JSON",
		`null`:                   "must be a JSON object",
		`{}`:                     `"result" is missing`,
		`{"result":null}`:        `"result" is missing`,
		`{"result":""}`:          `"result" is empty`,
		`{"result":true}`:        `"result" must be a string`,
		`{"result":"confirmed"}`: `"result" is not one of the configured results`,
		`{"Result":"CONFIRMED"}`: `no field "Result", only result`,
		`{"result":"CONFIRMED","result":"CONFIRMED"}`: `"result" twice`,
	} {
		s.do(t, "POST", "/api/v1/operations/x/result", body).problem(t, http.StatusBadRequest, detail)
	}
	for _, x := range []struct{ method, path, body string }{
		{"PUT", "/api/v1/operations/x", `{"owner":{"user":"ann"}}`},
		{"POST", "/api/v1/operations/x/result", `{"result":"CONFIRMED"}`},
	} {
		s.do(t, x.method, x.path+"?ttl=1", x.body).problem(t, http.StatusBadRequest, `takes no parameters, not "ttl"`)
		s.do(t, x.method, x.path, x.body, "Content-Type", "text/plain").problem(t, http.StatusUnsupportedMediaType, "application/json")
		s.do(t, x.method, x.path, x.body+strings.Repeat(" ", 2000)).problem(t, http.StatusRequestEntityTooLarge, "larger than 2000 bytes")
		s.do(t, x.method, x.path, x.body, "Origin", "https://evil.example.com").problem(t, http.StatusForbidden, "another origin")
		allow := x.method
		if allow == "PUT" {
			allow = "GET, HEAD, PUT"
		}
		a := s.do(t, "DELETE", x.path, "")
		a.problem(t, http.StatusMethodNotAllowed, "this path takes "+allow)
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("Allow is %q", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := request(t, x.method, "http://localhost"+x.path, x.body)
		serve(newHandler(t, s.b, o), r.WithContext(ctx)).problem(t, http.StatusServiceUnavailable, "given up")
	}
	// None of these requests set a result.
	c := s.page(t, "login", "ann")
	register(t, c, o.Flow.WebSocketID("x"), true)
	if got := c.Sync(t); len(got) != 0 {
		t.Errorf("a refused request reported %v", got)
	}
}

func TestOperationAfterClose(t *testing.T) {
	s, flow := startFlow(t, webflow.Options{})
	if err := flow.Close(); err != nil {
		t.Fatal(err)
	}
	s.do(t, "PUT", "/api/v1/operations/x", `{}`).problem(t, http.StatusServiceUnavailable, "no operations are taken any more")
	s.do(t, "POST", "/api/v1/operations/x/result", `{"result":"CONFIRMED"}`).problem(t, http.StatusServiceUnavailable, "no operations are taken any more")
}

func TestOperationsAreListed(t *testing.T) {
	s, _ := startFlow(t, webflow.Options{Registration: webflow.Open})
	anns := s.announce(t, "pay", `{"owner":{"user":"ann"}}`)
	s.announce(t, "login", `{}`)
	s.announce(t, "bobs", `{"owner":{"user":"bob"}}`)
	register(t, s.page(t, "login", "ann"), anns, true)
	register(t, s.page(t), "named by the page", true)
	s.report(t, "bobs", "AUTH_FAILED")
	for query, want := range map[string]struct {
		total int
		ids   string
	}{
		"":                              {4, " bobs login pay"},
		"?user=ann":                     {1, "pay"},
		"?user=":                        {2, " login"},
		"?user=nobody":                  {0, ""},
		"?registered=true":              {2, " pay"},
		"?registered=false":             {2, "bobs login"},
		"?registered=true&user=ann":     {1, "pay"},
		"?limit=2&offset=1":             {4, "bobs login"},
		"?offset=9":                     {4, ""},
		"?user=bob&limit=1&offset=0":    {1, "bobs"},
		"?registered=false&user=ann":    {0, ""},
		"?registered=false&limit=1":     {2, "bobs"},
		"?registered=true&limit=1":      {2, ""},
		"?registered=true&offset=1":     {2, "pay"},
		"?registered=false&user=bob":    {1, "bobs"},
		"?registered=false&user=":       {1, "login"},
		"?user=&registered=true&limit=": {-1, `the parameter "limit" must be a number`},
		"?registered=1":                 {-1, `the parameter "registered" must be one of true, false`},
		"?sort=user":                    {-1, `there is no parameter "sort", only user, registered, offset, limit`},
	} {
		answer := s.do(t, "GET", "/api/v1/operations"+query, "")
		if want.total < 0 {
			answer.problem(t, http.StatusBadRequest, want.ids)
			continue
		}
		var got page[waiting]
		answer.json(t, http.StatusOK, &got)
		var ids []string
		for _, o := range got.Items {
			ids = append(ids, o.OperationID)
			var one waiting
			if o.OperationID != "" {
				s.do(t, "GET", "/api/v1/operations/"+o.OperationID, "").json(t, http.StatusOK, &one)
				if one != o {
					t.Errorf("listed %+v, shown %+v", o, one)
				}
			}
		}
		if got.Total != want.total || strings.Join(ids, " ") != want.ids {
			t.Errorf("%q: %d, %q, want %d, %q", query, got.Total, ids, want.total, want.ids)
		}
	}
	none := start(t, broker.Options{}, Options{})
	none.do(t, "GET", "/api/v1/operations", "").problem(t, http.StatusNotFound, "admin.Options.Flow is not set")
}
