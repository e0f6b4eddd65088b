package webhook

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestCacheForgetsWhatWasNotNeeded(t *testing.T) {
	now := time.Unix(0, 0)
	c := newCache(3)
	key := func(i int) digest { return digest{byte(i)} }
	for i := range 3 {
		c.put(key(i), verdict{decision: allow}, now.Add(time.Hour), now)
	}
	if _, ok := c.get(key(0), now); !ok {
		t.Fatal("0 is gone")
	}
	c.put(key(3), verdict{decision: pass, coverage: auth.All}, now.Add(time.Hour), now)
	for i, want := range []bool{true, false, true, true} {
		if _, ok := c.get(key(i), now); ok != want {
			t.Errorf("%d is remembered: %t, want %t", i, ok, want)
		}
	}
	if v, _ := c.get(key(3), now); v != (verdict{pass, auth.All}) {
		t.Errorf("verdict is %v", v)
	}
	c.put(key(3), verdict{decision: deny}, now.Add(time.Minute), now)
	if v, _ := c.get(key(3), now); v.decision != deny || c.order.Len() != 3 {
		t.Errorf("verdict is %v of %d, want the new one of 3", v, c.order.Len())
	}
	if _, ok := c.get(key(3), now.Add(time.Minute)); ok || c.order.Len() != 2 || len(c.entries) != 2 {
		t.Error("what is over is still there")
	}
	c.put(key(0), verdict{}, now, now)
	if _, ok := c.get(key(0), now); ok {
		t.Error("what is over already was put")
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newHook(t, Options{URL: inMemory, CacheSize: 10, Client: &http.Client{Transport: transport(
		func(*http.Request) (*http.Response, error) { return response(200, `{"allow":true}`), nil })}})
	for i := range 100 {
		if err := w.Authorize(t.Context(), alice, auth.Send, fmt.Sprint("/", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.cache.order.Len(); n != 10 || len(w.cache.entries) != 10 {
		t.Errorf("%d answers are remembered, want 10", n)
	}
}

func remembered(t testing.TB) *Webhook {
	w := newHook(t, Options{URL: inMemory, Client: &http.Client{Transport: transport(
		func(*http.Request) (*http.Response, error) { return response(200, `{"allow":true,"max_age":300}`), nil })}})
	if err := w.Authorize(t.Context(), alice, auth.Send, "/app/chat/room-17"); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRememberedAnswerAllocatesNothing(t *testing.T) {
	w, ctx := remembered(t), context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		if err := w.Authorize(ctx, alice, auth.Send, "/app/chat/room-17"); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkAuthorizeRemembered(b *testing.B) {
	w, ctx := remembered(b), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Authorize(ctx, alice, auth.Send, "/app/chat/room-17"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorizeAsked(b *testing.B) {
	backend := answering(b, 200, `{"allow":true,"max_age":0}`)
	w, ctx := newHook(b, Options{URL: backend.URL}), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Authorize(ctx, alice, auth.Send, "/app/chat/room-17"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAnswer(b *testing.B) {
	body := []byte(`{"allow":true,"user":"alice","roles":["editor"],"expires":1800000000,"credential_id":"key-17"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseAnswer(body); err != nil {
			b.Fatal(err)
		}
	}
}
