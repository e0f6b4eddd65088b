package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A topicSet is the topics of one entry of a list, such as Options.History. A
// topic belongs to the first entry that matches it.
type topicSet struct {
	text    string
	pattern *topics.Pattern
	covers  *auth.Rules // allow what belongs to this entry
}

// newTopicSets compiles the destinations of the list Options.<field>. gives is
// what only topics can have, such as "a history".
func newTopicSets(o *Options, field, gives string, destinations []string) ([]topicSet, error) {
	var list []topicSet
	var rules []auth.Rule // deny what belongs to earlier entries
	for i, text := range destinations {
		bad := func(format string, args ...any) error {
			return badOption(fmt.Sprintf("%s[%d].Destination", field, i), format, args...)
		}
		t := topicSet{text: text}
		var problem string
		if t.pattern, problem = topicPattern(o.names, text, gives); problem != "" {
			return nil, bad("%q %s", text, problem)
		}
		if slices.ContainsFunc(list, func(other topicSet) bool { return other.text == text }) {
			return nil, bad("%q has an entry already", text)
		}
		rule := auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: text}
		var err error
		if t.covers, err = auth.Prefixes(o.Destinations).NewRules(append(slices.Clone(rules), rule)...); err != nil {
			return nil, bad("%v", err)
		}
		rule.Effect = auth.Deny
		rules = append(rules, rule)
		list = append(list, t)
	}
	return list, nil
}

// topicPattern compiles a pattern of topics in Options and returns what is wrong
// with it. what is what the topics shall have.
func topicPattern(names *topics.Names, text, what string) (pattern *topics.Pattern, problem string) {
	d, err := names.ParseSubscription(text)
	switch {
	case err != nil:
		return nil, err.Error()
	case d.Kind != topics.Topic:
		return nil, "is not a topic: only destinations below " + strings.Join(names.Prefixes().Topic, " or ") + " can have " + what
	case strings.ContainsAny(text, "{}"):
		return nil, "has a variable; write * for any segment"
	case topics.Collapse(text) != text:
		return nil, "has an empty segment or a slash at its end"
	}
	if pattern, err = topics.Compile(text); err != nil {
		return nil, err.Error()
	}
	return pattern, ""
}

// entryOf returns the index of the entry that a destination belongs to, -1 for
// none. All spellings of a destination belong to one entry, like for the rules.
func entryOf(list []topicSet, d topics.Destination) int {
	if len(list) == 0 || d.Kind != topics.Topic {
		return -1
	}
	if strings.HasSuffix(d.Path, "/") { // /topic/a/* matches /topic/a/ too
		if i := firstMatch(list, d.Path); i >= 0 {
			return i
		}
	}
	return firstMatch(list, topics.Collapse(d.Path))
}

func firstMatch(list []topicSet, name string) int {
	for i := range list {
		if list[i].pattern.Match(name) {
			return i
		}
	}
	return -1
}

// entryAround returns the index of the entry that all destinations of a
// subscription belong to, -1 for none.
func entryAround(ctx context.Context, list []topicSet, d topics.Destination) int {
	if !d.Pattern {
		return entryOf(list, d)
	}
	if d.Kind != topics.Topic {
		return -1
	}
	name := topics.Collapse(d.Path)
	for i := range list {
		if coverage, err := list[i].covers.AuthorizePattern(ctx, &auth.Principal{}, name); err == nil && coverage == auth.All {
			return i
		}
	}
	return -1
}
