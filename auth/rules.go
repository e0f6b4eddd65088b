package auth

import (
	"context"
	"iter"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// Rules is an [Authorizer] with an ordered list of rules: the first matching
// rule decides, and no match denies. It is also a [PatternAuthorizer]. Spring's
// counterpart is MessageMatcherDelegatingAuthorizationManager.
//
// Rules is immutable and safe for concurrent use. The zero value has no rules
// and denies everything.
//
// Rules expect canonical names: the broker drops empty segments, so
// "/topic//a/" is judged as "/topic/a", and writes the / of a user's name as
// %2F. A destination that does not begin with a slash, has an empty segment or
// is not valid UTF-8 is denied before any rule is read, so no spelling of a
// name evades a Deny rule. A nil principal is denied everything.
//
// A destination with two names gets the same answer under both:
//
//   - Subscribing to /user/queue/x and to /user/{user}/queue/x is the same
//     for the user of that name. The first rule that matches either name
//     decides.
//   - A client's SEND to /user/queue/x or /user/topic/x goes to the handler
//     of /app/x. The broker asks about both names, and both must be
//     allowed. A Deny rule for the SEND that spells out /user/topic/x or
//     /user/queue/x also denies /app/x; one that names no handler, such as
//     /user/queue/**, does not.
type Rules struct {
	rules []rule
	space *space // nil in the zero value
}

var _ PatternAuthorizer = (*Rules)(nil)

// NewRules returns the rules in the order given. The error is a [*RuleError].
// Later changes to the arguments have no effect.
func NewRules(rules ...Rule) (*Rules, error) { return standard.newRules(rules) }

func (s *space) newRules(rules []Rule) (*Rules, error) {
	compiled := make([]rule, len(rules))
	for i := range rules {
		c, problem := s.compile(&rules[i])
		if problem != "" {
			return nil, &RuleError{Index: i, Destination: rules[i].Destination, Problem: problem}
		}
		compiled[i] = c
	}
	return &Rules{rules: compiled, space: s}, nil
}

// Prepend returns new Rules that ask the given rules first and then those of r.
// It does not change r. Use it to put your own rules before [Open] or
// [Guarded]. The error is a [*RuleError] about the given rules.
func (r *Rules) Prepend(rules ...Rule) (*Rules, error) {
	space := r.space
	if space == nil {
		space = standard
	}
	front, err := space.newRules(rules)
	if err != nil {
		return nil, err
	}
	return &Rules{rules: append(front.rules, r.rules...), space: space}, nil
}

// Authorize returns nil if the first matching rule allows the action, and
// [ErrDenied] otherwise. Its worst-case time is proportional to the length of
// the rules times that of the destination; a few rules take some 100 ns (amd64,
// 2026-11). It allocates nothing unless a rule reads a number from a claim, or
// the action is a SUBSCRIBE below /user.
//
// Subscribing to a destination with a wildcard is allowed only if
// [Rules.AuthorizePattern] answers [All].
func (r *Rules) Authorize(ctx context.Context, p *Principal, act Action, destination string) error {
	if act == Subscribe && pattern.IsPattern(destination) {
		coverage, err := r.AuthorizePattern(ctx, p, destination)
		if err == nil && coverage != All {
			err = ErrDenied
		}
		return err
	}
	return r.decide(p, act, destination, "")
}

// decide returns nil if the first matching rule allows the action. If prefix is
// not empty, a rule that allows it and was not written for destinations below
// prefix is passed over.
func (r *Rules) decide(p *Principal, act Action, destination, prefix string) error {
	if p == nil || !pattern.WellFormed(destination) {
		return ErrDenied
	}
	var own ownName
	if act == Subscribe && len(r.rules) > 0 {
		own = r.space.ownTwin(p, destination)
	}
	for i := range r.rules {
		rule := &r.rules[i]
		switch {
		case !rule.matches(p, destination, own) || !rule.concerns(p, act):
		case !rule.allow:
			return ErrDenied
		case prefix == "" || rule.below(prefix):
			return nil
		}
	}
	return ErrDenied
}

// matches reports whether the rule matches the destination, its twin if there
// is one, or the handler that a SEND to a user destination reaches.
func (r *rule) matches(p *Principal, destination string, own ownName) bool {
	if r.private && !own.private {
		return false
	}
	who := (*values)(p)
	return r.pattern.Match(who, destination) ||
		own.twin != "" && r.pattern.Match(who, own.twin) ||
		r.handler != nil && r.handler.Match(who, destination)
}

// AuthorizePattern reports which of the pattern's destinations p may subscribe
// to. [All] and [None] are proven for every destination; any other result is
// [Some]. The result is exact unless the rules and the pattern are so complex
// that a decision would take more than a few milliseconds; then it is Some. A
// few rules take some 10 µs (amd64, 2026-11). It judges user destinations by
// the given name only; a broker rejects patterns of user destinations anyway.
// The error is always nil.
func (r *Rules) AuthorizePattern(_ context.Context, p *Principal, wildcards string) (Coverage, error) {
	if p == nil || !pattern.WellFormed(wildcards) {
		return None, nil
	}
	switch pattern.Cover(pattern.ParseSubscription(wildcards), (*values)(p), r.subscribable(p)) {
	case pattern.All:
		return All, nil
	case pattern.None:
		return None, nil
	}
	return Some, nil
}

// subscribable returns the patterns of the rules that apply to a SUBSCRIBE of
// p, and whether each allows it.
func (r *Rules) subscribable(p *Principal) iter.Seq2[*pattern.Pattern, bool] {
	return func(yield func(*pattern.Pattern, bool) bool) {
		for i := range r.rules {
			rule := &r.rules[i]
			if !rule.private && rule.concerns(p, Subscribe) && !yield(&rule.pattern, rule.allow) {
				return
			}
		}
	}
}

// values provides a principal's values for the variables of a pattern.
type values Principal

// User returns the value of {user}.
func (v *values) User() string { return v.Name }

// Claim returns the value of {claim.NAME}.
func (v *values) Claim(name string) (string, bool) { return (*Principal)(v).Claim(name) }
