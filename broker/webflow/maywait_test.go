package webflow_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Only the owner of an operation may get a ticket for it.
func TestMayWait(t *testing.T) {
	_, f := start(t, webflow.Options{Registration: webflow.Open})
	for id, owner := range map[string]webflow.Owner{"hers": {User: "ann"}, "ticket": {}, "anyone": {Anyone: true}} {
		if _, err := f.Open(t.Context(), webflow.Operation{ID: id, Owner: owner}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Notify(t.Context(), "unannounced", "FAILED"); err != nil {
		t.Fatal(err)
	}
	ann, bob := &auth.Principal{Name: "ann"}, &auth.Principal{Name: "bob"}
	for _, c := range []struct {
		id   string
		p    *auth.Principal
		want bool
	}{
		{"hers", ann, true},
		{"hers", bob, false},
		{"hers", &auth.Principal{}, false},
		{"hers", nil, false},
		{"ticket", ann, false},
		{"ticket", &auth.Principal{}, false},
		{"anyone", ann, false},
		{"unannounced", ann, false},
		{"none", ann, false},
		{"", ann, false},
		{"hers\x00", ann, false},
	} {
		if got, err := f.MayWait(t.Context(), c.p, c.id); got != c.want || err != nil {
			t.Errorf("%q, %+v: %v, %v", c.id, c.p, got, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got, err := f.MayWait(t.Context(), ann, "hers"); got || err != webflow.ErrClosed {
		t.Errorf("after Close: %v, %v", got, err)
	}
}
