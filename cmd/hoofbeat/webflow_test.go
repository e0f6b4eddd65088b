//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// waiter is a client that waits for operations.
type waiter struct {
	conn                  *client.Conn
	registration, results *stomp.Subscription
}

func newWaiter(t *testing.T, conn *client.Conn) *waiter {
	t.Helper()
	p := &waiter{conn: conn}
	for destination, sub := range map[string]**stomp.Subscription{
		"/user/topic/registration": &p.registration, "/user/topic/authorization": &p.results,
	} {
		var err error
		if *sub, err = conn.Subscribe(destination, stomp.AckAuto); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// register returns whether the page may wait, and its poll token.
func (p *waiter) register(t *testing.T, webSocketID string) (ok bool, token string) {
	t.Helper()
	if err := p.conn.Send("/app/registration", "application/json", []byte(`{"webSocketId":"`+webSocketID+`"}`)); err != nil {
		t.Fatal(err)
	}
	m := receive(t, p.registration)
	var answer struct{ RegistrationSucceeded bool }
	if err := json.Unmarshal(m.Body, &answer); err != nil {
		t.Fatalf("%v in %s", err, m.Body)
	}
	return answer.RegistrationSucceeded, m.Header.Get("poll-token")
}

func receive(t *testing.T, sub *stomp.Subscription) *stomp.Message {
	t.Helper()
	select {
	case m := <-sub.C:
		if m == nil || m.Err != nil {
			t.Fatalf("the subscription has ended: %+v", m)
		}
		return m
	case <-time.After(time.Minute):
		t.Fatal("nothing comes")
	}
	return nil
}

func result(webSocketID, text string) string {
	return `{"webSocketId":"` + webSocketID + `","authResult":` + text + `}`
}

// poll asks for the result as a page without a WebSocket does.
func poll(t *testing.T, s *server, webSocketID string, header http.Header) (int, string) {
	t.Helper()
	return send(t, http.DefaultClient, "GET", s.web()+"/operations/"+webSocketID+"/result", header, "")
}

// In development mode nothing has to be announced.
func TestWebFlowInDevelopmentMode(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_WEBFLOW_GRACE=off"})
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := newWaiter(t, conn)
	id := webflow.WebSocketID("login-1")
	ok, token := p.register(t, id)
	if !ok || token == "" {
		t.Fatalf("registration %v, poll token %q", ok, token)
	}
	if status, body := poll(t, s, id, http.Header{"Poll-Token": {token}}); status != 200 || body != result(id, "null") {
		t.Errorf("poll: HTTP %d %s", status, body)
	}
	if status, body := poll(t, s, id, nil); status != 404 {
		t.Errorf("poll of nobody: HTTP %d %s", status, body)
	}
	if out := run(t, 0, env, "notify", "login-1", "CONFIRMED").Stdout(); out != "delivered\n" {
		t.Errorf("notify prints %q", out)
	}
	if m := receive(t, p.results); string(m.Body) != result(id, `"CONFIRMED"`) {
		t.Errorf("the page is told %s", m.Body)
	}
	// The result of a page that has yet to come waits for it.
	if out := run(t, 0, env, "notify", "login/2", "CANCELED").Stdout(); out != "held\n" {
		t.Errorf("notify prints %q", out)
	}
	id = webflow.WebSocketID("login/2")
	if ok, _ := p.register(t, id); !ok {
		t.Error("not registered")
	}
	if m := receive(t, p.results); string(m.Body) != result(id, `"CANCELED"`) {
		t.Errorf("the page is told %s", m.Body)
	}
	run(t, 1, env, "notify", "login-1", "FAILED") // decided
	// Who leaves before there is a result has abandoned the operation.
	if ok, _ := p.register(t, webflow.WebSocketID("login-3")); !ok {
		t.Error("not registered")
	}
	conn.Abort()
	s.Logged(t, "operation abandoned", 1)
	run(t, 1, env, "notify", "login-1", "PERHAPS")
	run(t, 2, env, "notify", "login-1")
	run(t, 3, []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=wrong"}, "notify", "login-1", "CONFIRMED")
}

// With users, only the owner of what was announced may wait.
func TestWebFlowAnnounced(t *testing.T) {
	file := write(t, "users.yaml", user(t, "ann", "one")+user(t, "bob", "one"))
	key := write(t, "hmac.key", "0123456789abcdef0123456789abcdef\n")
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_WEBFLOW_HMAC_KEY_FILE=" + key})
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	run(t, 1, env, "notify", "payment", "DONE") // nobody has announced it

	var opened struct {
		OperationID string `json:"operation_id"`
		WebSocketID string `json:"websocket_id"`
	}
	if status := s.call(t, "PUT", "/api/v1/operations/payment", `{"owner":{"user":"ann"}}`, &opened); status != http.StatusCreated || opened.OperationID != "payment" {
		t.Fatalf("HTTP %d, %+v", status, opened)
	}
	if len(opened.WebSocketID) != 64 {
		t.Errorf("webSocketId %s is not derived with the key", opened.WebSocketID)
	}
	ann := newWaiter(t, connectAs(t, "ann", s.url, client.Options{Login: "ann", Passcode: "one"}))
	bob := newWaiter(t, connectAs(t, "bob", s.url, client.Options{Login: "bob", Passcode: "one"}))
	if ok, _ := bob.register(t, opened.WebSocketID); ok {
		t.Error("bob may wait for what is ann's")
	}
	if ok, _ := ann.register(t, webflow.WebSocketID("other")); ok {
		t.Error("ann may wait for what nobody has announced")
	}
	if ok, _ := ann.register(t, opened.WebSocketID); !ok {
		t.Error("ann may not wait for what is hers")
	}
	var answer struct{ Delivered bool }
	if status := s.call(t, "POST", "/api/v1/operations/payment/result", `{"result":"DONE"}`, &answer); status != http.StatusOK || !answer.Delivered {
		t.Errorf("HTTP %d, %+v", status, answer)
	}
	if m := receive(t, ann.results); string(m.Body) != result(opened.WebSocketID, `"DONE"`) {
		t.Errorf("ann is told %s", m.Body)
	}
}

// A poll is answered to who owns the operation by a bearer token or a login session.
func TestWebFlowPoll(t *testing.T) {
	p := newProvider(t)
	d := newDoor(t)
	conf := write(t, "hoofbeat.yaml", `
auth:
  jwt: [{issuer: "`+p.URL+`", audience: hoofbeat}]
  oauth: [{name: example, issuer: "`+p.URL+`", client_id: broker, client_secret: oauth-secret, scopes: [openid], redirect_url: "http://`+d.address+`/oauth/callback"}]
`)
	s := d.leadTo(serve(t, nil, "-c", conf))
	ids := make(map[string]string)
	for operation, owner := range map[string]string{"by-token": "ann", "by-cookie": "ann", "revoked": "ann", "bobs": "bob"} {
		var opened struct {
			WebSocketID string `json:"websocket_id"`
		}
		if status := s.call(t, "PUT", "/api/v1/operations/"+operation, `{"owner":{"user":"`+owner+`"}}`, &opened); status != http.StatusCreated {
			t.Fatalf("HTTP %d", status)
		}
		ids[operation] = opened.WebSocketID
	}
	token := bearerHeader(p.token("ann"))
	_, page := login(t, s)
	for operation, header := range map[string]http.Header{"by-token": token, "by-cookie": page} {
		if status, body := poll(t, s, ids[operation], header); status != 200 || body != result(ids[operation], "null") {
			t.Errorf("%s: HTTP %d %s", operation, status, body)
		}
	}
	for name, header := range map[string]http.Header{"nobody": nil, "a wrong token": bearerHeader("wrong")} {
		if status, _ := poll(t, s, ids["revoked"], header); status != 404 {
			t.Errorf("%s: HTTP %d", name, status)
		}
	}
	if status, _ := poll(t, s, ids["bobs"], token); status != 404 {
		t.Errorf("ann polls for what is bob's: HTTP %d", status)
	}
	if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, nil); status/100 != 2 {
		t.Fatalf("revocation: HTTP %d", status)
	}
	for name, header := range map[string]http.Header{"token": token, "cookie": page} {
		if status, _ := poll(t, s, ids["revoked"], header); status != 404 {
			t.Errorf("the revoked %s: HTTP %d", name, status)
		}
	}
}

// A page that is bound to an operation by its ticket, and can open no WebSocket,
// exchanges the ticket once for a token to poll with.
func TestWebFlowPollWithATicket(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true"})
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	var opened struct {
		WebSocketID string `json:"websocket_id"`
	}
	if status := s.call(t, "PUT", "/api/v1/operations/payment", `{}`, &opened); status != http.StatusCreated {
		t.Fatalf("HTTP %d", status)
	}
	mint := func(operation string) string {
		t.Helper()
		var ticket struct{ Ticket string }
		if status := s.call(t, "POST", "/api/v1/tickets", `{"user":"visitor","operation":"`+operation+`"}`, &ticket); status != http.StatusCreated {
			t.Fatalf("HTTP %d", status)
		}
		return ticket.Ticket
	}
	exchange := func(ticket string) (int, string) {
		return send(t, http.DefaultClient, "POST", s.web()+"/operations/"+opened.WebSocketID+"/poll-token",
			http.Header{"Authorization": {"Ticket " + ticket}}, "")
	}
	ticket := mint("payment")
	status, body := exchange(ticket)
	var got struct{ PollToken string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.PollToken == "" {
		t.Fatalf("HTTP %d %s", status, body)
	}
	if status, body := exchange(ticket); status != 401 || body != `{"error":"invalid_ticket"}` {
		t.Errorf("a spent ticket: HTTP %d %s", status, body)
	}
	s.Logged(t, "a ticket to poll with was not taken", 1)
	if status, _ := exchange(mint("other")); status != 404 {
		t.Errorf("the ticket of another operation: HTTP %d", status)
	}
	run(t, 0, env, "notify", "payment", "CONFIRMED")
	if status, body := poll(t, s, opened.WebSocketID, http.Header{"Poll-Token": {got.PollToken}}); status != 200 || body != result(opened.WebSocketID, `"CONFIRMED"`) {
		t.Errorf("poll: HTTP %d %s", status, body)
	}
}

// The results are the operator's: his own are carried, in their meaning, and those of
// the default that he has left out are refused by name.
func TestWebFlowResults(t *testing.T) {
	conf := write(t, "hoofbeat.yaml", "webflow: {results: [PAIRED, SCANNED, EXPIRED], interim: [SCANNED], expired_result: EXPIRED}\n")
	s := serve(t, nil, "-c", conf)
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := newWaiter(t, conn)
	id := webflow.WebSocketID("pairing")
	if ok, _ := p.register(t, id); !ok {
		t.Fatal("not registered")
	}
	report := func(result string) (int, string) {
		t.Helper()
		return send(t, http.DefaultClient, "POST", s.admin+"/api/v1/operations/pairing/result",
			http.Header{"Authorization": {"Bearer " + s.token(t)}, "Content-Type": {"application/json"}}, `{"result":"`+result+`"}`)
	}
	for _, old := range []string{"CONFIRMED", "CONTINUE", "paired"} {
		status, body := report(old)
		if status != 400 || !strings.Contains(body, "want one of PAIRED, SCANNED, EXPIRED (webflow.results)") {
			t.Errorf("%s: HTTP %d %s", old, status, body)
		}
	}
	for _, told := range []string{"SCANNED", "PAIRED"} {
		if status, body := report(told); status != 200 {
			t.Errorf("%s: HTTP %d %s", told, status, body)
		}
		if m := receive(t, p.results); string(m.Body) != result(id, `"`+told+`"`) {
			t.Errorf("the page is told %s", m.Body)
		}
	}
	if status, body := report("SCANNED"); status != 409 {
		t.Errorf("after the last result: HTTP %d %s", status, body)
	}
	if out := run(t, 0, env, "notify", "pairing-2", "PAIRED").Stdout(); out != "held\n" {
		t.Errorf("notify prints %q", out)
	}
	// What ends without a result is told the configured one.
	id = webflow.WebSocketID("pairing-3")
	for ttl, waits := 1, false; !waits; ttl *= 4 { // on a busy machine it may end before the page has come
		if status := s.call(t, "PUT", "/api/v1/operations/pairing-3", fmt.Sprintf(`{"owner":{"anyone":true},"ttl":%d}`, ttl), nil); status != http.StatusCreated {
			t.Fatalf("HTTP %d", status)
		}
		if waits, _ = p.register(t, id); !waits && ttl > 60 {
			t.Fatal("not registered")
		}
	}
	if m := receive(t, p.results); string(m.Body) != result(id, `"EXPIRED"`) {
		t.Errorf("the page is told %s", m.Body)
	}
}
