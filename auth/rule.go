package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// Effect is the result of a matching [Rule].
type Effect uint8

const (
	// Allow permits the action.
	Allow Effect = iota + 1
	// Deny forbids it.
	Deny
)

// String returns "allow" or "deny".
func (e Effect) String() string {
	switch e {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	default:
		return fmt.Sprintf("Effect(%d)", uint8(e))
	}
}

// Rule allows or denies actions at the destinations of a pattern for some
// principals. It is one entry of [Rules]. Spring Security's counterparts are
// simpSubscribeDestMatchers and simpMessageDestMatchers.
//
// A rule matches if all its conditions hold. The zero value of a condition
// always holds; Effect, Actions and Destination are required.
type Rule struct {
	Effect Effect
	// Actions lists the actions that the rule applies to: Subscribe, Send or
	// both.
	Actions []Action
	// Destination is an Ant pattern: ? matches one character, * any number of
	// characters within a segment, and ** as a whole segment any number of
	// segments, so /a/** also matches /a. A whole segment may also be a
	// variable:
	//
	//	{user}        the principal's own name, with / written as %2F and % as
	//	              %25; matches nothing for an anonymous principal
	//	{claim.NAME}  the text of the principal's claim NAME, escaped likewise;
	//	              matches nothing if there is no such text
	//	{other}       any one segment, like *; the name is for the reader. To
	//	              guard against typing errors it must not begin with "user"
	//	              or "claim", in upper or lower case.
	Destination string
	// Roles, if any, requires at least one of these roles.
	Roles []string
	// Scopes, if any, requires at least one of these scopes.
	Scopes []string
	// Claims requires all these claims. Each must equal the value or be a list
	// that contains it. A claim that cannot be compared with a text, such as an
	// object or a fraction, matches any value in a Deny rule and none in an
	// Allow rule.
	Claims map[string]string
	// Authenticated requires a principal that is not anonymous.
	Authenticated bool
	// Anonymous requires an anonymous principal. A rule cannot require both.
	Anonymous bool
	// AnyUser permits an Allow rule to reach other users' destinations with a
	// wildcard. The segment after /user/ is a user's name unless it is
	// literally topic or queue. "allow /user/**", "allow /**" and "allow
	// /user/*/queue/x" would therefore give every user access to every other
	// user's destinations. Such a rule is an error unless AnyUser is set. A
	// user's own destinations are /user/topic/**, /user/queue/** and
	// /user/{user}/**. A Deny rule never needs AnyUser.
	AnyUser bool

	// private limits the rule to the session's own destinations that are
	// neither topics nor queues, such as /user/events.
	private bool
}

// RuleError describes an invalid rule given to [NewRules] or [Rules.Prepend].
type RuleError struct {
	// Index is the rule's position among those given, from 0.
	Index int
	// Destination is the rule's destination.
	Destination string
	// Problem says what is wrong and how to correct it.
	Problem string
}

// Error returns the position, the destination and the problem on one line.
func (e *RuleError) Error() string {
	return fmt.Sprintf("auth: rule %d (destination %q): %s", e.Index, e.Destination, e.Problem)
}

// rule is a compiled Rule. It shares no memory with the Rule it was made from.
type rule struct {
	allow         bool
	actions       [Send + 1]bool
	pattern       pattern.Pattern
	handler       *pattern.Pattern // see handlerPattern
	roles, scopes []string
	claims        []claim
	authenticated bool
	anonymous     bool
	private       bool
}

type claim struct{ name, value string }

