package auth

import (
	"context"
	"iter"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// Rules is an [Authorizer] made of an ordered list of rules: the first rule that matches decides, and if none
// does, the answer is no. It is also a [PatternAuthorizer]. Spring's counterpart is
// MessageMatcherDelegatingAuthorizationManager.
//
// Rules is immutable and safe for concurrent use. The zero value has no rule and denies everything.
//
// Rules are read for canonical names: the broker drops empty segments ("/topic//a/" is judged as "/topic/a") and
// writes the / of a user's name as %2F. A destination that does not begin with a slash, has an empty segment or is
// not valid UTF-8 is denied before any rule is read, so that no spelling of a name slips past a Deny rule. A nil
// principal is denied everything.
//
// What has two names has one answer, whichever of them is asked about:
//
//   - To subscribe to /user/queue/x and to /user/{user}/queue/x is the same for the user of that name. The first rule
//     that matches either name decides.
//   - A client's SEND to /user/queue/x or /user/topic/x goes to the handler of /app/x. The broker asks about both
//     names, and both must be allowed. A Deny rule for the SEND that spells out /user/topic/x or /user/queue/x holds
//     for /app/x as well; one that names no handler, such as /user/queue/**, does not.
type Rules struct {
	rules []rule
	space *space // nil in the zero value
}

var _ PatternAuthorizer = (*Rules)(nil)

// NewRules returns the rules in the order given. The error is a [*RuleError]. The rules given may be changed
// afterwards without effect.
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

// Prepend returns new Rules that ask the given rules first and then those of r, which stays as it is. It is how an
// operator's rules are put in front of [Open] or [Guarded]. The error is a [*RuleError] about the given rules.
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

// Authorize returns nil if the first rule that matches allows it and [ErrDenied] otherwise. It takes time in
// proportion to the length of the rules times that of the destination at worst, some 100 ns for a few rules (amd64,
// 2026-11), and allocates nothing unless a rule reads a number from a claim, or it is about a subscription below /user.
//
// To subscribe to a destination with a wildcard in it is allowed only if [Rules.AuthorizePattern] answers [All].
func (r *Rules) Authorize(ctx context.Context, p *Principal, act Action, destination string) error {
	if act == Subscribe && pattern.IsPattern(destination) {
		coverage, err := r.AuthorizePattern(ctx, p, destination)
		if err == nil && coverage != All {
			err = ErrDenied
		}
		return err
	}
	if p == nil || !pattern.WellFormed(destination) {
		return ErrDenied
	}
	var own ownName
	if act == Subscribe && len(r.rules) > 0 {
		own = r.space.ownTwin(p, destination)
	}
	for i := range r.rules {
		rule := &r.rules[i]
		if rule.matches(p, destination, own) && rule.concerns(p, act) {
			if rule.allow {
				return nil
			}
			return ErrDenied
		}
	}
	return ErrDenied
}

// matches reports whether the rule matches a destination under the name that was asked about, under its twin if there
// is one, or as the handler that a SEND to a user destination reaches.
func (r *rule) matches(p *Principal, destination string, own ownName) bool {
	if r.private && !own.private {
		return false
	}
	who := (*values)(p)
	return r.pattern.Match(who, destination) ||
		own.twin != "" && r.pattern.Match(who, own.twin) ||
		r.handler != nil && r.handler.Match(who, destination)
}

// AuthorizePattern says how much of what pattern matches p may subscribe to: [All] and [None] are proven for every
// destination, and everything else is [Some]. It is exact unless the rules and the pattern are so entangled that
// deciding would take more than a few milliseconds, in which case it is Some as well. A few rules take some
// 10 µs (amd64, 2026-11). It takes user destinations by the name they are asked about; a broker refuses patterns of
// them anyway. The error is always nil.
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

// subscribable returns the patterns of the rules that concern a SUBSCRIBE of p, and
// whether they allow it.
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

// values is a principal as patterns ask for it.
type values Principal

// User returns the name that {user} stands for.
func (v *values) User() string { return v.Name }

// Claim returns what {claim.NAME} stands for.
func (v *values) Claim(name string) (string, bool) { return (*Principal)(v).Claim(name) }
