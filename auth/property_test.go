package auth

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// words are all destinations of at most six characters over a small alphabet,
// in which z represents all other characters.
var words = func() (all []string) {
	var grow func(string)
	grow = func(w string) {
		if pattern.WellFormed(w) {
			all = append(all, w)
		}
		if len(w) == 6 {
			return
		}
		for _, c := range "abz/" {
			if c != '/' || w == "" || w[len(w)-1] != '/' {
				grow(w + string(c))
			}
		}
	}
	grow("/")
	return all
}()

var people = []*Principal{
	{},
	{Name: "a", Roles: []string{"r"}, Claims: map[string]any{"c": "b"}},
	{Name: "ab"},
	{Name: "z", Roles: []string{"s"}, Claims: map[string]any{"c": "ab"}},
}

func genDestination(variables bool) *rapid.Generator[string] {
	segments := []string{"a", "b", "ab", "*", "**", "?", "a*", "*b", "?a", "a?", "*a*", "??", "b*?"}
	if variables {
		segments = append(segments, "{user}", "{claim.c}", "{x}")
	}
	return rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(segments), 1, 4).Draw(t, "segments"), "/")
	})
}

var genRule = rapid.Custom(func(t *rapid.T) Rule {
	return Rule{
		Effect:      rapid.SampledFrom([]Effect{Allow, Deny}).Draw(t, "effect"),
		Actions:     rapid.SampledFrom([][]Action{{Subscribe}, {Send}, {Subscribe, Send}}).Draw(t, "actions"),
		Destination: genDestination(true).Draw(t, "destination"),
		Roles:       rapid.SampledFrom([][]string{nil, nil, {"r"}, {"r", "s"}}).Draw(t, "roles"),
		AnyUser:     true,
	}
})

// All means that every destination of the pattern is allowed, None that none
// is, and Authorize follows the definition.
func TestPropertyCoverageIsSound(t *testing.T) {
	var count [3]int
	sound := func(t rapid.TB, list []Rule, who *Principal, patterns []string) {
		r, err := NewRules(list...)
		if err != nil {
			t.Fatal(err)
		}
		allowed := make([]bool, len(words))
		for i, w := range words {
			allowed[i] = r.Authorize(context.Background(), who, Subscribe, w) == nil
			if allowed[i] != naiveAllowed(list, who, Subscribe, w) {
				t.Fatalf("%s: allowed is %v", w, allowed[i])
			}
		}
		for _, pattern := range patterns {
			coverage, err := r.AuthorizePattern(context.Background(), who, pattern)
			if err != nil {
				t.Fatal(err)
			}
			count[coverage]++
			for i, w := range words {
				if (coverage == All && !allowed[i] || coverage == None && allowed[i]) && naiveMatch(nil, pattern, w, false) {
					t.Fatalf("%s: %v, but %s: allowed is %v", pattern, coverage, w, allowed[i])
				}
			}
		}
	}
	// One of each by hand, because chance need not meet them all.
	half := []Rule{{Effect: Allow, Actions: []Action{Subscribe}, Destination: "/a/*", AnyUser: true}}
	sound(t, half, people[1], []string{"/a/*", "/b/*", "/**"})
	if count != [3]int{1, 1, 1} {
		t.Fatalf("the coverages of /a/*, /b/* and /** by /a/* are %v of None, Some and All, want one each", count)
	}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(genRule, 0, 6).Draw(t, "rules")
		who := rapid.SampledFrom(people).Draw(t, "who")
		sound(t, list, who, rapid.SliceOfN(genDestination(false), 20, 20).Draw(t, "patterns"))
	})
}

// Some is not overused: where short destinations decide, it is the answer only
// if both kinds exist.
func TestPropertySomeMeansBoth(t *testing.T) {
	segments := rapid.SampledFrom([]string{"a", "b", "*", "?", "{user}"})
	destination := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(segments, 1, 2).Draw(t, "segments"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
			r := genRule.Draw(t, "rule")
			r.Destination = destination.Draw(t, "destination")
			return r
		}), 1, 5).Draw(t, "rules")
		r, err := NewRules(list...)
		if err != nil {
			t.Fatal(err)
		}
		who := rapid.SampledFrom(people).Draw(t, "who")
		pattern := strings.ReplaceAll(destination.Draw(t, "pattern"), "{user}", "a?")
		coverage, err := r.AuthorizePattern(t.Context(), who, pattern)
		if err != nil || coverage != Some {
			return
		}
		var allowed, denied bool
		for _, w := range words {
			if naiveMatch(nil, pattern, w, false) {
				ok := naiveAllowed(list, who, Subscribe, w)
				allowed, denied = allowed || ok, denied || !ok
			}
		}
		if !allowed || !denied {
			t.Fatalf("Some, but allowed %v and denied %v", allowed, denied)
		}
	})
}
