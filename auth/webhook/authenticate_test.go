package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestAuthenticateAllows(t *testing.T) {
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	body, err := json.Marshal(map[string]any{
		"allow": true, "user": "alice", "roles": []string{"editor", "admin"}, "scopes": []string{"chat"},
		"claims": map[string]any{"tenant": "blue", "level": 3}, "expires": expires.Unix(), "issued": 1700000000,
		"credential_id": "key-17", "reason": nil, "something_new": []int{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := answering(t, http.StatusOK, string(body))
	p, err := newHook(t, Options{URL: b.URL}).Authenticate(t.Context(), connect("alice", "wonderland"))
	if err != nil {
		t.Fatal(err)
	}
	want := &auth.Principal{
		Method: "webhook", Name: "alice", Roles: []string{"editor", "admin"}, Scopes: []string{"chat"},
		Claims:  map[string]any{"tenant": "blue", "level": 3.0},
		Expires: expires, Issued: time.Unix(1700000000, 0), CredentialID: "webhook:key-17", Passcode: true,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("principal is %+v, want %+v", p, want)
	}
}

// Only a login with a passcode, for the user of that name, counts as proved by
// the passcode: the backend may have used the token or the cookie instead.
func TestPasscodeIsWhatLetIn(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true,"user":"alice"}`)
	w := newHook(t, Options{URL: b.URL, UserPrefix: "app:", Events: []Event{Handshake, Connect}})
	handshake := func(login string) *auth.Attempt {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(login, "p")
		a := connect("", "")
		a.Stage, a.Handshake, a.Header = auth.StageHandshake, &auth.Handshake{Header: r.Header}, r.Header.Get
		return a
	}
	bearer := connect("alice", "p")
	bearer.Bearer = "token"
	for name, tc := range map[string]struct {
		a    *auth.Attempt
		want bool
	}{
		"CONNECT":                {connect("alice", "p"), true},
		"CONNECT of another":     {connect("bob", "p"), false},
		"CONNECT with a token":   {bearer, false},
		"CONNECT with no login":  {connect("", ""), false},
		"handshake":              {handshake("alice"), true},
		"handshake with another": {handshake("bob"), false},
	} {
		if p, err := w.Authenticate(t.Context(), tc.a); err != nil || p.Name != "app:alice" || p.Passcode != tc.want {
			t.Errorf("%s: %+v, %v, want Passcode %v", name, p, err, tc.want)
		}
	}
}

func TestQuestionOfConnect(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true}`)
	w := newHook(t, Options{URL: b.URL + "/hook?key=of-the-operator", FrameHeaders: []string{"tenant", "absent", "binary"}})
	a := connect("alice", "wonder<land>")
	a.Host = "example.com"
	a.Bearer = "the.token"
	a.Header = func(name string) string {
		return map[string]string{"tenant": "blue", "other": "no", "binary": "\xff"}[name]
	}
	a.Handshake = &auth.Handshake{Header: http.Header{
		"Cookie": {"a=1", "b=2"}, "Origin": {"https://example.com"}, "X-Other": {"no"}, "User-Agent": {"\xff"},
	}}
	p, err := w.Authenticate(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Anonymous() {
		t.Errorf("an answer without a user made %q", p.Name)
	}
	want := map[string]any{
		"event": "connect", "session": "session-1", "remote": "203.0.113.7:50122", "host": "example.com",
		"login": "alice", "passcode": "wonder<land>", "bearer": "the.token",
		"headers": map[string]any{"cookie": "a=1; b=2", "origin": "https://example.com"},
		"frame":   map[string]any{"tenant": "blue"},
	}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("question is %v, want %v", got, want)
	}
	h := b.lastHeader()
	if h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "hoofbeat" {
		t.Errorf("headers are %v", h)
	}
	for name, values := range h {
		if text := strings.Join(values, " "); strings.Contains(text, "the.token") || strings.Contains(text, "land") {
			t.Errorf("a credential is in the header %s", name)
		}
	}
	if _, there := h["Idempotency-Key"]; there {
		t.Error("Idempotency-Key was sent")
	}
}

func TestQuestionOfHandshake(t *testing.T) {
	b := answering(t, http.StatusOK, `{"pass":true}`)
	w := newHook(t, Options{URL: b.URL, Events: []Event{Handshake}, Headers: []string{"X-App"}, FrameHeaders: []string{"tenant"}})
	h := http.Header{"X-App": {"v1", "v2"}, "Cookie": {"no"}}
	_, err := w.Authenticate(t.Context(), &auth.Attempt{
		Stage: auth.StageHandshake, Bearer: "b", Header: func(string) string { return "of the request" },
		Handshake: &auth.Handshake{Header: h},
	})
	if !errors.Is(err, auth.ErrNotMine) {
		t.Errorf("error is %v, want ErrNotMine", err)
	}
	want := map[string]any{"event": "handshake", "bearer": "b", "headers": map[string]any{"x-app": "v1, v2"}}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("question is %v, want %v", got, want)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	const constant = "authentication failed"
	for name, tt := range map[string]struct {
		status     int
		body       string
		bearer     string
		wantStatus int
		wantReason string
		challenge  string
	}{
		"with a reason":         {200, `{"allow":false,"reason":"this account is closed"}`, "", 401, "this account is closed", "Bearer"},
		"with a long reason":    {200, `{"allow":false,"reason":"` + strings.Repeat("x", 257) + `"}`, "", 401, constant, "Bearer"},
		"with two lines":        {200, `{"allow":false,"reason":"a\nb:c"}`, "", 401, constant, "Bearer"},
		"with a line separator": {200, `{"allow":false,"reason":"a\u2028b"}`, "", 401, constant, "Bearer"},
		"without a reason":      {200, `{"allow":false}`, "", 401, constant, "Bearer"},
		"A-23: a wrong bearer":  {200, `{"allow":false}`, "b", 401, constant, `Bearer error="invalid_token"`},
		"401":                   {401, `{"allow":true,"user":"alice"}`, "b", 401, constant, `Bearer error="invalid_token"`},
		"A-23: 403":             {403, `forbidden`, "b", 403, constant, `Bearer error="insufficient_scope"`},
		"403 without a bearer":  {403, ``, "", 403, constant, ""},
		"a name with LF":        {200, `{"allow":true,"user":"al\nrole:admin"}`, "", 401, constant, ""},
		"a name with NUL":       {200, `{"allow":true,"user":"al\u0000"}`, "", 401, constant, ""},
		"a name of spaces":      {200, `{"allow":true,"user":"  "}`, "", 401, constant, ""},
		"half a surrogate":      {200, `{"allow":true,"user":"al\ud800"}`, "", 401, constant, ""},
		"a long name":           {200, `{"allow":true,"user":"` + strings.Repeat("x", 1025) + `"}`, "", 401, constant, ""},
		"expired":               {200, `{"allow":true,"user":"alice","expires":1700000000}`, "", 401, constant, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := answering(t, tt.status, tt.body)
			w := newHook(t, Options{URL: b.URL})
			for range failuresToOpen + 1 { // none of these opens the circuit
				a := connect("alice", "x")
				a.Bearer = tt.bearer
				p, err := w.Authenticate(t.Context(), a)
				r := refusalOf(t, err)
				if p != nil || r.StatusCode() != tt.wantStatus || r.Error() != tt.wantReason || r.Challenge != tt.challenge {
					t.Fatalf("principal %v, refusal %+v", p, r)
				}
			}
			if n := b.requests.Load(); n != failuresToOpen+1 {
				t.Errorf("%d requests, want every one of %d: an answer to connect is not remembered", n, failuresToOpen+1)
			}
		})
	}
}

