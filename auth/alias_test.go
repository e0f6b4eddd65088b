package auth

import (
	"errors"
	"strings"
	"testing"
)

// A subscription to a user's own destination gets the same answer under both
// names.
func TestOwnNamesAreOne(t *testing.T) {
	ann := &Principal{Name: "a/n%n"}
	for _, r := range []*Rules{
		mustRules(t, deny("/user/{user}/queue/x", Subscribe), allow("/user/queue/**", Subscribe)),
		mustRules(t, deny("/user/queue/x", Subscribe), allow("/user/{user}/**", Subscribe)),
		mustRules(t, allow("/user/{user}/queue/y", Subscribe), deny("/user/queue/**", Subscribe)),
		mustRules(t, allow("/user/queue/y", Subscribe), deny("/user/*/queue/**", Subscribe)),
	} {
		for name, want := range map[string]bool{
			"/user/queue/x": false, "/user/a%2Fn%25n/queue/x": false, "/user/queue/y": true, "/user/a%2Fn%25n/queue/y": true,
			"/user/bob/queue/y": false, "/user/bob/queue/x": false,
		} {
			if got := may(t, r, ann, Subscribe, name); got != want {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	// To send to one's own name is to send to all one's sessions, and not to a
	// handler.
	r := mustRules(t, allow("/user/{user}/queue/x", Send))
	if may(t, r, ann, Send, "/user/queue/x") || !may(t, r, ann, Send, "/user/a%2Fn%25n/queue/x") {
		t.Error("the two names of a subscription are one for SEND")
	}
}

// A session's own destinations that are neither topics nor queues are allowed
// to everyone, and can be denied by either name.
func TestOwnDestinationsOfAnyName(t *testing.T) {
	for name, r := range map[string]*Rules{"open": Open(), "guarded": Guarded()} {
		for _, p := range []*Principal{{}, {Name: "ann"}} {
			for destination, want := range map[string]bool{
				"/user/events": true, "/user/feed/news": true, "/user/bob/queue/x": false, "/user/bob/topic": false,
			} {
				if got := may(t, r, p, Subscribe, destination); got != want {
					t.Errorf("%s: %q subscribes to %s: %v", name, p.Name, destination, got)
				}
			}
			if may(t, r, p, Send, "/user/events") || may(t, r, p, Send, "/user/feed/news") {
				t.Errorf("%s: %q may send there", name, p.Name)
			}
		}
	}
	for _, destination := range []string{"/user/events", "/user/{user}/events", "/user/*"} {
		r, err := Open().Prepend(deny(destination, Subscribe))
		if err != nil {
			t.Fatal(err)
		}
		if may(t, r, &Principal{Name: "ann"}, Subscribe, "/user/events") || !may(t, r, &Principal{Name: "ann"}, Subscribe, "/user/feed/news") {
			t.Errorf("deny %s does not hold, or for too much", destination)
		}
	}
}

// A user's name in a rule is written as in destinations; otherwise the rule is
// an error.
func TestUserNamesInRules(t *testing.T) {
	p := &Principal{}
	for rule, destination := range map[string]string{
		"/user/a%2fb/x": "/user/a%2Fb/x", "/user/a%2F*/x": "/user/a%2Fb/x", "/user/*%2f?/x": "/user/a%2Fb/x",
		"/user/100%25/x": "/user/100%25/x", "/user/100%*/x": "/user/100%25/x", "/{any}/a%2fb/x": "/user/a%2Fb/x",
	} {
		r := mustRules(t, Rule{Effect: Allow, Actions: []Action{Send}, Destination: rule, AnyUser: true})
		if !may(t, r, p, Send, destination) {
			t.Errorf("%s does not match %s", rule, destination)
		}
	}
	for _, rule := range []string{"/user/a%41/x", "/user/100%/x", "/user/%2/x", "/user/%0a*/x"} {
		_, err := NewRules(deny(rule, Send))
		var e *RuleError
		if !errors.As(err, &e) || !strings.Contains(e.Problem, "%2F") {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
