package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestFirstMatchWinsNoMatchDenies(t *testing.T) {
	r := mustRules(t,
		deny("/topic/secret", Subscribe, Send),
		Rule{Effect: Deny, Actions: []Action{Send}, Destination: "/topic/**", Roles: []string{"guest", "reader"}},
		allow("/topic/**", Subscribe, Send),
		deny("/topic/late", Subscribe),
	)
	writer, guest := &Principal{Name: "w"}, &Principal{Name: "g", Roles: []string{"guest"}}
	for _, c := range []struct {
		p           *Principal
		act         Action
		destination string
		want        bool
	}{
		{writer, Subscribe, "/topic/secret", false},
		{writer, Send, "/topic/a", true},
		{guest, Send, "/topic/a", false},
		{guest, Subscribe, "/topic/a", true},
		{writer, Subscribe, "/topic/late", true},
		{writer, Subscribe, "/topic", true},
		{writer, Subscribe, "/topics", false},
		{writer, Subscribe, "/queue/a", false},
		{nil, Subscribe, "/topic/a", false},
		{writer, 0, "/topic/a", false},
		{writer, 3, "/topic/a", false},
		{writer, 255, "/topic/a", false},
	} {
		if got := may(t, r, c.p, c.act, c.destination); got != c.want {
			t.Errorf("%v may %v %s = %v", c.p, c.act, c.destination, got)
		}
	}
	if may(t, &Rules{}, writer, Send, "/topic/a") {
		t.Error("no rules allow something")
	}
}

// No spelling of a destination evades a Deny rule.
func TestMalformedDestinationsAreDenied(t *testing.T) {
	r := mustRules(t, Rule{Effect: Allow, Actions: []Action{Subscribe, Send}, Destination: "/**", AnyUser: true})
	p := &Principal{Name: "alice"}
	for _, d := range []string{"", "/", "//", "topic/a", "/topic//a", "/topic/a/", "//topic/a", "/topic/\xff", "/topic/**/"} {
		if may(t, r, p, Subscribe, d) || may(t, r, p, Send, d) || covers(t, r, p, d) != None {
			t.Errorf("%q is allowed", d)
		}
	}
}

func TestRuleConditions(t *testing.T) {
	rule := func(mend func(*Rule)) Rule {
		r := allow("/topic/x", Send)
		mend(&r)
		return r
	}
	anonymous := &Principal{Roles: []string{"b"}}
	alice := &Principal{
		Name: "alice", Roles: []string{"a", "b"}, Scopes: []string{"stomp:send"},
		Claims: map[string]any{"tenant": "t1", "groups": []any{"g1", "g2"}, "verified": true, "level": 3.0},
	}
	for _, c := range []struct {
		name             string
		rule             Rule
		alice, anonymous bool
	}{
		{"none", rule(func(*Rule) {}), true, true},
		{"any role", rule(func(r *Rule) { r.Roles = []string{"z", "b"} }), true, true},
		{"no role", rule(func(r *Rule) { r.Roles = []string{"z"} }), false, false},
		{"any scope", rule(func(r *Rule) { r.Scopes = []string{"z", "stomp:send"} }), true, false},
		{"authenticated", rule(func(r *Rule) { r.Authenticated = true }), true, false},
		{"all claims", rule(func(r *Rule) {
			r.Claims = map[string]string{"tenant": "t1", "groups": "g2", "verified": "true", "level": "3"}
		}), true, false},
		{"one claim differs", rule(func(r *Rule) { r.Claims = map[string]string{"tenant": "t1", "groups": "g3"} }), false, false},
		{"claim missing", rule(func(r *Rule) { r.Claims = map[string]string{"none": ""} }), false, false},
		{"role and claim", rule(func(r *Rule) { r.Roles, r.Claims = []string{"z"}, map[string]string{"tenant": "t1"} }), false, false},
	} {
		r := mustRules(t, c.rule)
		if got := may(t, r, alice, Send, "/topic/x"); got != c.alice {
			t.Errorf("%s: alice may = %v", c.name, got)
		}
		if got := may(t, r, anonymous, Send, "/topic/x"); got != c.anonymous {
			t.Errorf("%s: anonymous may = %v", c.name, got)
		}
	}
}

