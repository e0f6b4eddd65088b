package access

import (
	"context"

	"github.com/hoofbeat/hoofbeat/auth"
)

var _ auth.PatternAuthorizer = (*rulesFirst)(nil)

// rulesFirst asks the operator's rules first, and others if no rule matches.
type rulesFirst struct {
	sets   *ruleSets
	others auth.PatternAuthorizer
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
