package ticket

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestT5PlusBindOrigin(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	h := mustHandler(t, tickets, HandlerOptions{Bearer: bearers, BindOrigin: true, Origins: []string{app}})
	for _, c := range []struct{ asked, used, want string }{
		{app, app, "alice"}, {app, ours, "bound to another origin"}, {app, "", "bound to another origin"},
		{ours, ours, "alice"}, {"", ours, "alice"}, {"", "", "alice"},
	} {
		headers := []string{"Authorization: Bearer alice"}
		if c.asked != "" {
			headers = append(headers, "Origin: "+c.asked)
		}
		ticket, _ := reply(t, ask(h, "POST", "/t", "", headers...))
		if got := consumed(t, tickets, ticket, c.used); got != c.want {
			t.Errorf("%q used by %q: %s", c.asked, c.used, got)
		}
	}
}

func TestHandlerNamesTheBadOrigin(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	for _, origin := range []string{"", "app.example.com", app + "/", "https://*", "https://*.", "https://a.*.com", "https://*a.com"} {
		if _, err := tickets.Handler(HandlerOptions{Origins: []string{app, origin}}); err == nil || !strings.Contains(err.Error(), "Origins") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for _, anybody := range []string{"*", "null", "file://"} {
		if _, err := tickets.Handler(HandlerOptions{Origins: []string{app, anybody}, Session: sessions}); err == nil || !strings.Contains(err.Error(), anybody) {
			t.Errorf("%s: any page may use its visitors' cookies: %v", anybody, err)
		}
	}
}

// The answer names a rejected origin, and OnForeignOrigin is called.
func TestHandlerSaysWhoseOriginIsForeign(t *testing.T) {
	told := ""
	h := mustHandler(t, mustTickets(t, newState(), Options{}), HandlerOptions{
		Bearer: bearers, Origins: []string{"null"}, BindOrigin: true,
		OnForeignOrigin: func(r *http.Request) { told = r.Header.Get("Origin") },
	})
	w := ask(h, "POST", "/t", "", "Authorization: Bearer alice", "Origin: "+evil)
	want := `{"error":"origin not allowed","origin":"` + evil + `","key":"websocket.origins"}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 403 || got != want || told != evil {
		t.Errorf("HTTP %d %s, told of %q", w.Code, got, told)
	}
	w = ask(h, "POST", "/t", "", "Authorization: Bearer alice", "Origin: null")
	if w.Code != 403 || !strings.Contains(w.Body.String(), "auth.tickets.bind_origin") {
		t.Errorf("a ticket bound to null: HTTP %d %s", w.Code, w.Body)
	}
	long := "https://" + strings.Repeat("x", 300) + "\xff"
	if got := auth.ForeignOrigin(&http.Request{Header: http.Header{"Origin": {long}}}).Origin; got != long[:200]+"…" {
		t.Errorf("shown as %q", got)
	}
	if got := auth.ForeignOrigin(&http.Request{Header: http.Header{"Origin": {"a\x01b\xffc\u202e"}}}).Origin; got != "a\ufffdb\ufffdc\ufffd" {
		t.Errorf("shown as %q", got)
	}
}

func TestPreflight(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	for _, c := range []struct {
		o           HandlerOptions
		origin      string
		status      int
		allowed     string
		credentials string
	}{
		{HandlerOptions{Bearer: bearers, Origins: []string{app}}, app, 204, app, ""},
		{HandlerOptions{Session: sessions, Origins: []string{app}}, app, 204, app, "true"},
		{HandlerOptions{Bearer: bearers, Origins: []string{"*"}}, evil, 204, evil, ""},
		{HandlerOptions{Bearer: bearers, Origins: []string{"http://localhost:*"}}, "http://localhost:5173", 204, "http://localhost:5173", ""},
		{HandlerOptions{Bearer: bearers, Origins: []string{"null"}}, "null", 204, "null", ""},
		{HandlerOptions{Bearer: bearers, Origins: []string{"capacitor://localhost"}}, "capacitor://localhost", 204, "capacitor://localhost", ""},
		{HandlerOptions{Bearer: bearers, Origins: []string{app}}, evil, 403, "", ""},
		{HandlerOptions{Bearer: bearers}, app, 403, "", ""},
	} {
		w := ask(mustHandler(t, tickets, c.o), "OPTIONS", "/t", "", "Origin: "+c.origin,
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
		get := w.Header().Get
		if w.Code != c.status || get("Access-Control-Allow-Origin") != c.allowed || get("Access-Control-Allow-Credentials") != c.credentials ||
			c.status == 204 && (get("Access-Control-Allow-Headers") != "Authorization, Content-Type" || get("Access-Control-Allow-Methods") != "GET, POST") {
			t.Errorf("%s: %d %v", c.origin, w.Code, w.Header())
		}
	}
}

func TestTicketRequestsOverTLS(t *testing.T) {
	h := mustHandler(t, mustTickets(t, newState(), Options{}), HandlerOptions{Session: sessions})
	for origin, want := range map[string]int{ours: 200, "http://" + host: 403} {
		r := httptest.NewRequest("POST", "/ws_ticket", nil)
		r.Host, r.TLS = host, new(tls.ConnectionState)
		r.Header.Set("Cookie", "session=alice")
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d", origin, w.Code)
		}
	}
}
