package access

import (
	"context"

	"github.com/hoofbeat/hoofbeat/auth"
)

var _ judges = (*rulesFirst)(nil)

// judges is all that an authorizer of the broker can be asked.
type judges interface {
	auth.PatternAuthorizer
	auth.ExplicitAuthorizer
}

// rulesFirst asks the operator's rules first, and others if no rule matches.
type rulesFirst struct {
	sets   *ruleSets
	others judges
}

func (r *rulesFirst) Authorize(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
	if r.sets.allow.Authorize(ctx, p, act, destination) == nil {
		return nil
	}
	if err := r.sets.permit.Authorize(ctx, p, act, destination); err != nil {
		return err
	}
	return r.others.Authorize(ctx, p, act, destination)
}

// AuthorizeExplicit asks the rules whether one of them is meant for this, and
// then the others, if no rule denies it.
func (r *rulesFirst) AuthorizeExplicit(ctx context.Context, p *auth.Principal, act auth.Action, destination, prefix string) error {
	if r.sets.allow.AuthorizeExplicit(ctx, p, act, destination, prefix) == nil {
		return nil
	}
	if err := r.sets.permit.Authorize(ctx, p, act, destination); err != nil {
		return err
	}
	return r.others.AuthorizeExplicit(ctx, p, act, destination, prefix)
}

// AuthorizePattern lets the rules decide about a pattern that they cover
// completely, and the others about one that no rule matches. Otherwise each
// destination is authorized separately.
func (r *rulesFirst) AuthorizePattern(ctx context.Context, p *auth.Principal, pattern string) (auth.Coverage, error) {
	allowed, err := r.sets.allow.AuthorizePattern(ctx, p, pattern)
	if err != nil || allowed == auth.All {
		return allowed, err
	}
	permitted, err := r.sets.permit.AuthorizePattern(ctx, p, pattern)
	if err != nil || permitted == auth.None {
		return permitted, err
	}
	if allowed == auth.None && permitted == auth.All {
		return r.others.AuthorizePattern(ctx, p, pattern)
	}
	return auth.Some, nil
}
