package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// FuzzMessages sends any body. An accepted body means what encoding/json reads
// in it; any other gets a problem; nothing fails internally.
func FuzzMessages(f *testing.F) {
	for _, s := range []string{
		`{"destination":"/topic/x","body":"hi","content_type":"text/plain","headers":{"a":"b"}}`,
		`{"destination":"/queue/x","body_base64":"AP8="}`,
		`{"destination":"/user/ann/queue/x","body":null,"headers":null}`,
		`{"destination":"/topic/x","destination":"/topic/y"}`,
		`{"destination":"/topic/\ud800","body":"\u0000"}`,
		`{"DESTINATION":"/topic/x"}`,
		`[[[[`, `{"headers":{"a":{}}}`, "\xff", `null`, ``,
	} {
		f.Add([]byte(s))
	}
	b := brokertest.New(f, broker.Options{Queues: broker.Queues{Messages: 10, Queues: 10}})
	h := newHandler(f, b, Options{MaxBody: 4096})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request(t, "POST", "http://localhost/api/v1/messages", string(body), "Content-Type", "application/json")
		a := serve(h, r)
		if a.status != http.StatusAccepted {
			switch a.status {
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
				a.problem(t, a.status, "")
			default:
				t.Fatalf("%d %s", a.status, a.body)
			}
			return
		}
		a.json(t, http.StatusAccepted, &published{})
		if !utf8.Valid(body) {
			t.Fatalf("%q was taken", body)
		}
		var want struct {
			Destination string             `json:"destination"`
			Headers     map[string]*string `json:"headers"`
			Body        *string            `json:"body"`
			BodyBase64  []byte             `json:"body_base64"`
			ContentType *string            `json:"content_type"`
		}
		decode(t, body, &want)
		m, err := parseMessage(json.RawMessage(body))
		if err != nil {
			t.Fatal(err)
		}
		content := string(want.BodyBase64)
		if want.Body != nil {
			content = *want.Body
		}
		if m.Destination != want.Destination || string(m.Body) != content {
			t.Fatalf("%q was read as %+v", body, m)
		}
		if want.ContentType != nil {
			if want.Headers == nil {
				want.Headers = make(map[string]*string)
			}
			want.Headers["content-type"] = want.ContentType
		}
		for _, h := range m.Headers {
			if v := want.Headers[h.Name]; v == nil || *v != h.Value || broker.Reserved(h.Name) {
				t.Fatalf("%q has the header %+v", body, h)
			}
		}
	})
}

// FuzzTickets sends any body. An accepted body makes a ticket with exactly the
// user and rights that encoding/json reads in it; any other gets a problem.
func FuzzTickets(f *testing.F) {
	for _, s := range []string{
		`{"user":"ann","roles":["a","b"],"ttl":30,"operation":"x","origin":"https://app.example.com"}`,
		`{"user":"\ud800","roles":null,"ttl":null}`,
		`{"user":"ann","user":"bob"}`, `{"USER":"ann"}`, `{"user":" "}`,
		`{"user":"ann","roles":[null]}`, `{"user":"ann","ttl":1e2}`, `{"user":"ann","ttl":-0}`,
		`{"user":"ann","origin":"http://[::1]:80"}`, `{"user":"ann","origin":"https://a@b"}`,
		`[[[[`, "\xff", `null`, ``,
	} {
		f.Add([]byte(s))
	}
	bo, o := withTickets(f, ticket.Options{Rate: -1})
	o.MaxBody = 4096
	h := newHandler(f, brokertest.New(f, bo), o)
	f.Fuzz(func(t *testing.T, body []byte) {
		a := serve(h, request(t, "POST", "http://localhost/api/v1/tickets", string(body), "Content-Type", "application/json"))
		if a.status != http.StatusCreated {
			if a.status != http.StatusRequestEntityTooLarge {
				a.problem(t, http.StatusBadRequest, "")
			}
			return
		}
		var got minted
		a.json(t, http.StatusCreated, &got)
		var want struct {
			User      string   `json:"user"`
			Roles     []string `json:"roles"`
			TTL       *int64   `json:"ttl"`
			Operation string   `json:"operation"`
			Origin    string   `json:"origin"`
		}
		decode(t, body, &want)
		g, err := parseGrant(body)
		if err != nil || g.Origin != want.Origin {
			t.Fatalf("%q was read as %+v, %v", body, g, err)
		}
		p, err := o.Tickets.Authenticate(t.Context(), &auth.Attempt{Stage: auth.StageRenew, Ticket: got.Ticket}) // whatever the origin
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != want.User || auth.ValidName(p.Name) != nil || !slices.Equal(p.Roles, want.Roles) {
			t.Fatalf("%q became %+v", body, p)
		}
		if len(p.Scopes) > 1 || want.Operation != "" && !p.HasScope("operation:"+want.Operation) || want.Operation == "" && len(p.Scopes) > 0 {
			t.Fatalf("%q has the scopes %q", body, p.Scopes)
		}
		if want.TTL != nil && got.Expires > time.Now().Unix()+1+*want.TTL {
			t.Fatalf("%q lives until %d", body, got.Expires)
		}
	})
}

