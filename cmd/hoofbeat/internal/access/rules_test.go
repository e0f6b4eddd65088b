package access

import (
	"context"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

func TestRules(t *testing.T) {
	c := configtest.Load(t, `
auth: {anonymous: true}
rules:
  - {deny: [send], destination: /app/closed}
  - {allow: [send], destination: "/topic/{user}", claims: {tenant: [acme, 5], plan: [pro, free]}, scopes: [chat]}
`)
	g, err := newRules(c)
	if err != nil {
		t.Fatal(err)
	}
	ann := func(tenant, plan string) *auth.Principal {
		return &auth.Principal{Name: "ann", Scopes: []string{"chat"}, Claims: map[string]any{"tenant": tenant, "plan": plan}}
	}
	for _, c := range []struct {
		p           *auth.Principal
		destination string
		want        bool
	}{
		{ann("acme", "pro"), "/topic/ann", true},
		{ann("5", "free"), "/topic/ann", true},
		{ann("other", "pro"), "/topic/ann", false},
		{ann("acme", "other"), "/topic/ann", false},
		{ann("acme", "pro"), "/topic/bob", false},
		{ann("acme", "pro"), "/app/closed", false},
		{ann("acme", "pro"), "/app/open", true}, // built in
	} {
		if got := g.all.Authorize(t.Context(), c.p, auth.Send, c.destination) == nil; got != c.want {
			t.Errorf("%v may send to %s: %v", c.p.Claims, c.destination, got)
		}
	}
	c.Rules[0].Destination = "/user/**"
	c.Rules[0].Allow = true
	c.Rules[1].Destination = "/topic/{usr}/"
	_, err = newRules(c)
	for _, want := range []string{`hoofbeat.yaml:4: rules: "/user/**" is not accepted: `, "say any_user: true", `hoofbeat.yaml:5: rules: "/topic/{usr}/"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	c.Rules = []config.Rule{{Allow: true, Actions: []string{"send"}, Destination: "/a", Claims: map[string][]string{"a": many, "b": many}}}
	if _, err := newRules(c); err == nil || !strings.Contains(err.Error(), "more than 1000 ways") {
		t.Errorf("error %v", err)
	}
}

// others allows what no rule matches, and records the questions.
type others struct {
	asked    []string
	coverage auth.Coverage
}

func (o *others) Authorize(_ context.Context, _ *auth.Principal, _ auth.Action, destination string) error {
	o.asked = append(o.asked, destination)
	return nil
}

func (o *others) AuthorizePattern(_ context.Context, _ *auth.Principal, pattern string) (auth.Coverage, error) {
	o.asked = append(o.asked, pattern)
	return o.coverage, nil
}

func (o *others) AuthorizeExplicit(ctx context.Context, p *auth.Principal, act auth.Action, destination, _ string) error {
	return o.Authorize(ctx, p, act, destination)
}

// A permission for presence comes from a rule that names it, or from the others
// if no rule denies it.
func TestExplicitPermissions(t *testing.T) {
	g, err := newRules(configtest.Load(t, `
auth: {anonymous: true}
rules:
  - {allow: [subscribe], destination: "/topic/presence/topic/a"}
  - {deny: [subscribe], destination: "/topic/presence/topic/b"}
  - {allow: [subscribe], destination: "/topic/**"}
`))
	if err != nil {
		t.Fatal(err)
	}
	p := &auth.Principal{Name: "ann"}
	for destination, want := range map[string]struct{ allowed, asked, alone bool }{
		"/topic/presence/topic/a": {true, false, true},
		"/topic/presence/topic/b": {false, false, false},
		"/topic/presence/topic/c": {true, true, false},
	} {
		o := new(others)
		n := &rulesFirst{sets: g, others: o}
		if got := n.AuthorizeExplicit(t.Context(), p, auth.Subscribe, destination, "/topic/presence") == nil; got != want.allowed || len(o.asked) > 0 != want.asked {
			t.Errorf("%s: allowed %v, asked %v", destination, got, o.asked)
		}
		if got := g.all.AuthorizeExplicit(t.Context(), p, auth.Subscribe, destination, "/topic/presence") == nil; got != want.alone {
			t.Errorf("%s: the rules alone: %v", destination, got)
		}
	}
}

func TestOthersDecideWhatNoRuleNames(t *testing.T) {
	g, err := newRules(configtest.Load(t, `
auth: {anonymous: true}
rules:
  - {deny: [subscribe], destination: "/topic/a/secret"}
  - {allow: [subscribe], destination: "/topic/a/**"}
  - {deny: [subscribe], destination: "/topic/b/**"}
`))
	if err != nil {
		t.Fatal(err)
	}
	p := &auth.Principal{Name: "ann"}
	for _, c := range []struct {
		destination string
		asked       bool
		want        bool
	}{
		{"/topic/a/x", false, true}, {"/topic/a/secret", false, false}, {"/topic/b/x", false, false},
		{"/topic/c", true, true}, {"/topic/c/", false, false}, // not well formed
	} {
		o := new(others)
		n := &rulesFirst{sets: g, others: o}
		if got := n.Authorize(t.Context(), p, auth.Subscribe, c.destination) == nil; got != c.want || len(o.asked) > 0 != c.asked {
			t.Errorf("%s: allowed %v, asked %v", c.destination, got, o.asked)
		}
	}
	for _, c := range []struct {
		pattern string
		asked   bool
		want    auth.Coverage
	}{
		{"/topic/a/x/*", false, auth.All}, {"/topic/b/*", false, auth.None}, {"/topic/*/x", false, auth.Some},
		{"/topic/a/*", false, auth.Some}, {"/topic/c/*", true, auth.All},
	} {
		o := &others{coverage: auth.All}
		n := &rulesFirst{sets: g, others: o}
		got, err := n.AuthorizePattern(t.Context(), p, c.pattern)
		if got != c.want || err != nil || len(o.asked) > 0 != c.asked {
			t.Errorf("%s: %v, %v, asked %v, want %v", c.pattern, got, err, o.asked, c.want)
		}
	}
}
