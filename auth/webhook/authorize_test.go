package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestAuthorizeAsks(t *testing.T) {
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, `{"allow":%t}`, len(body) > 0 && r.Method == http.MethodPost)
	})
	w := newHook(t, Options{URL: b.URL})
	p := &auth.Principal{Name: "alice", Roles: []string{"editor"}, Scopes: []string{"chat"}, CredentialID: "key-17"}
	if err := w.Authorize(t.Context(), p, auth.Send, "/app/chat"); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"event": "send", "action": "send", "user": "alice", "roles": []any{"editor"}, "scopes": []any{"chat"},
		"credential_id": "key-17", "destination": "/app/chat",
	}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("question is %v, want %v", got, want)
	}
	if err := w.Authorize(t.Context(), &auth.Principal{}, auth.Subscribe, "/topic/a"); err != nil {
		t.Fatal(err)
	}
	want = map[string]any{"event": "subscribe", "action": "subscribe", "destination": "/topic/a"}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("question is %v, want %v", got, want)
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	for name, b := range map[string]*backend{
		"no":  answering(t, 200, `{"allow":false,"reason":"not yours"}`),
		"401": answering(t, 401, ``),
		"403": answering(t, 403, `{"allow":true}`),
	} {
		w := newHook(t, Options{URL: b.URL})
		for range 3 {
			if err := w.Authorize(t.Context(), alice, auth.Send, "/topic/a"); err != auth.ErrDenied {
				t.Errorf("%s: error is %v, want ErrDenied", name, err)
			}
		}
		if n := b.requests.Load(); n != 1 {
			t.Errorf("%s: %d requests, want 1: a no is remembered as well", name, n)
		}
	}
}

