package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Rule is one entry of rules. The first rule that matches decides. If none matches,
// auth.webhook and the built-in rules decide.
type Rule struct {
	Allow       bool                // false: deny
	Actions     []string            // "subscribe", "send", at least one
	Destination string              // a destination or pattern; {user} is the user's name
	Roles       []string            // the user must have one of them; empty: any user
	Scopes      []string            // the credential must have one of them; empty: any
	Claims      map[string][]string // each claim must have one of the values
	// Authenticated: not for anonymous users.
	Authenticated bool
	// AnyUser: a wildcard after /user/ is meant, the rule reaches other users.
	AnyUser bool
	// File and Line are where it stands.
	File string
	Line int
}

// rules reads the list of rules.
func (l *loader) rules(node ast.Node) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		if node.Type() != ast.NullType {
			l.bad(node, "rules", "want a list of rules")
		}
		return
	}
	for _, item := range seq.Values {
		if rule, ok := l.rule(item); ok {
			l.config.Rules = append(l.config.Rules, rule)
		}
	}
}

func (l *loader) rule(node ast.Node) (Rule, bool) {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		l.bad(node, "rules", `want a rule such as {allow: [subscribe], destination: "/topic/**"}`)
		return Rule{}, false
	}
	rule := Rule{File: l.name, Line: line(node)}
	before, decisions := len(l.problems), 0
	for _, v := range m.Values {
		name := key(v)
		path := "rules." + name
		switch name {
		case "allow", "deny":
			decisions++
			rule.Allow = name == "allow"
			rule.Actions = l.texts(path, v.Value)
			for _, action := range rule.Actions {
				if action != "subscribe" && action != "send" {
					l.bad(v.Value, path, `"`+action+`" is not accepted: want subscribe, send or both`)
				}
			}
			if len(rule.Actions) == 0 {
				l.bad(v, path, "want subscribe, send or both")
			}
		case "destination":
			rule.Destination, _ = l.text(path, v.Value)
			if !strings.HasPrefix(rule.Destination, "/") {
				l.bad(v.Value, path, `"`+rule.Destination+`" is not accepted: want a destination or pattern such as /topic/**`)
			}
		case "roles":
			rule.Roles = l.texts(path, v.Value)
		case "scopes":
			rule.Scopes = l.texts(path, v.Value)
		case "claims":
			rule.Claims = l.claims(v.Value)
		case "authenticated":
			l.flag(path, v.Value, &rule.Authenticated)
		case "any_user":
			l.flag(path, v.Value, &rule.AnyUser)
		default:
			l.bad(v, path, unknown("key", name, []string{"allow", "deny", "destination", "roles", "scopes", "claims", "authenticated", "any_user"}))
		}
	}
	if decisions != 1 {
		l.bad(node, "rules", "a rule wants either allow or deny")
	}
	if rule.Destination == "" && len(l.problems) == before {
		l.bad(node, "rules", "a rule wants a destination")
	}
	return rule, len(l.problems) == before
}

func (l *loader) flag(path string, node ast.Node, p *bool) {
	text, ok := l.text(path, node)
	if !ok {
		return
	}
	if err := (boolean{p}).Set(text); err != nil {
		l.bad(node, path, err.Error())
	}
}

func (l *loader) claims(node ast.Node) map[string][]string {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		l.bad(node, "rules.claims", "want names and values such as {tenant: acme}")
		return nil
	}
	claims := make(map[string][]string, len(m.Values))
	for _, v := range m.Values {
		path := "rules.claims." + key(v)
		if claims[key(v)] = l.texts(path, v.Value); len(claims[key(v)]) == 0 {
			l.bad(v, path, "want a value or a list of values")
		}
	}
	return claims
}

// texts reads a list of texts, or one text as a list of one.
func (l *loader) texts(path string, node ast.Node) []string {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		if text, ok := l.text(path, node); ok {
			return []string{text}
		}
		return nil
	}
	all := make([]string, 0, len(seq.Values))
	for _, item := range seq.Values {
		if text, ok := l.text(path, item); ok {
			all = append(all, text)
		}
	}
	return slices.Clip(all)
}
