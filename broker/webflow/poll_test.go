package webflow_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// poll makes a request as the user named in a header, or with a token.
func poll(h http.Handler, id, login, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/operations/"+url.PathEscape(id)+"/result", nil)
	if login != "" {
		r.Header.Set("X-User", login)
	}
	if token != "" {
		r.Header.Set("Poll-Token", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(f *webflow.Flow) http.Handler {
	return f.Handler(func(r *http.Request) *auth.Principal {
		if name := r.Header.Get("X-User"); name != "" {
			return &auth.Principal{Name: name}
		}
		return nil
	})
}

func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, body)
	}
	if cc, ct := w.Header().Get("Cache-Control"), w.Header().Get("Content-Type"); cc != "no-store" || ct != "application/json" {
		t.Errorf("Cache-Control %q, Content-Type %q", cc, ct)
	}
}

const (
	notFound  = `{"error":"not_found"}`
	stillWait = `{"webSocketId":"ws-op","authResult":null}`
	confirmed = `{"webSocketId":"ws-op","authResult":"CONFIRMED"}`
)

func TestPoll(t *testing.T) { // W+11
	b, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", user("alice"))
	h := handler(f)
	wantAnswer(t, poll(h, "ws-op", "alice", ""), 200, stillWait)
	wantAnswer(t, poll(h, "ws-op", "bob", ""), 404, notFound)
	wantAnswer(t, poll(h, "ws-op", "", ""), 404, notFound)
	wantAnswer(t, poll(h, "ws-op", "", "AAAAAAAAAAAAAAAAAAAAAA"), 404, notFound) // no token yet, not a zero one
	wantAnswer(t, poll(h, "unknown", "alice", ""), 404, notFound)
	wantAnswer(t, poll(h, "../a/b%", "alice", ""), 404, notFound)

	c := page(t, b, "alice", "client")
	c.register("ws-op")
	token := want(t, c, accepted("ws-op"))[0].Get("poll-token")
	if len(token) != 22 {
		t.Errorf("the token is %q", token)
	}
	notify(t, f, "op", "CONFIRMED", true)
	wantAnswer(t, poll(h, "ws-op", "", token), 200, confirmed)
	wantAnswer(t, poll(h, "ws-op", "bob", token), 200, confirmed) // the token is enough
	wantAnswer(t, poll(h, "ws-op", "alice", ""), 200, confirmed)
	wantAnswer(t, poll(h, "ws-op", "bob", token[:21]), 404, notFound)
	wantAnswer(t, poll(h, "ws-op", "bob", "A"+token), 404, notFound)
	wantAnswer(t, poll(h, "unknown", "", token), 404, notFound)
	// Polling does not use up the page's result.
	c.Close()
	c = page(t, b, "alice", "client")
	c.register("ws-op")
	next := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[0].Get("poll-token")
	wantAnswer(t, poll(h, "ws-op", "", token), 404, notFound) // an old token
	wantAnswer(t, poll(h, "ws-op", "", next), 200, confirmed)

	r := httptest.NewRequest("POST", "/operations/ws-op/result", nil)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	wantAnswer(t, poll(f.Handler(nil), "ws-op", "alice", ""), 404, notFound)
	wantAnswer(t, poll(f.Handler(nil), "ws-op", "alice", next), 200, confirmed)
}

func TestPollOfAnOpenOperation(t *testing.T) {
	b, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", anyone)
	h := handler(f)
	wantAnswer(t, poll(h, "ws-op", "bob", ""), 200, stillWait) // bob may also register it
	wantAnswer(t, poll(h, "ws-op", "", ""), 404, notFound)
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	wantAnswer(t, poll(h, "ws-op", "bob", ""), 404, notFound)
	wantAnswer(t, poll(h, "ws-op", "alice", ""), 200, stillWait)
}

func TestPollOfATicketScope(t *testing.T) {
	_, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", webflow.Owner{})
	for scope, want := range map[string]error{"operation:op": nil, "operation:other": webflow.ErrUnknown, "": webflow.ErrUnknown} {
		if _, err := f.Result(t.Context(), "ws-op", webflow.Caller{Principal: &auth.Principal{Name: "visitor", Scopes: []string{scope}}}); err != want {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
	if _, err := f.Result(t.Context(), "ws-op", webflow.Caller{}); err != webflow.ErrUnknown {
		t.Errorf("nobody: %v", err)
	}
}

func TestPollState(t *testing.T) {
	_, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", user("alice"))
	alice := webflow.Caller{Principal: &auth.Principal{Name: "alice"}}
	for _, want := range []webflow.State{{"ws-op", "", false}, {"ws-op", "AUTH_FAILED", false}, {"ws-op", "DONE", true}} {
		if want.Result != "" {
			notify(t, f, "op", want.Result, false)
		}
		if got, err := f.Result(t.Context(), "ws-op", alice); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestPollRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := start(t, webflow.Options{})
		open(t, f, "op", user("alice"))
		h := handler(f)
		wantAnswer(t, poll(h, "ws-op", "alice", ""), 200, stillWait)
		w := poll(h, "ws-op", "alice", "")
		wantAnswer(t, w, 429, `{"error":"too_many_requests"}`)
		if w.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
		}
		wantAnswer(t, poll(h, "ws-op", "bob", ""), 404, notFound) // and bob learns nothing about it
		time.Sleep(99 * time.Millisecond)
		wantAnswer(t, poll(h, "ws-op", "alice", ""), 429, `{"error":"too_many_requests"}`)
		time.Sleep(time.Millisecond)
		wantAnswer(t, poll(h, "ws-op", "alice", ""), 200, stillWait)
	})
}