func TestVariables(t *testing.T) {
	r := mustRules(t,
		allow("/topic/reminder/{user}", Subscribe),
		allow("/topic/{claim.tenant}/{any}/news", Subscribe),
		allow("/topic/org/{claim.org.id}", Subscribe),
	)
	p := &Principal{Name: "a/b%c", Claims: map[string]any{"tenant": "t/1", "org.id": 42.0, "empty": ""}}
	for d, want := range map[string]bool{
		"/topic/reminder/a%2Fb%25c":    true,
		"/topic/reminder/a%2fb%25c":    false,
		"/topic/reminder/a/b%c":        false,
		"/topic/reminder/a%2Fb%25":     false,
		"/topic/reminder/a%2Fb%25cc":   false,
		"/topic/reminder/{user}":       false,
		"/topic/t%2F1/x/news":          true,
		"/topic/t%2F1/x/y/news":        false,
		"/topic/{claim.tenant}/x/news": false,
		"/topic/org/42":                true,
		"/topic/org/43":                false,
	} {
		if got := may(t, r, p, Subscribe, d); got != want {
			t.Errorf("%s: %v", d, got)
		}
		if got := covers(t, r, p, d); (got == All) != want || (got == None) == want {
			t.Errorf("%s: coverage %v", d, got)
		}
	}
	// Nobody's name is no name: an anonymous client has no reminders, whatever
	// it asks for.
	for _, d := range []string{"/topic/reminder/{user}", "/topic/reminder/%20", "/topic/reminder", "/topic/{claim.tenant}/x/news"} {
		if may(t, r, &Principal{}, Subscribe, d) || covers(t, r, &Principal{}, d) != None {
			t.Errorf("anonymous may subscribe %s", d)
		}
	}
	if c := covers(t, r, &Principal{}, "/topic/**"); c != None {
		t.Errorf("anonymous covers %v", c)
	}
	// A name with wildcards in it is a name, not a pattern.
	star := &Principal{Name: "*"}
	if may(t, r, star, Subscribe, "/topic/reminder/bob") || covers(t, r, star, "/topic/reminder/*") != Some {
		t.Error("a user called * reads everybody's reminders")
	}
}

func TestSubscribeToAPatternNeedsAll(t *testing.T) {
	r := mustRules(t, deny("/topic/b", Subscribe), allow("/topic/**", Subscribe, Send))
	p := &Principal{}
	if may(t, r, p, Subscribe, "/topic/?") || !may(t, r, p, Subscribe, "/topic/??") {
		t.Error("Authorize reads a pattern as a name")
	}
	if !may(t, r, p, Send, "/topic/?") {
		t.Error("SEND knows no patterns")
	}
}

func TestRuleProblems(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{"", "must begin with /"}, {"topic", "must begin with /"}, {"/", "must begin with /"},
		{"/a//b", "must begin with /"}, {"/a/", "must begin with /"}, {"/\xff", "must begin with /"},
		{"/a/x{user}", "whole segment"}, {"/a/{user", "whole segment"}, {"/a/user}", "whole segment"},
		{"/a/{}", "whole segment"}, {"/a/{x:[a-z]+}", "whole segment"}, {"/a/{{x}}", "whole segment"}, {"/a/{*}", "whole segment"},
		{"/a/{user_id}", "unknown variable"}, {"/a/{User}", "unknown variable"}, {"/a/{username}", "unknown variable"},
		{"/a/{claim}", "unknown variable"}, {"/a/{claim.}", "unknown variable"}, {"/a/{claims.x}", "unknown variable"},
		{"/user/**", "other users"}, {"/user/*/queue/x", "other users"}, {"/user/{name}/**", "other users"},
		{"/**", "other users"}, {"/**/x", "other users"}, {"/*/**", "other users"}, {"/*/*/x", "other users"},
		{"/us?r/**", "other users"}, {"/{x}/bob", "other users"}, {"/user/a*/**", "other users"}, {"/user/?opic/**", "other users"},
		{"/{user}/**", "other users"}, {"/{claim.x}/*", "other users"},
	} {
		ok := allow("/topic/x", Send)
		_, err := NewRules(ok, allow(c.rule, Subscribe))
		var e *RuleError
		if !errors.As(err, &e) || e.Index != 1 || e.Destination != c.rule || !strings.Contains(e.Problem, c.want) ||
			strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q: %v", c.rule, err)
		}
		if c.want != "other users" {
			continue
		}
		if _, err := NewRules(deny(c.rule, Subscribe)); err != nil {
			t.Errorf("deny %q: %v", c.rule, err)
		}
		meant := allow(c.rule, Subscribe)
		meant.AnyUser = true
		if _, err := NewRules(meant); err != nil {
			t.Errorf("any user %q: %v", c.rule, err)
		}
	}
	for _, r := range []Rule{
		{Actions: []Action{Send}, Destination: "/a"},
		{Effect: 3, Actions: []Action{Send}, Destination: "/a"},
		{Effect: Allow, Destination: "/a"},
		{Effect: Allow, Actions: []Action{0}, Destination: "/a"},
		{Effect: Allow, Actions: []Action{Send, 3}, Destination: "/a"},
	} {
		if _, err := NewRules(r); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	for _, d := range []string{
		"/user/topic/**", "/user/queue/*", "/user/{user}/**", "/user/{claim.sub}/**", "/user/alice/**", "/user",
		"/topic/**", "/users/*", "/*", "/t*/**", "/*/topic/**", "/*/{user}/x",
	} {
		if _, err := NewRules(allow(d, Subscribe)); err != nil {
			t.Errorf("%q: %v", d, err)
		}
	}
}

