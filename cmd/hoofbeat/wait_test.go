//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// announce announces an operation and returns its webSocketId.
func announce(t *testing.T, s *server, operation, owner string) string {
	t.Helper()
	var opened struct {
		WebSocketID string `json:"websocket_id"`
	}
	if status := s.call(t, "PUT", "/api/v1/operations/"+operation, owner, &opened); status != http.StatusCreated {
		t.Fatalf("announcing %s: HTTP %d", operation, status)
	}
	return opened.WebSocketID
}

// waitTicket asks for a ticket that is bound to an operation.
func waitTicket(t *testing.T, s *server, token, operation string) (status int, ticket string) {
	t.Helper()
	header := bearerHeader(token)
	header.Set("Content-Type", "application/json")
	status, body := send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", header, `{"operation":"`+operation+`"}`)
	var answer struct{ Ticket string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return status, answer.Ticket
}

// adminTicket mints a ticket as the site does that has announced the operation.
func adminTicket(t *testing.T, s *server, body string) string {
	t.Helper()
	var answer struct{ Ticket string }
	if status := s.call(t, "POST", "/api/v1/tickets", body, &answer); status/100 != 2 {
		t.Fatalf("ticket: HTTP %d", status)
	}
	return answer.Ticket
}

// Whoever is signed in and knows the names of an operation gets nothing with
// them: no ticket, no registration and no poll.
func TestAWaitCannotBeStolen(t *testing.T) {
	p := newProvider(t)
	s := serve(t, nil, "-c", bearerConfig(t, p))
	id := announce(t, s, "login-1", `{}`)
	hers := announce(t, s, "payment", `{"owner":{"user":"ann"}}`)

	page := newWaiter(t, connectAs(t, "visitor-1", s.url+"?ticket="+adminTicket(t, s, `{"user":"visitor-1","operation":"login-1"}`), client.Options{}))
	if ok, _ := page.register(t, id); !ok {
		t.Fatal("the page with its ticket may not wait")
	}
	forged := p.sign(map[string]any{"aud": "hoofbeat", "sub": "bob", "scope": "chat operation:login-1 operation:payment", "roles": []string{"backend"}})
	for name, token := range map[string]string{"bob's token": p.token("bob"), "with the scope": forged, "an opaque one with the scope": p.opaque} {
		for _, operation := range []string{"login-1", "payment", "nobodys"} {
			if status, ticket := waitTicket(t, s, token, operation); status != 403 || ticket != "" {
				t.Errorf("%s: a ticket for %s: HTTP %d", name, operation, status)
			}
		}
		header := bearerHeader(token)
		bob := newWaiter(t, connectAs(t, "bob", s.url, client.Options{Header: header}))
		for _, webSocketID := range []string{id, hers} {
			if ok, _ := bob.register(t, webSocketID); ok {
				t.Errorf("%s: registers %.10s", name, webSocketID)
			}
			if status, body := poll(t, s, webSocketID, header); status != 404 {
				t.Errorf("%s: polls: HTTP %d %s", name, status, body)
			}
		}
	}
	run(t, 0, []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}, "notify", "login-1", "CONFIRMED")
	if m := receive(t, page.results); string(m.Body) != result(id, `"CONFIRMED"`) {
		t.Errorf("the page is told %s", m.Body)
	}

	// The owner herself gets a ticket for what is hers, and for nothing else.
	status, ticket := waitTicket(t, s, p.token("ann"), "payment")
	if status != 200 {
		t.Fatalf("the owner's ticket: HTTP %d", status)
	}
	ann := newWaiter(t, connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{}))
	if ok, _ := ann.register(t, hers); !ok {
		t.Error("the owner may not wait")
	}
	if status, _ := waitTicket(t, s, p.token("ann"), "login-1"); status != 403 {
		t.Errorf("ann's ticket for another operation: HTTP %d", status)
	}
}

// A rule for the role backend is about Hoofbeat's own backend tickets, not about
// whoever has a role of that name at an identity provider.
func TestBackendRoleIsNotTheProvidersToGrant(t *testing.T) {
	p := newProvider(t)
	conf := write(t, "hoofbeat.yaml", `
auth: {jwt: [{issuer: "`+p.URL+`", audience: hoofbeat}]}
rules: [{allow: [send], destination: "/topic/**", roles: [backend]}]
`)
	s := serve(t, nil, "-c", conf)
	token := p.sign(map[string]any{"aud": "hoofbeat", "sub": "bob", "roles": []string{"backend"}})
	conn := connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(token)})
	_ = conn.Send("/topic/a", "text/plain", []byte("b")) // it may be refused while it is being sent
	closed(t, conn, 4403)
	run(t, 0, nil, "pub", "-u", s.url+"?ticket="+adminTicket(t, s, `{"user":"svc","roles":["backend"]}`), "/topic/a", "b")
}

