//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// announced returns the webSocketId of an operation that has just been announced
// for whoever has a ticket for it.
func announced(t *testing.T, s *server, operation string) string {
	t.Helper()
	var opened struct {
		WebSocketID string `json:"websocket_id"`
	}
	if status := s.call(t, "PUT", "/api/v1/operations/"+operation, `{}`, &opened); status != http.StatusCreated {
		t.Fatalf("HTTP %d", status)
	}
	return opened.WebSocketID
}

// A reload of websocket.origins reaches the pages that poll.
func TestReloadChangesWhoMayPoll(t *testing.T) {
	conf := write(t, "hoofbeat.yaml", "")
	say := func(origin string) {
		t.Helper()
		text := "auth: {tickets: {enabled: true}}\nwebsocket: {origins: [\"" + origin + "\"]}\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const old, next = "https://old.example.com", "https://new.example.com"
	say(old)
	s := serve(t, nil, "-c", conf)
	id := announced(t, s, "payment")
	host := strings.TrimPrefix(s.web(), "http://")
	ask := func(method, path, origin string) (int, string) {
		t.Helper()
		return pretend(t, method, s.web()+"/operations/"+id+path, host, origin, "Access-Control-Request-Method", "GET")
	}
	check := func(when, in, out string) {
		t.Helper()
		for path, method := range map[string]string{"/result": "GET", "/poll-token": "POST"} {
			for origin, want := range map[string][2]int{in: {204, 404}, out: {403, 403}, "": {405, 404}, s.web(): {204, 404}} {
				preflight, body := ask("OPTIONS", path, origin)
				status, _ := ask(method, path, origin)
				if preflight != want[0] || status != want[1] {
					t.Errorf("%s: %s of %q: HTTP %d %s, then %d, want %v", when, path, origin, preflight, body, status, want)
				}
			}
		}
		_, body := ask("GET", "/result", out)
		if body != `{"error":"origin not allowed","origin":"`+out+`","key":"websocket.origins"}`+"\n" {
			t.Errorf("%s: answered %s", when, body)
		}
	}
	check("before the reload", old, next)
	if record := s.Logged(t, "origin not allowed", 1); record["origin"] != next || record["key"] != "websocket.origins" {
		t.Errorf("logged %v", record)
	}
	say(next)
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reloaded", 1)
	check("after the reload", next, old)
}

// A page of another port, which has a ticket and opens no socket, waits for a result
// by the snippet of the documentation.
func TestChromiumPagePollsWithATicket(t *testing.T) {
	chromium := needs(t, "chromium", "apt-get install chromium")
	snippet := block(t, "webflow.md", "js", 1)
	if !strings.Contains(snippet, "https://broker.example.com") {
		t.Fatalf("the address of the broker is not in\n%s", snippet)
	}
	var address atomic.Value // of the broker, which starts after the pages
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><script>"+strings.ReplaceAll(snippet, "https://broker.example.com", address.Load().(string))+"</script>") // the browser may be gone
	})
	home, foreign := site(t, pages), site(t, pages)
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_WEBSOCKET_ORIGINS=" + home})
	address.Store(s.web())
	id := announced(t, s, "payment")
	mint := func() string {
		t.Helper()
		var ticket struct{ Ticket string }
		if status := s.call(t, "POST", "/api/v1/tickets", `{"user":"visitor","operation":"payment"}`, &ticket); status != http.StatusCreated {
			t.Fatalf("HTTP %d", status)
		}
		return ticket.Ticket
	}
	clients(t, "polling.mjs", map[string]any{
		"chromium": chromium, "home": home, "foreign": foreign, "admin": s.admin, "token": s.token(t), "id": id,
		"ticket": mint(), "other": mint(),
	})
	if n := s.stats(t).Sessions; n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	if record := s.Logged(t, "origin not allowed", 1); record["origin"] != foreign {
		t.Errorf("logged %v", record)
	}
	status, body := poll(t, s, id, nil)
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 404 || answer.Error != "not_found" {
		t.Errorf("nobody polls: HTTP %d %s", status, body)
	}
}
