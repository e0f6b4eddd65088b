package webhook

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestMayWait(t *testing.T) {
	bob := &auth.Principal{Name: "bob", Roles: []string{"r"}, Scopes: []string{"s"}, CredentialID: "c"}
	for _, c := range []struct {
		status int
		body   string
		want   bool
		down   bool
	}{
		{200, `{"allow":true}`, true, false},
		{200, `{"allow":false}`, false, false},
		{200, `{"pass":true}`, false, false},
		{200, `{"allow":null}`, false, false},
		{403, ``, false, false},
		{200, `{}`, false, true},
		{500, `{"allow":true}`, false, true},
	} {
		b := answering(t, c.status, c.body)
		w := newHook(t, Options{URL: b.URL, Events: []Event{Wait}})
		ok, err := w.MayWait(t.Context(), bob, "op/1")
		if ok != c.want || errors.Is(err, ErrUnavailable) != c.down {
			t.Errorf("%d %s: %v, %v", c.status, c.body, ok, err)
		}
		want := map[string]any{
			"event": "wait", "user": "bob", "operation": "op/1", "roles": []any{"r"}, "scopes": []any{"s"}, "credential_id": "c",
		}
		if got := b.question(); !reflect.DeepEqual(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
	}
}

// The wait question is asked only if it is configured, because a backend that
// does not know it might allow it.
func TestMayWaitIsAskedOnlyIfConfigured(t *testing.T) {
	b := answering(t, http.StatusOK, `{"allow":true}`)
	w := newHook(t, Options{URL: b.URL})
	if ok, err := w.MayWait(t.Context(), &auth.Principal{Name: "bob"}, "op"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	all := newHook(t, Options{URL: b.URL, Events: []Event{Wait}})
	for name, p := range map[string]*auth.Principal{"\xff": {Name: "bob"}, "op": nil} {
		if ok, err := all.MayWait(t.Context(), p, name); ok || err != nil {
			t.Errorf("%q: %v, %v", name, ok, err)
		}
	}
	if n := b.requests.Load(); n != 0 {
		t.Errorf("the backend was asked %d times", n)
	}
}

// The backend cannot grant the roles and scopes with a meaning to Hoofbeat, or
// a time of issue that escapes revocations.
func TestAnswersAreForeign(t *testing.T) {
	b := answering(t, http.StatusOK,
		`{"allow":true,"user":"bob","roles":["backend","editor"],"scopes":["operation:x","chat"],"issued":253402300799}`)
	before := time.Now()
	p, err := newHook(t, Options{URL: b.URL}).Authenticate(t.Context(), connect("bob", "p"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.Roles, []string{"editor"}) || !reflect.DeepEqual(p.Scopes, []string{"chat"}) {
		t.Errorf("roles %q, scopes %q", p.Roles, p.Scopes)
	}
	if p.Issued.Before(before) || p.Issued.After(time.Now()) {
		t.Errorf("issued %v", p.Issued)
	}
}