func TestRulesKeepNothingOfTheirInput(t *testing.T) {
	in := []Rule{{Effect: Allow, Actions: []Action{Send}, Destination: "/a", Roles: []string{"r"},
		Scopes: []string{"s"}, Claims: map[string]string{"c": "v"}}}
	r := mustRules(t, in...)
	in[0].Actions[0], in[0].Roles[0], in[0].Scopes[0], in[0].Claims["d"] = Subscribe, "x", "x", "x"
	in[0].Effect = Deny
	p := &Principal{Roles: []string{"r"}, Scopes: []string{"s"}, Claims: map[string]any{"c": "v"}}
	if !may(t, r, p, Send, "/a") {
		t.Error("the rules changed")
	}
}

func TestPrependLeavesTheOriginal(t *testing.T) {
	base := mustRules(t, allow("/topic/**", Subscribe))
	one, err := base.Prepend(deny("/topic/a", Subscribe))
	if err != nil {
		t.Fatal(err)
	}
	two, err := base.Prepend(deny("/topic/b", Subscribe))
	if err != nil {
		t.Fatal(err)
	}
	p := &Principal{}
	if !may(t, base, p, Subscribe, "/topic/a") || may(t, one, p, Subscribe, "/topic/a") || !may(t, one, p, Subscribe, "/topic/b") ||
		may(t, two, p, Subscribe, "/topic/b") || !may(t, two, p, Subscribe, "/topic/a") {
		t.Error("Prepend shares or loses rules")
	}
	var e *RuleError
	if _, err := base.Prepend(deny("/ok", Send), deny("bad", Send)); !errors.As(err, &e) || e.Index != 1 {
		t.Errorf("got %v", err)
	}
}

func TestBuiltinSets(t *testing.T) {
	alice := &Principal{Name: "alice"}
	for _, c := range []struct {
		destination                                string
		openSub, openSend, guardedSub, guardedSend bool
	}{
		{"/user/topic/registration", true, true, true, true},
		{"/user/topic/authorization", true, true, true, false},
		{"/user/queue/x", true, true, true, false},
		{"/user/alice/queue/x", true, false, true, false},
		{"/user/bob/queue/x", false, false, false, false},
		{"/user/bob", true, false, true, false}, // one's own, as in Spring; nobody else's
		{"/user", false, false, false, false},
		{"/topic/a/b", true, true, true, false},
		{"/queue/a", true, true, false, false},
		{"/app/bootstrap", true, true, true, true},
		{"/exchange/a", false, false, false, false},
		{"/topicality", false, false, false, false},
	} {
		got := [4]bool{
			may(t, Open(), alice, Subscribe, c.destination), may(t, Open(), alice, Send, c.destination),
			may(t, Guarded(), alice, Subscribe, c.destination), may(t, Guarded(), alice, Send, c.destination),
		}
		if want := [4]bool{c.openSub, c.openSend, c.guardedSub, c.guardedSend}; got != want {
			t.Errorf("%s: got %v, want %v", c.destination, got, want)
		}
	}
	if may(t, Open(), &Principal{}, Subscribe, "/user//queue/x") || may(t, Open(), &Principal{}, Subscribe, "/user/alice/queue/x") {
		t.Error("an anonymous client reads a user's destinations")
	}
	for pattern, want := range map[string]Coverage{
		"/topic/**": All, "/user/topic/*": All, "/user/alice/**": All, "/**": Some, "/user/**": Some, "/user/*/queue/x": Some,
		"/user/bob/**": None, "/exchange/**": None, "/user/al?c?/**": Some, "/user/b*/**": None,
	} {
		if got := covers(t, Open(), alice, pattern); got != want {
			t.Errorf("open %s: %v, want %v", pattern, got, want)
		}
	}
	if got := covers(t, Guarded(), alice, "/queue/**"); got != None {
		t.Errorf("guarded /queue/**: %v", got)
	}
}

// S-14: a browser client may not send to the maintenance topic; the backend
// may.
func TestS14MaintenanceBroadcast(t *testing.T) {
	r, err := Guarded().Prepend(Rule{Effect: Allow, Actions: []Action{Send}, Destination: "/topic/**", Roles: []string{"service"}})
	if err != nil {
		t.Fatal(err)
	}
	browser, backend := &Principal{Name: "alice"}, &Principal{Roles: []string{"service"}}
	if may(t, r, browser, Send, "/topic/maintenance") || !may(t, r, browser, Subscribe, "/topic/maintenance") ||
		!may(t, r, backend, Send, "/topic/maintenance") {
		t.Error("the maintenance topic is not one-way")
	}
}

