package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// FuzzRules checks that no rule, pattern or destination causes a panic, that
// matches follow the definition, and that coverages do not contradict it.
func FuzzRules(f *testing.F) {
	f.Add("/topic/{user}", "/topic/*", "/topic/a", "a", "b")
	f.Add("/**/a/**/*b?c*", "/a/**/b", "/x/a/b/abxc", "alice", "/%")
	f.Add("/user/{claim.c}/**", "/user/?%2F*/**", "/user/a%2F%25/queue", "u", "a/%")
	f.Add("/a//b", "//", "/", "\n", "\xff")
	f.Add("/t/é?", "/t/??", "/t/éx", "é", "")
	f.Fuzz(func(t *testing.T, rule, wildcards, path, name, claim string) {
		// The naive matcher is exponential.
		if len(rule) > 40 || len(wildcards) > 40 || len(path) > 40 {
			return
		}
		// A subscription below /user has two names, and a user's name one
		// spelling: alias_test.go.
		if strings.HasPrefix(path, "/user/") || strings.Contains(rule, "%2f") {
			return
		}
		who := &Principal{Name: name, Claims: map[string]any{"c": claim}}
		r, err := NewRules(Rule{Effect: Allow, Actions: []Action{Subscribe, Send}, Destination: rule, AnyUser: true})
		if err != nil {
			return
		}
		allowed := may(t, r, who, Send, path)
		if want := pattern.WellFormed(path) && naiveMatch(who, rule, path, true); allowed != want {
			t.Fatalf("%q allows %q to send to %q: %v", rule, name, path, allowed)
		}
		start := time.Now()
		coverage := covers(t, r, who, wildcards)
		if d := time.Since(start); d > time.Minute {
			t.Fatalf("took %v", d)
		}
		if pattern.WellFormed(wildcards) && pattern.WellFormed(path) && naiveMatch(nil, wildcards, path, false) {
			if coverage == All && !allowed || coverage == None && allowed {
				t.Fatalf("%q by %q: %v, but %q is %v", wildcards, rule, coverage, path, allowed)
			}
		}
		if may(t, r, who, Subscribe, path) && !allowed {
			t.Fatalf("may subscribe to %q as a pattern, but not send", path)
		}
	})
}
