package app

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// SockJS requires 404 for paths that the mux would redirect.
func TestEmptySegmentsAreNotFound(t *testing.T) {
	a, err := New(Options{Config: configtest.Load(t, quiet)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for path, want := range map[string]int{
		"/ws//": 404, "/ws///": 404, "/ws//a/xhr": 404, "/ws/000//xhr": 404, "/ws/a/b//xhr": 404, "/ws/info//": 404,
		"/ws": 200, "/ws/": 200, "/ws/info": 200, "/livez": 200, "//livez": 307,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://127.0.0.1:8080/", nil)
		r.URL.Path = path
		a.publicHandler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s answered %d, want %d", path, w.Code, want)
		}
	}
}

// A page of an allowed origin can read that no tickets are available, and why.
func TestNoTicketsIsReadByPages(t *testing.T) {
	a, err := New(Options{Config: configtest.Load(t, quiet)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	const page = "http://localhost:5173"
	for _, x := range []struct {
		method, origin  string
		status          int
		allowed, within string
	}{
		{"OPTIONS", page, 204, page, ""}, {"POST", page, 404, page, "auth.users.file"}, {"POST", "", 404, "", "auth.users.file"},
		{"POST", "https://evil.example", 403, "", "websocket.origins"},
	} {
		r := httptest.NewRequest(x.method, "http://localhost/ws_ticket", nil)
		if x.origin != "" {
			r.Header.Set("Origin", x.origin)
		}
		w := httptest.NewRecorder()
		a.publicHandler().ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != x.status || got != x.allowed || !strings.Contains(w.Body.String(), x.within) {
			t.Errorf("%s from %q: HTTP %d, allowed %q, %s", x.method, x.origin, w.Code, got, w.Body)
		}
	}
}