func TestAuthorizerFunc(t *testing.T) {
	f := AuthorizerFunc(func(_ context.Context, p *Principal, act Action, d string) error {
		if p.Name == "alice" && act == Send && d == "/a" {
			return nil
		}
		return ErrDenied
	})
	if !may(t, f, &Principal{Name: "alice"}, Send, "/a") || may(t, f, &Principal{}, Send, "/a") {
		t.Error("the function was not asked")
	}
}

func TestAuthorizeAllocatesNothing(t *testing.T) {
	r := mustRules(t,
		deny("/topic/literal/other", Subscribe, Send),
		Rule{Effect: Deny, Actions: []Action{Send}, Destination: "/topic/**", Roles: []string{"guest"}, Scopes: []string{"none"}},
		allow("/topic/literal", Send),
		allow("/user/{user}/**", Send),
		allow("/topic/{claim.tenant}/*/x?*z", Send),
	)
	p := &Principal{Name: "a/b", Roles: []string{"r1", "r2"}, Claims: map[string]any{"tenant": "t%1"}}
	ctx := context.Background()
	for _, d := range []string{"/topic/literal", "/user/a%2Fb/queue/x", "/topic/t%251/any/xyzzz", "/denied/altogether"} {
		want := d != "/denied/altogether"
		if may(t, r, p, Send, d) != want {
			t.Errorf("%s is not %v", d, want)
		}
		if n := testing.AllocsPerRun(100, func() { _ = r.Authorize(ctx, p, Send, d) }); n != 0 {
			t.Errorf("%s: %v allocations", d, n)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	r, ctx := Guarded(), context.Background()
	p := &Principal{Name: "alice"}
	for _, d := range []string{"/app/registration", "/user/topic/registration", "/topic/denied"} {
		b.Run(strings.ReplaceAll(d[1:], "/", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = r.Authorize(ctx, p, Send, d)
			}
		})
	}
}

// A claim that cannot be compared matches a Deny rule and does not match an
// Allow rule.
func TestIllegibleClaims(t *testing.T) {
	r := mustRules(t,
		Rule{Effect: Deny, Actions: []Action{Send}, Destination: "/topic/**", Claims: map[string]string{"guest": "true"}},
		Rule{Effect: Allow, Actions: []Action{Send}, Destination: "/topic/vip", Claims: map[string]string{"vip": "true"}},
		allow("/topic/x", Send),
	)
	for _, claim := range []any{map[string]any{"true": true}, 1.5, 1e300, []any{false, []any{true}}, []any{nil}} {
		p := &Principal{Name: "alice", Claims: map[string]any{"guest": claim}}
		if may(t, r, p, Send, "/topic/x") {
			t.Errorf("a guest of %v may send", claim)
		}
		p = &Principal{Name: "alice", Claims: map[string]any{"vip": claim}}
		if may(t, r, p, Send, "/topic/vip") {
			t.Errorf("a VIP of %v may send", claim)
		}
	}
	for _, claim := range []any{nil, false, "no", 1.0, []any{"no", false}, []string{"no"}} {
		p := &Principal{Name: "alice", Claims: map[string]any{"guest": claim}}
		if !may(t, r, p, Send, "/topic/x") {
			t.Errorf("a guest of %v may not send", claim)
		}
	}
}

func TestS6BackendHasNothingBelowUser(t *testing.T) {
	backend := &Principal{Roles: []string{RoleBackend}, Claims: map[string]any{"c": "x"}}
	rules, err := Guarded().Prepend(allow("/topic/maintenance", Send))
	if err != nil {
		t.Fatal(err)
	}
	for _, destination := range []string{"/user", "/user/queue/errors", "/user/topic/registration", "/user/alice/queue/x", "/user/queue/*", "/user/**", "/**"} {
		if may(t, rules, backend, Subscribe, destination) {
			t.Errorf("may subscribe to %s", destination)
		}
	}
	if got := covers(t, rules, backend, "/user/**"); got != None {
		t.Errorf("covers %v", got)
	}
	if !may(t, rules, backend, Send, "/topic/maintenance") || !may(t, rules, backend, Subscribe, "/topic/maintenance") {
		t.Error("a backend cannot do its work")
	}
	// A user is a user, whatever its roles.
	if !may(t, rules, &Principal{Name: "alice", Roles: []string{RoleBackend}}, Subscribe, "/user/queue/errors") || !may(t, rules, &Principal{}, Subscribe, "/user/queue/errors") {
		t.Error("others are kept out as well")
	}
	_, err = NewRules(Rule{Effect: Allow, Actions: []Action{Send}, Destination: "/a", Anonymous: true, Authenticated: true})
	if err == nil || !strings.Contains(err.Error(), "both Authenticated and Anonymous") {
		t.Errorf("got %v", err)
	}
}