// The backend may give an operation to a user who does not own it, if it is asked.
func TestTheWebhookGivesTicketsForOperations(t *testing.T) {
	questions := make(chan map[string]any, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		_ = json.NewDecoder(r.Body).Decode(&q) // nothing is allowed then
		questions <- q
		answer := `{"pass":true}`
		if q["event"] == "wait" && q["user"] == "bob" && q["operation"] == "login-1" {
			answer = `{"allow":true}`
		}
		_, _ = io.WriteString(w, answer) // the broker may be gone
	}))
	t.Cleanup(hook.Close)
	p := newProvider(t)
	conf := write(t, "hoofbeat.yaml", `
auth:
  jwt: [{issuer: "`+p.URL+`", audience: hoofbeat}]
  webhook: {url: "`+hook.URL+`", events: [wait]}
`)
	s := serve(t, nil, "-c", conf)
	id := announce(t, s, "login-1", `{}`)
	if status, _ := waitTicket(t, s, p.token("ann"), "login-1"); status != 403 {
		t.Errorf("ann: HTTP %d", status)
	}
	status, ticket := waitTicket(t, s, p.token("bob"), "login-1")
	if status != 200 {
		t.Fatalf("bob: HTTP %d", status)
	}
	bob := newWaiter(t, connectAs(t, "bob", s.url+"?ticket="+ticket, client.Options{}))
	if ok, _ := bob.register(t, id); !ok {
		t.Error("bob may not wait")
	}
	if n := len(questions); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	hook.Close()
	if status, _ := waitTicket(t, s, p.token("bob"), "login-1"); status != 503 {
		t.Errorf("without the backend: HTTP %d", status)
	}
}

// Nobody can tell a page its result in the broker's name, though a rule allows to
// send to every user.
func TestResultsCannotBeForged(t *testing.T) {
	p := newProvider(t)
	conf := write(t, "hoofbeat.yaml", `
auth: {jwt: [{issuer: "`+p.URL+`", audience: hoofbeat}]}
rules: [{allow: [send], destination: "/user/*/**", any_user: true}]
queues: {mode: broadcast, prefetch: 7}
`)
	check := run(t, 0, nil, "config", "check", "-c", conf)
	if out := check.Stderr(); !strings.Contains(out, "warning: ") || !strings.Contains(out, "hoofbeat.yaml:3: rules: ") ||
		!strings.Contains(out, "warning: hoofbeat.yaml:4: queues.prefetch has no effect") || strings.Contains(check.Stdout(), "warning") {
		t.Errorf("config check: %s", out)
	}
	s := serve(t, nil, "-c", conf)
	if !strings.Contains(s.Stderr(), `"level":"WARN","msg":"hoofbeat.yaml:3: rules: `) ||
		strings.Count(s.Stderr(), `"level":"WARN","msg":"hoofbeat.yaml:4: queues.prefetch has no effect`) != 1 {
		t.Errorf("the log does not warn: %s", s.Stderr())
	}
	ann := newWaiter(t, connectAs(t, "ann", s.url, client.Options{Header: bearerHeader(p.token("ann"))}))
	for _, destination := range []string{"/user/ann/topic/authorization", "/user/ann/topic/registration", "/user/ann/topic/session"} {
		bob := connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(p.token("bob"))})
		_ = bob.Send(destination, "text/plain", []byte("forged")) // it may be refused while it is being sent
		closed(t, bob, 4403)
	}
	id := announce(t, s, "payment", `{"owner":{"user":"ann"}}`)
	if ok, _ := ann.register(t, id); !ok {
		t.Error("not registered")
	}
	s.call(t, "POST", "/api/v1/operations/payment/result", `{"result":"DONE"}`, nil)
	if m := receive(t, ann.results); string(m.Body) != result(id, `"DONE"`) {
		t.Errorf("ann is told %s", m.Body)
	}
}

// The backend that announced an operation can see how it stands.
func TestOperationIsShown(t *testing.T) {
	p := newProvider(t)
	s := serve(t, nil, "-c", bearerConfig(t, p))
	type shown struct {
		OperationID  string `json:"operation_id"`
		WebSocketID  string `json:"websocket_id"`
		User         string
		Registered   bool
		Result       string
		Terminal     bool
		Delivered    bool
		Acknowledged bool
	}
	show := func() (got shown) {
		t.Helper()
		if status := s.call(t, "GET", "/api/v1/operations/payment", "", &got); status != 200 {
			t.Fatalf("HTTP %d", status)
		}
		return got
	}
	if status := s.call(t, "GET", "/api/v1/operations/payment", "", nil); status != 404 {
		t.Errorf("before it is announced: HTTP %d", status)
	}
	id := announce(t, s, "payment", `{"owner":{"user":"ann"}}`)
	want := shown{OperationID: "payment", WebSocketID: id, User: "ann"}
	if got := show(); got != want {
		t.Errorf("announced: %+v", got)
	}
	ann := newWaiter(t, connectAs(t, "ann", s.url, client.Options{Header: bearerHeader(p.token("ann"))}))
	if ok, _ := ann.register(t, id); !ok {
		t.Fatal("not registered")
	}
	want.Registered = true
	if got := show(); got != want {
		t.Errorf("registered: %+v", got)
	}
	s.call(t, "POST", "/api/v1/operations/payment/result", `{"result":"DONE"}`, nil)
	receive(t, ann.results)
	want.Result, want.Terminal, want.Delivered = "DONE", true, true
	if got := show(); got != want {
		t.Errorf("decided: %+v", got)
	}
}