// compile returns a problem instead of an error, because only its caller knows
// the rule's index.
func (s *space) compile(r *Rule) (c rule, problem string) {
	if r.Effect != Allow && r.Effect != Deny {
		return rule{}, "the effect must be Allow or Deny"
	}
	if len(r.Actions) == 0 {
		return rule{}, "the actions are missing: name Subscribe, Send or both"
	}
	c = rule{
		allow:         r.Effect == Allow,
		roles:         slices.Clone(r.Roles),
		scopes:        slices.Clone(r.Scopes),
		authenticated: r.Authenticated,
		anonymous:     r.Anonymous,
		private:       r.private,
	}
	if r.Authenticated && r.Anonymous {
		return rule{}, "a rule cannot require both Authenticated and Anonymous"
	}
	for _, act := range r.Actions {
		if act != Subscribe && act != Send {
			return rule{}, "an action must be Subscribe or Send"
		}
		c.actions[act] = true
	}
	for name, value := range r.Claims {
		c.claims = append(c.claims, claim{name, value})
	}
	segments, problem := s.parseRule(r.Destination)
	if problem != "" {
		return rule{}, problem
	}
	if c.allow && !r.AnyUser && !r.private && s.reachesOthers(segments) {
		return rule{}, strings.ReplaceAll("a wildcard would reach other users' destinations: write /user/{user}/**, /user/topic/** and /user/queue/**, or set AnyUser", "/user/", s.user+"/")
	}
	c.pattern = pattern.New(segments)
	if !c.allow && c.actions[Send] {
		c.handler = s.handlerPattern(&c.pattern)
	}
	return c, ""
}

func (s *space) parseRule(destination string) (segments []pattern.Segment, problem string) {
	segments, problem = pattern.Parse(s.canonicalApp(destination))
	if problem != "" {
		return nil, problem
	}
	if behind, _ := s.behindUser(segments); len(behind) > 0 {
		problem = writeUser(&behind[0])
	}
	return segments, problem
}

// behindUser returns the segments after the user prefix if the pattern can
// match that prefix, and whether the pattern spells the prefix out.
func (s *space) behindUser(segments []pattern.Segment) (behind []pattern.Segment, literal bool) {
	literal = true
	for prefix := s.user; prefix != ""; {
		var text string
		text, prefix = pattern.Cut(prefix)
		if len(segments) == 0 || segments[0].Kind == pattern.Deep || !segments[0].CanBe(text) {
			return nil, false
		}
		literal = literal && segments[0].Kind == pattern.Literal
		segments = segments[1:]
	}
	return segments, literal
}

// reachesOthers reports whether a wildcard of the pattern can match a user's
// name after the user prefix.
func (s *space) reachesOthers(segments []pattern.Segment) bool {
	for i, n := 0, strings.Count(s.user, "/"); i < n && i < len(segments); i++ {
		if segments[i].Kind == pattern.Deep {
			first, _ := s.behindUser(append(slices.Clone(segments[:i]), userSegments(s.user)[i:]...))
			return first != nil
		}
	}
	behind, literal := s.behindUser(segments)
	if len(behind) == 0 {
		return false
	}
	switch name := behind[0]; name.Kind {
	case pattern.User, pattern.Claim:
		return false
	case pattern.Literal:
		// /user/alice is intentional; /*/alice may not be.
		return !literal && !s.beginsShared(name.Text)
	default:
		return true
	}
}

// userSegments returns the segments of a prefix, and one more for a name.
func userSegments(prefix string) (all []pattern.Segment) {
	for prefix != "" {
		var text string
		text, prefix = pattern.Cut(prefix)
		all = append(all, pattern.Segment{Kind: pattern.Literal, Text: text})
	}
	return append(all, pattern.Segment{Kind: pattern.Any})
}

// beginsShared reports whether a segment after the user prefix begins a topic
// or queue and so is not a user's name.
func (s *space) beginsShared(text string) bool {
	_, ok := s.cutShared("/" + text)
	return ok
}

// concerns reports whether the rule applies to act and p, whatever the
// destination.
func (r *rule) concerns(p *Principal, act Action) bool {
	return int(act) < len(r.actions) && r.actions[act] && r.admits(p)
}

func (r *rule) admits(p *Principal) bool {
	if r.authenticated && p.Anonymous() || r.anonymous && !p.Anonymous() {
		return false
	}
	if len(r.roles) > 0 && !slices.ContainsFunc(r.roles, p.HasRole) {
		return false
	}
	if len(r.scopes) > 0 && !slices.ContainsFunc(r.scopes, p.HasScope) {
		return false
	}
	for _, c := range r.claims {
		if !p.HasClaim(c.name, c.value) && (r.allow || p.legible(c.name)) {
			// A Deny rule also applies if the claim cannot be compared.
			return false
		}
	}
	return true
}
