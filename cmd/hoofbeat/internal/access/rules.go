package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// maxAlternatives limits the expansion of one rule with several values for
// several claims, because a rule of package auth has one value for each claim.
const maxAlternatives = 1000

// ruleSets are the operator's rules and the built-in ones: open in development
// mode, guarded otherwise.
type ruleSets struct {
	builtin *auth.Rules
	all     *auth.Rules // the operator's, then the built-in ones
	allow   *auth.Rules // the operator's, then deny: everything that they allow
	permit  *auth.Rules // the operator's, then allow: everything except what they deny
}

// newRules compiles the rules. The error joins one error for each invalid rule,
// with its line.
func newRules(c *config.Config) (*ruleSets, error) {
	prefixes := auth.Prefixes(c.Prefixes())
	var front []auth.Rule
	var problems []error
	for _, r := range c.Rules {
		compiled, err := alternatives(r)
		if err == nil {
			_, err = prefixes.NewRules(compiled...)
		}
		if err != nil {
			problems = append(problems, &config.KeyError{Source: fmt.Sprintf("%s:%d", r.File, r.Line), Key: "rules", Text: problem(err)})
			continue
		}
		front = append(front, compiled...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	g := &ruleSets{builtin: prefixes.Guarded()}
	if c.Development() {
		g.builtin = prefixes.Open()
	}
	everything := auth.Rule{
		Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe, auth.Send}, Destination: "/**", AnyUser: true,
	}
	var err [3]error
	g.all, err[0] = g.builtin.Prepend(front...)
	g.allow, err[1] = prefixes.NewRules(front...)
	g.permit, err[2] = prefixes.NewRules(append(slices.Clip(front), everything)...)
	return g, errors.Join(err[:]...)
}

// CheckRules compiles the rules and discards them. The error joins one error
// for each invalid rule, with its line.
func CheckRules(c *config.Config) error {
	_, err := newRules(c)
	return err
}

// NewAuthorizer compiles the rules of another configuration, for a reload. The
// backend is that of New.
func (a *Access) NewAuthorizer(c *config.Config) (auth.Authorizer, error) {
	sets, err := newRules(c)
	if err != nil {
		return nil, err
	}
	return a.authorizer(sets), nil
}

// authorizer returns the authorizer for these rules and, if there is one, the
// backend.
func (a *Access) authorizer(sets *ruleSets) auth.Authorizer {
	if a.webhook == nil {
		return sets.all
	}
	return &rulesFirst{sets: sets, others: a.webhook}
}

// problem describes an invalid rule in the terms of the file.
func problem(err error) string {
	var bad *auth.RuleError
	if !errors.As(err, &bad) {
		return err.Error()
	}
	return fmt.Sprintf("%q is not accepted: %s", bad.Destination, strings.Replace(bad.Problem, "set AnyUser", "say any_user: true", 1))
}

// alternatives expands a rule. A claim with several values matches any of them,
// so each combination becomes a rule.
func alternatives(r config.Rule) ([]auth.Rule, error) {
	first := auth.Rule{
		Effect: auth.Deny, Destination: r.Destination, Roles: r.Roles, Scopes: r.Scopes,
		Authenticated: r.Authenticated, AnyUser: r.AnyUser,
	}
	if r.Allow {
		first.Effect = auth.Allow
	}
	for _, action := range r.Actions {
		switch action {
		case "subscribe":
			first.Actions = append(first.Actions, auth.Subscribe)
		case "send":
			first.Actions = append(first.Actions, auth.Send)
		}
	}
	all := []auth.Rule{first}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		var more []auth.Rule
		for _, rule := range all {
			for _, value := range r.Claims[name] {
				next := rule
				next.Claims = maps.Clone(rule.Claims)
				if next.Claims == nil {
					next.Claims = make(map[string]string)
				}
				next.Claims[name] = value
				more = append(more, next)
			}
		}
		if all = more; len(all) > maxAlternatives {
			return nil, fmt.Errorf("the values of its claims can be combined in more than %d ways", maxAlternatives)
		}
	}
	return all, nil
}
