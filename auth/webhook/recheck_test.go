package webhook

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// The backend is asked again about accepted clients, without a credential.
func TestRecheck(t *testing.T) {
	var says atomic.Pointer[string]
	answer := func(s string) { says.Store(&s) }
	b := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if *says.Load() == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, *says.Load()) // the broker may have hung up
	})
	answer(`{"allow":true,"user":"alice","roles":["editor"],"credential_id":"key-17"}`)
	w := newHook(t, Options{URL: b.URL, Recheck: time.Minute, UserPrefix: "app:"})
	a := connect("alice", "wonderland")
	p, err := w.Authenticate(t.Context(), a)
	if err != nil || p.Recheck == nil || p.Recheck.Every != time.Minute || p.Recheck.Grace != auth.DefaultRecheckGrace || time.Since(p.Recheck.Asked) > time.Minute {
		t.Fatalf("%+v, %v", p, err)
	}
	for text, want := range map[string]string{
		`{"allow":true}`: "good", `{"pass":true}`: "good", `{"allow":false,"reason":"closed"}`: "withdrawn", "": "nobody can tell", `{"x":1}`: "nobody can tell",
	} {
		answer(text)
		err := p.Recheck.Check(t.Context(), 0)
		got := "nobody can tell"
		if err == nil {
			got = "good"
		} else if auth.Withdrawn(err) {
			got = "withdrawn"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", text, got, err, want)
		}
	}
	want := map[string]any{
		"event": "recheck", "session": a.Session, "user": "app:alice", "roles": []any{"editor"}, "credential_id": "webhook:key-17",
	}
	if a.Remote.IsValid() {
		want["remote"] = a.Remote.String()
	}
	if got := b.question(); !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	answer(`{"allow":true,"user":"alice"}`)
	if p, err := newHook(t, Options{URL: b.URL}).Authenticate(t.Context(), a); err != nil || p.Recheck != nil {
		t.Errorf("not asked for: %+v, %v", p, err)
	}
	if _, err := New(Options{URL: b.URL, Recheck: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "Recheck") {
		t.Error(err)
	}
}