func TestAuthenticateIsNotAsked(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true,"user":"mallory"}`)
	w := newHook(t, Options{URL: b.URL})
	ticket, known, handshake := connect("alice", "x"), connect("alice", "x"), connect("", "")
	ticket.Ticket = "t"
	known.Principal = alice
	handshake.Stage = auth.StageHandshake
	for name, a := range map[string]*auth.Attempt{
		"a ticket is the broker's":               ticket,
		"the handshake has settled who it is":    known,
		"the handshake is not one of the events": handshake,
		"a stage that is not known":              {Stage: 77},
	} {
		if p, err := w.Authenticate(t.Context(), a); p != nil || !errors.Is(err, auth.ErrNotMine) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	other := connect("bob", "x")
	other.Principal = alice
	if _, err := w.Authenticate(t.Context(), other); refusalOf(t, err) == nil {
		t.Error("a login exchanged the user of the handshake")
	}
	broken := connect("alice", "\xff")
	if _, err := w.Authenticate(t.Context(), broken); refusalOf(t, err) == nil {
		t.Error("a passcode that JSON cannot carry was sent")
	}
	if n := b.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestAuthenticatePasses(t *testing.T) {
	for _, body := range []string{`{"pass":true}`, `{"allow":null}`, `{"allow":null,"pass":true}`, `{"allow":null,"pass":null,"user":null}`} {
		b := answering(t, http.StatusOK, body)
		chain := auth.Chain(newHook(t, Options{URL: b.URL}), auth.Anonymous)
		if p, err := chain.Authenticate(t.Context(), connect("", "")); err != nil || !p.Anonymous() {
			t.Errorf("%s: %v, %v; want the next in the chain to decide", body, p, err)
		}
	}
}

func TestRenew(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true,"user":"alice","expires":4000000000}`)
	w := newHook(t, Options{URL: b.URL})
	renew := func(p *auth.Principal) (*auth.Principal, error) {
		return w.Authenticate(t.Context(), &auth.Attempt{
			Stage: auth.StageRenew, Session: "s", Principal: p, Bearer: "new", Header: func(string) string { return "" },
		})
	}
	p, err := renew(&auth.Principal{Name: "alice", Roles: []string{"editor"}, Scopes: []string{"chat"}, CredentialID: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "alice" || p.Expires.Unix() != 4000000000 || p.CredentialID != "sha256:11507a0e2f5e69d5dfa40a62a1bd7b6e" {
		t.Errorf("principal is %+v", p)
	}
	want := map[string]any{
		"event": "renew", "session": "s", "bearer": "new", "user": "alice",
		"roles": []any{"editor"}, "scopes": []any{"chat"}, "credential_id": "old",
	}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("question is %v, want %v", got, want)
	}
	for _, other := range []*auth.Principal{{Name: "bob"}, {}, nil} {
		p, err := renew(other)
		if refusalOf(t, err); p != nil {
			t.Errorf("the session of %v was renewed as %v", other, p)
		}
	}
}