func TestAuthorizeWithoutAsking(t *testing.T) {
	b := answering(t, 200, `{"allow":true}`)
	w := newHook(t, Options{URL: b.URL})
	for _, destination := range []string{"", "topic", "/topic/", "/topic//a", "//topic", "/topic/\xff"} {
		if err := w.Authorize(t.Context(), alice, auth.Send, destination); err != auth.ErrDenied {
			t.Errorf("%q: %v", destination, err)
		}
	}
	if err := w.Authorize(t.Context(), nil, auth.Send, "/topic/a"); err != auth.ErrDenied {
		t.Errorf("nobody: %v", err)
	}
	if err := w.Authorize(t.Context(), alice, 77, "/topic/a"); err != auth.ErrDenied {
		t.Errorf("an unknown action: %v", err)
	}
	if n := b.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestPatterns(t *testing.T) {
	for body, want := range map[string]auth.Coverage{
		`{"allow":true}`:                    auth.Some,
		`{"allow":true,"coverage":null}`:    auth.Some,
		`{"allow":true,"coverage":"some"}`:  auth.Some,
		`{"allow":true,"coverage":"all"}`:   auth.All,
		`{"allow":true,"coverage":"none"}`:  auth.None,
		`{"allow":false,"coverage":"all"}`:  auth.None,
		`{"allow":false}`:                   auth.None,
		`{"allow":false,"coverage":"none"}`: auth.None,
	} {
		b := answering(t, 200, body)
		w := newHook(t, Options{URL: b.URL})
		for range 2 { // asked, and remembered
			if got, err := w.AuthorizePattern(t.Context(), alice, "/topic/*"); got != want || err != nil {
				t.Errorf("%s: %v, %v; want %v", body, got, err, want)
			}
		}
		if b.question()["pattern"] != true {
			t.Errorf("the question is %v", b.question())
		}
		// A pattern that is authorized as if it were a destination is allowed
		// only as a whole.
		if err := w.Authorize(t.Context(), alice, auth.Subscribe, "/topic/*"); (err == nil) != (want == auth.All) {
			t.Errorf("%s: Authorize says %v", body, err)
		}
		if n := b.requests.Load(); n != 1 {
			t.Errorf("%s: %d requests, want 1", body, n)
		}
	}
}

// denyPatterns is an Authorizer that cannot judge a pattern as a whole.
type denyPatterns struct{}

func (denyPatterns) Authorize(_ context.Context, _ *auth.Principal, _ auth.Action, d string) error {
	if d == "/topic/open" {
		return nil
	}
	return auth.ErrDenied
}

func TestFallback(t *testing.T) {
	b := answering(t, 200, `{"pass":true}`)
	for name, o := range map[string]Options{
		"what the backend passes on":     {URL: b.URL},
		"what the backend is not asked":  {URL: b.URL, Events: []Event{Connect}},
		"nothing is asked":               {URL: b.URL, Events: []Event{}},
		"remembering is off":             {URL: b.URL, CacheTTL: -1},
		"a backend that is asked always": {URL: b.URL, CacheSize: -1},
	} {
		w := newHook(t, o)
		err := w.Authorize(t.Context(), alice, auth.Send, "/topic/open")
		if !errors.Is(err, auth.ErrDenied) || !errors.Is(err, auth.ErrNotMine) {
			t.Errorf("%s, without a fallback: %v", name, err)
		}
		if c, err := w.AuthorizePattern(t.Context(), alice, "/topic/*"); c != auth.None || !errors.Is(err, auth.ErrNotMine) {
			t.Errorf("%s, without a fallback: %v, %v", name, c, err)
		}

		o.Fallback = denyPatterns{}
		w = newHook(t, o)
		if err := w.Authorize(t.Context(), alice, auth.Send, "/topic/open"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Authorize(t.Context(), alice, auth.Send, "/topic/closed"); err != auth.ErrDenied {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := w.AuthorizePattern(t.Context(), alice, "/topic/*"); c != auth.Some || err != nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}

		o.Fallback = auth.Open()
		if c, err := newHook(t, o).AuthorizePattern(t.Context(), alice, "/topic/*"); c != auth.All || err != nil {
			t.Errorf("%s: the rules' answer is %v, %v", name, c, err)
		}
	}
}

func TestAnswersAreRememberedApart(t *testing.T) {
	b := answering(t, 200, `{"allow":true}`)
	w := newHook(t, Options{URL: b.URL})
	for i, q := range []struct {
		p           *auth.Principal
		act         auth.Action
		destination string
	}{
		{&auth.Principal{}, auth.Send, "/a"},
		{&auth.Principal{}, auth.Subscribe, "/a"},
		{&auth.Principal{Name: "x"}, auth.Send, "/a"},
		{&auth.Principal{Name: "x"}, auth.Send, "/b"},
		{&auth.Principal{Name: "x", CredentialID: "1"}, auth.Send, "/a"},
		{&auth.Principal{CredentialID: "x"}, auth.Send, "/a"},
		{&auth.Principal{Name: "x", Roles: []string{"r"}}, auth.Send, "/a"},
		{&auth.Principal{Name: "x", Scopes: []string{"r"}}, auth.Send, "/a"},
		{&auth.Principal{Name: "x", Roles: []string{"r", "s"}}, auth.Send, "/a"},
		{&auth.Principal{Name: "x", Roles: []string{"rs"}}, auth.Send, "/a"},
	} {
		for range 2 {
			same := *q.p // another session of the same user
			if err := w.Authorize(t.Context(), &same, q.act, q.destination); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.requests.Load(); n != int64(i+1) {
			t.Errorf("%v %v %s: %d requests, want %d", q.p, q.act, q.destination, n, i+1)
		}
	}
}

func TestMaxAge(t *testing.T) {
	for name, tt := range map[string]struct {
		ttl  time.Duration
		body string
		want time.Duration
	}{
		"the default":          {0, `{"allow":true}`, DefaultCacheTTL},
		"the option":           {3 * time.Second, `{"allow":false}`, 3 * time.Second},
		"the backend's":        {0, `{"allow":true,"max_age":60}`, time.Minute},
		"the backend's, short": {0, `{"allow":true,"max_age":0.5}`, 500 * time.Millisecond},
		"the cap":              {0, `{"allow":true,"max_age":1e300}`, MaxAge},
		"not at all":           {0, `{"allow":true,"max_age":0}`, 0},
		"off":                  {-1, `{"allow":true,"max_age":60}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				w := newHook(t, Options{URL: inMemory, CacheTTL: tt.ttl, Client: &http.Client{Transport: transport(
					func(*http.Request) (*http.Response, error) {
						asked++
						return response(200, tt.body), nil
					})}})
				ask := func() int {
					before := asked
					_ = w.Authorize(t.Context(), alice, auth.Send, "/a")
					return asked - before
				}
				if ask() != 1 {
					t.Fatal("the first question was not put")
				}
				if tt.want > 0 {
					advance(tt.want - 1)
					if ask() != 0 {
						t.Errorf("asked again before %v", tt.want)
					}
					advance(1)
				}
				if ask() != 1 {
					t.Errorf("not asked again after %v", tt.want)
				}
			})
		})
	}
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		var asked atomic.Int64
		w := newHook(t, Options{URL: inMemory, Client: &http.Client{Transport: transport(
			func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				<-let
				return response(200, `{"allow":true,"max_age":0}`), nil
			})}})

		// The first leaves, and must not spoil it for the others.
		ctx, leave := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- w.Authorize(ctx, alice, auth.Subscribe, "/topic/a") }()
		synctest.Wait()
		leave()
		if err := <-first; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left: %v", err)
		}

		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := w.Authorize(t.Context(), alice, auth.Subscribe, "/topic/a"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("%d requests for 100 who ask the same, want 1", n)
		}
		close(let)
		all.Wait()
		if len(w.pending) != 0 {
			t.Errorf("%d questions are still pending", len(w.pending))
		}
		if err := w.Authorize(t.Context(), alice, auth.Subscribe, "/topic/a"); err != nil || asked.Load() != 2 {
			t.Errorf("the next one: %v, %d requests; want a question of its own", err, asked.Load())
		}
	})
}

// The backend sees what it allows; what it passes on needs an explicit
// permission of the fallback.
func TestExplicitPermission(t *testing.T) {
	const destination, prefix = "/topic/presence/topic/a", "/topic/presence"
	for name, c := range map[string]struct {
		answer string
		o      Options
		want   bool
	}{
		"allowed":                         {`{"allow":true}`, Options{Fallback: auth.Guarded()}, true},
		"denied":                          {`{"allow":false}`, Options{Fallback: auth.Open()}, false},
		"passed to rules for all topics":  {`{"pass":true}`, Options{Fallback: auth.Guarded()}, false},
		"passed to rules that name it":    {`{"pass":true}`, Options{Fallback: auth.Open()}, true},
		"not asked, rules for all topics": {`{"allow":true}`, Options{Events: []Event{Connect}, Fallback: auth.Guarded()}, false},
		"passed to code that denies":      {`{"pass":true}`, Options{Fallback: denyPatterns{}}, false},
		"passed to nobody":                {`{"pass":true}`, Options{}, false},
	} {
		c.o.URL = answering(t, 200, c.answer).URL
		if got := newHook(t, c.o).AuthorizeExplicit(t.Context(), alice, auth.Subscribe, destination, prefix) == nil; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	c := Options{URL: answering(t, 200, `{"allow":true,"coverage":"some"}`).URL}
	if err := newHook(t, c).AuthorizeExplicit(t.Context(), alice, auth.Subscribe, prefix+"/**", prefix); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("a pattern of which the backend allows some: %v", err)
	}
}