// FuzzRevocations sends any body. An accepted body revokes exactly what
// encoding/json reads in it; a refused one revokes nothing.
func FuzzRevocations(f *testing.F) {
	for _, s := range []string{
		`{"user":"ann"}`, `{"session":"1"}`, `{"credential":"ticket:0"}`, `{"user":"ann","session":null}`,
		`{"user":"ann","session":"1"}`, `{"user":"ann","session":""}`, `{"user":"\u0000"}`,
		`{"user":"ann","user":"bob"}`, `{"User":"ann"}`, `{"user":"\ud800"}`,
		`[[[[`, "\xff", `null`, ``,
	} {
		f.Add([]byte(s))
	}
	b := brokertest.New(f, broker.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		store := auth.NewRevocations()
		var told []auth.Revocation
		store.Watch(func(e auth.Event) { told = append(told, e.Revocation) })
		a := &api{b: b, revocations: store, maxBody: 4096}
		w := httptest.NewRecorder()
		p := a.revoke(w, request(t, "POST", "http://localhost/api/v1/revocations", string(body), "Content-Type", "application/json"))
		if p != nil {
			if p.Status != http.StatusBadRequest && p.Status != http.StatusRequestEntityTooLarge || len(told) != 0 {
				t.Fatalf("%+v, and %+v was revoked", p, told)
			}
			return
		}
		var want struct{ User, Session, Credential string }
		decode(t, body, &want)
		if len(told) != 1 || told[0].User != want.User || told[0].Session != want.Session || told[0].Credential != want.Credential {
			t.Fatalf("%q revoked %+v", body, told)
		}
	})
}

// FuzzOperations announces an operation with any body and reports its result
// with another. An accepted body means what encoding/json reads in it and
// admits no other callers; any other gets a problem and changes nothing.
func FuzzOperations(f *testing.F) {
	const confirmed = `{"result":"CONFIRMED"}`
	for _, s := range []string{
		`{}`, `{"websocket_id":"e30f","owner":{"user":"ann"},"ttl":30}`, `{"owner":{"anyone":true}}`,
		`{"owner":{}}`, `{"owner":null}`, `{"owner":{"user":null}}`, `{"owner":{"anyone":false}}`, `{"owner":{"user":"ann","anyone":true}}`,
		`{"owner":{"user":"ann"},"owner":{"anyone":true}}`, `{"owner":{"ANYONE":true}}`, `{"OWNER":{"anyone":true}}`,
		`{"owner":{"user":"\ud800"}}`, `{"websocket_id":"\u0000"}`, `{"ttl":1e2}`, `{"ttl":-0}`,
		`[[[[`, "\xff", `null`, ``,
	} {
		f.Add([]byte(s), []byte(confirmed))
	}
	for _, s := range []string{
		`{"result":"AUTH_FAILED"}`, `{"result":"confirmed"}`, `{"result":"CONFIRMED","result":"FAILED"}`, `{"RESULT":"DONE"}`,
		`{"result":null}`, `{"result":"\u0044ONE"}`, `{"result":["DONE"]}`, `[[[[`, "\xff", `null`, ``,
	} {
		f.Add([]byte(`{"owner":{"anyone":true}}`), []byte(s))
	}
	f.Fuzz(func(t *testing.T, operation, result []byte) {
		b, o := withFlow(t, webflow.Options{})
		o.MaxBody = 4096
		h := newHandler(t, b, o)
		do := func(method, path string, body []byte) answer {
			return serve(h, request(t, method, "http://localhost/api/v1/operations/"+path, string(body), "Content-Type", "application/json"))
		}
		refused := func(a answer) {
			t.Helper()
			if a.status != http.StatusRequestEntityTooLarge {
				a.problem(t, http.StatusBadRequest, "")
			}
		}
		announced := do("PUT", "x", operation)
		if announced.status != http.StatusCreated {
			refused(announced)
			if n := o.Flow.Stats().Operations; n != 0 {
				t.Fatalf("%q was refused and left %d operations", operation, n)
			}
			return
		}
		var got opened
		announced.json(t, http.StatusCreated, &got)
		var want struct {
			WebSocketID string `json:"websocket_id"`
			Owner       *struct {
				User   *string `json:"user"`
				Anyone bool    `json:"anyone"`
			} `json:"owner"`
			TTL time.Duration `json:"ttl"`
		}
		decode(t, operation, &want)
		var owner webflow.Owner
		if want.Owner != nil {
			owner.Anyone = want.Owner.Anyone
			if want.Owner.User != nil {
				owner.User = *want.Owner.User
			}
			if owner.Anyone == (auth.ValidName(owner.User) == nil) {
				t.Fatalf("%q has the owner %+v", operation, owner)
			}
		}
		if want.WebSocketID == "" {
			want.WebSocketID = o.Flow.WebSocketID("x")
		}
		if got.OperationID != "x" || got.WebSocketID != want.WebSocketID {
			t.Fatalf("%q became %+v", operation, got)
		}
		// Announced with another owner it would be a conflict.
		if _, err := o.Flow.Open(t.Context(), webflow.Operation{ID: "x", WebSocketID: got.WebSocketID, Owner: owner}); err != nil {
			t.Fatalf("%q does not belong to %+v: %v", operation, owner, err)
		}
		if op, err := parseOperation(operation); err != nil || op.TTL != want.TTL*time.Second {
			t.Fatalf("%q was read as %+v, %v", operation, op, err)
		}

		reported := do("POST", "x/result", result)
		state, err := o.Flow.Result(t.Context(), got.WebSocketID, ownerCaller(owner))
		if err != nil {
			t.Fatal(err)
		}
		if reported.status != http.StatusOK {
			refused(reported)
			if state.Result != "" {
				t.Fatalf("%q was refused and reported %q", result, state.Result)
			}
			return
		}
		reported.json(t, http.StatusOK, &notified{})
		var said struct {
			Result string `json:"result"`
		}
		decode(t, result, &said)
		if said.Result == "" || state.Result != said.Result {
			t.Fatalf("%q reported %q", result, state.Result)
		}
	})
}

// ownerCaller returns a caller that may poll an operation of this owner.
func ownerCaller(o webflow.Owner) webflow.Caller {
	p := &auth.Principal{Name: o.User}
	if o == (webflow.Owner{}) {
		p.Scopes = []string{"operation:x"}
	}
	return webflow.Caller{Principal: p}
}
