package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// Effect is what a [Rule] does to whatever it matches.
type Effect uint8

const (
	// Allow lets the principal do it.
	Allow Effect = iota + 1
	// Deny refuses it.
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

// Rule allows or denies actions at the destinations of a pattern to some principals. It is one entry of [Rules];
// the counterpart of simpSubscribeDestMatchers and simpMessageDestMatchers in Spring Security's messaging.
//
// All conditions of a rule must hold for it to match. The zero value of each condition asks nothing, except that
// Effect, Actions and Destination must be given.
type Rule struct {
	Effect Effect
	// Actions are what the rule is about: Subscribe, Send or both.
	Actions []Action
	// Destination is an Ant pattern: ? is one character, * any number of them within a segment, and ** as a whole
	// segment any number of segments, so that /a/** matches /a as well. A whole segment may also be a variable:
	//
	//   {user}        the principal's own name, with / written as %2F and % as %25; nothing for an anonymous one
	//   {claim.NAME}  the text of the principal's claim NAME, written likewise; nothing if there is no such text
	//   {other}       any one segment, as *; the name is for the reader. To be safe from a slip of the pen, it
	//                 must not begin with user or claim in any case.
	Destination string
	// Roles: the principal has at least one of them.
	Roles []string
	// Scopes: the principal has at least one of them.
	Scopes []string
	// Claims: the principal has all of these, each equal to the value or a list that contains it. A claim that cannot
	// be compared with a text, such as an object or a fraction, is any value for a Deny rule and none for an Allow
	// rule.
	Claims map[string]string
	// Authenticated: the principal is not anonymous.
	Authenticated bool
	// Anonymous: the principal is anonymous. A rule cannot ask for both.
	Anonymous bool
	// AnyUser permits an Allow rule to reach other people's destinations with a wildcard. The segment after /user/
	// is a user's name unless it is literally topic or queue, so "allow /user/**" would open everybody's
	// destinations to everybody, and so would "allow /**" or "allow /user/*/queue/x". Such a rule is an error
	// unless AnyUser says that it is meant so. One's own destinations are /user/topic/**, /user/queue/** and
	// /user/{user}/**. A Deny rule never needs it.
	AnyUser bool

	// private restricts the rule to what is a session's own and neither a topic nor a queue, /user/events.
	private bool
}

// RuleError is what is wrong with one of the rules given to [NewRules] or [Rules.Prepend].
type RuleError struct {
	// Index is the rule's position among those given, from 0.
	Index int
	// Destination is the rule's.
	Destination string
	// Problem says what is wrong and how to mend it.
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

// compile returns the problem of r instead of an error, because only its caller knows its index.
func (s *space) compile(r *Rule) (c rule, problem string) {
	if r.Effect != Allow && r.Effect != Deny {
		return rule{}, "the effect must be Allow or Deny"
	}
	if len(r.Actions) == 0 {
		return rule{}, "the actions must be named: Subscribe, Send or both"
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
		return rule{}, "nobody is both Authenticated and Anonymous"
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

// behindUser returns the segments behind the user prefix if the pattern can have that prefix, and whether it is
// written out there.
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

// reachesOthers reports whether a wildcard of the pattern can stand for a user's name behind the user prefix.
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
		// Somebody who writes out /user/alice means it; somebody who writes /*/alice may not.
		return !literal && !s.beginsShared(name.Text)
	default:
		return true
	}
}

// userSegments are the segments of a prefix, and one more for a name.
func userSegments(prefix string) (all []pattern.Segment) {
	for prefix != "" {
		var text string
		text, prefix = pattern.Cut(prefix)
		all = append(all, pattern.Segment{Kind: pattern.Literal, Text: text})
	}
	return append(all, pattern.Segment{Kind: pattern.Any})
}

// beginsShared reports whether a segment behind the user prefix is no user's name because topics or queues begin so.
func (s *space) beginsShared(text string) bool {
	_, ok := s.cutShared("/" + text)
	return ok
}

// concerns reports whether the rule is about act and p, whatever the destination.
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
			return false // a Deny rule concerns a claim also if nobody can tell what it says
		}
	}
	return true
}
