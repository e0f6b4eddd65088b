package auth

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// S-10: only its user gets a reminder, and no pattern circumvents that.
func TestS10PatternsDoNotRevealRemindersOfOthers(t *testing.T) {
	r := mustRules(t,
		allow("/topic/reminder/{user}", Subscribe),
		deny("/topic/reminder/**", Subscribe),
		allow("/topic/**", Subscribe),
	)
	alice := &Principal{Name: "alice"}
	for pattern, want := range map[string]Coverage{
		"/topic/**":              Some,
		"/topic/reminder/*":      Some,
		"/topic/*/alice":         All, // her own reminder, and otherwise not a reminder
		"/topic/*/bob":           Some,
		"/topic/r*/bob":          Some,
		"/topic/reminder/b*":     None,
		"/topic/reminder/?":      None,
		"/topic/reminder/alice*": Some,
		"/topic/reminder/**":     Some,
		"/topic/reminder/*/**":   Some,
		"/topic/news/**":         All,
		"/topic/reminders/*":     All,
		"/topic/?eminder/*":      Some,
		"/queue/**":              None,
		"/**":                    Some,
		"/*/reminder/bob":        None,
		"/**/bob":                Some,
		"/topic/*":               Some, // /topic/reminder itself is denied
	} {
		if got := covers(t, r, alice, pattern); got != want {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
	for _, d := range []string{"/topic/reminder", "/topic/reminder/bob", "/topic/reminder/alice/x", "/topic/reminder/**"} {
		if may(t, r, alice, Subscribe, d) {
			t.Errorf("alice may subscribe %s", d)
		}
	}
	if !may(t, r, alice, Subscribe, "/topic/reminder/alice") {
		t.Error("alice may not read her own reminder")
	}
}

func TestCoverageIsExact(t *testing.T) {
	p := &Principal{Name: "u", Roles: []string{"r"}}
	role := func(r Rule) Rule { r.Roles = []string{"other"}; return r }
	for _, c := range []struct {
		rules   []Rule
		pattern string
		want    Coverage
	}{
		{nil, "/**", None},
		{[]Rule{allow("/a", Subscribe)}, "/a/**", Some},
		{[]Rule{allow("/a", Subscribe)}, "/a", All},
		{[]Rule{allow("/a", Send)}, "/a", None},
		{[]Rule{allow("/a/**", Subscribe)}, "/a/**", All},
		{[]Rule{allow("/a/**", Subscribe)}, "/a/**/b/**", All},
		{[]Rule{allow("/a/**", Subscribe)}, "/?/**", Some},
		{[]Rule{allow("/a/*", Subscribe), allow("/a/*/**", Subscribe)}, "/a/**", Some}, // not /a
		{[]Rule{allow("/a", Subscribe), allow("/a/*/**", Subscribe)}, "/a/**", All},    // only both together
		{[]Rule{allow("/a/?", Subscribe), allow("/a/??*", Subscribe)}, "/a/*", All},
		{[]Rule{allow("/a/?", Subscribe), allow("/a/???*", Subscribe)}, "/a/*", Some},
		{[]Rule{allow("/a/**/z", Subscribe)}, "/a/**/z", All},
		{[]Rule{allow("/a/**/z", Subscribe)}, "/a/*/y/**/z", All},
		{[]Rule{allow("/a/**/z", Subscribe)}, "/a/*/y", None},
		{[]Rule{allow("/a/**/z", Subscribe), deny("/a/**", Subscribe)}, "/a/b/*", Some},
		{[]Rule{deny("/a/**", Subscribe), allow("/a/b", Subscribe)}, "/a/?", None}, // shadowed
		{[]Rule{deny("/a/b*", Subscribe), allow("/a/*", Subscribe)}, "/a/b*", None},
		{[]Rule{deny("/a/b*", Subscribe), allow("/a/*", Subscribe)}, "/a/c*", All},
		{[]Rule{role(deny("/a/**", Subscribe)), allow("/a/**", Subscribe)}, "/a/**", All},
		{[]Rule{role(allow("/a/**", Subscribe)), deny("/a/**", Subscribe)}, "/a/**", None},
		{[]Rule{allow("/a/?", Subscribe)}, "/a/é", All}, // a character is a code point
		{[]Rule{allow("/a/é?", Subscribe)}, "/a/é?", All},
		{[]Rule{allow("/a/{x}", Subscribe)}, "/a/{y}", All}, // braces are literal in a SUBSCRIBE
		{[]Rule{allow("/a/{user}", Subscribe)}, "/a/?", Some},
		{[]Rule{allow("/a/**/**/***", Subscribe)}, "/a/**/*", All},
		{[]Rule{deny("/b/a", Subscribe), allow("/**", Subscribe)}, "/b", All}, // the end of ** behind a live rule
		{[]Rule{allow("/b/a", Subscribe), deny("/**", Subscribe)}, "/b", None},
		{[]Rule{allow("/*/**", Subscribe), deny("/user/**", Subscribe)}, "/a*/**", All},
	} {
		for i := range c.rules {
			c.rules[i].AnyUser = true
		}
		if got := covers(t, mustRules(t, c.rules...), p, c.pattern); got != c.want {
			t.Errorf("%v %s: %v, want %v", destinations(c.rules), c.pattern, got, c.want)
		}
	}
}

func destinations(rules []Rule) (s []string) {
	for _, r := range rules {
		s = append(s, fmt.Sprint(r.Effect, " ", r.Destination))
	}
	return s
}

// hostile returns rules and patterns that make naive decisions exponential.
func hostile(t testing.TB) (*Rules, []string) {
	var rules []Rule
	for i := range 12 {
		rules = append(rules, deny("/topic/"+strings.Repeat("**/?*a"+strings.Repeat("?", i)+"/", 3)+"**/x", Subscribe),
			allow("/topic/*a"+strings.Repeat("?", i)+"b*", Subscribe))
	}
	for i := range 1000 {
		rules = append(rules, allow(fmt.Sprintf("/topic/%c%d/{user}", rune(0x4e00+i), i), Subscribe))
	}
	return mustRules(t, rules...), []string{
		"/topic/" + strings.Repeat("*a", 4000),
		"/topic" + strings.Repeat("/**/a", 1600) + "/**",
		"/topic/" + strings.Repeat("?", 8000),
		"/topic" + strings.Repeat("/*", 4000),
		"/topic/**",
		"/**/*b*/**",
	}
}

// When a decision costs too much, the answer is Some, and it comes soon.
func TestHostilePatternsAreDecidedWithinTheBudget(t *testing.T) {
	r, patterns := hostile(t)
	for _, pattern := range patterns {
		start := time.Now()
		got := covers(t, r, &Principal{Name: "alice"}, pattern)
		if d := time.Since(start); d > time.Minute {
			t.Errorf("%.20s… took %v", pattern, d)
		} else {
			t.Logf("%.20s… %v in %v", pattern, got, d)
		}
		if got == All {
			t.Errorf("%.20s… is covered", pattern)
		}
	}
	// Without a budget this one takes 2^30 cases. No destination of it is
	// allowed, but None is not proven.
	deep := mustRules(t, deny("/a/*b"+strings.Repeat("?", 30), Subscribe), allow("/a/*c"+strings.Repeat("?", 30)+"d", Subscribe))
	if got := covers(t, deep, &Principal{}, "/a/*b"+strings.Repeat("?", 30)); got != Some {
		t.Errorf("over the budget: %v", got)
	}
}

// Matching a literal is linear in its length, whatever the rule.
func TestHostileDestinationsAreMatchedInLinearTime(t *testing.T) {
	r := mustRules(t,
		allow("/a/**/b/**/b/**/b/**/b/**/b/**/c", Send),
		allow("/a/*b*b*b*b*b*b*b*b*c", Send),
	)
	start := time.Now()
	for _, d := range []string{"/a" + strings.Repeat("/b", 4000), "/a/" + strings.Repeat("b", 8000)} {
		if may(t, r, &Principal{}, Send, d) || !may(t, r, &Principal{}, Send, d+"/c") && !may(t, r, &Principal{}, Send, d+"c") {
			t.Errorf("%.10s… is matched wrongly", d)
		}
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %v", d)
	}
}

func BenchmarkAuthorizePattern(b *testing.B) {
	p, ctx := &Principal{Name: "alice"}, context.Background()
	reminders := mustRules(b, allow("/topic/reminder/{user}", Subscribe), deny("/topic/reminder/**", Subscribe), allow("/topic/**", Subscribe))
	b.Run("guarded", func(b *testing.B) {
		for b.Loop() {
			_, _ = Guarded().AuthorizePattern(ctx, p, "/topic/**")
		}
	})
	b.Run("reminders", func(b *testing.B) {
		for b.Loop() {
			_, _ = reminders.AuthorizePattern(ctx, p, "/topic/**")
		}
	})
	r, patterns := hostile(b)
	for i, pattern := range patterns {
		b.Run(fmt.Sprint("hostile", i), func(b *testing.B) {
			for b.Loop() {
				_, _ = r.AuthorizePattern(ctx, p, pattern)
			}
		})
	}
}