func TestAuthenticateGivesUpWithItsContext(t *testing.T) {
	let := make(chan struct{})
	release := sync.OnceFunc(func() { close(let) })
	defer release()
	b := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		testkit.Hold(t, let)
		_, _ = w.Write([]byte(`{"allow":true}`))
	})
	w := newHook(t, Options{URL: b.URL, Timeout: time.Minute})
	for range 2 * failuresToOpen {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		before := b.requests.Load()
		go func() {
			_, err := w.Authenticate(ctx, connect("alice", "x"))
			done <- err
		}()
		eventually(t, "the question arrived", func() bool { return b.requests.Load() > before })
		cancel()
		if err := testkit.Receive(t, done); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("error is %v", err)
		}
	}
	release()
	// Clients that leave are no failures of the backend's.
	if _, err := w.Authenticate(t.Context(), connect("alice", "x")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The backend's names for users and credentials cannot be those of another
// source.
func TestUserPrefix(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true,"user":"alice","credential_id":"backend:main"}`)
	w := newHook(t, Options{URL: b.URL, UserPrefix: "app:"})
	p, err := w.Authenticate(t.Context(), connect("alice", "wonderland"))
	if err != nil || p.Name != "app:alice" || p.CredentialID != "webhook:backend:main" || p.CredentialID != CredentialID("backend:main") {
		t.Fatalf("%+v, %v", p, err)
	}
	p, err = w.Authenticate(t.Context(), &auth.Attempt{
		Stage: auth.StageRenew, Session: "s", Principal: p, Bearer: "new", Header: func(string) string { return "" },
	})
	if err != nil || p.Name != "app:alice" || b.question()["user"] != "app:alice" {
		t.Errorf("renewed: %+v, %v, question %v", p, err, b.question())
	}
	if got := w.NameSpaces(); len(got) != 1 || got[0].Prefix != "app:" {
		t.Errorf("%+v", got)
	}
	only := newHook(t, Options{URL: b.URL, Events: []Event{Subscribe, Send, Renew}})
	if got := only.NameSpaces(); got != nil {
		t.Errorf("a backend that names nobody has names: %+v", got)
	}
	for answer, want := range map[string]string{`{"allow":true}`: "", `{"allow":true,"user":""}`: ""} {
		b := answering(t, http.StatusOK, answer)
		p, err := newHook(t, Options{URL: b.URL, UserPrefix: "app:"}).Authenticate(t.Context(), connect("", ""))
		if err != nil || p.Name != want {
			t.Errorf("%s: %+v, %v", answer, p, err)
		}
	}
}
