package app

import (
	"context"

	"github.com/hoofbeat/hoofbeat/auth"
)

var _ auth.PatternAuthorizer = (*named)(nil)

// named asks the operator's rules first, and others about what no rule names.
type named struct {
	guards *guards
	others auth.PatternAuthorizer
}

func (n *named) Authorize(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
	if n.guards.allow.Authorize(ctx, p, act, destination) == nil {
		return nil
	}
	if err := n.guards.permit.Authorize(ctx, p, act, destination); err != nil {
		return err
	}
	return n.others.Authorize(ctx, p, act, destination)
}

// AuthorizePattern lets the rules decide about a pattern that they decide
// wholly, and the others about one that no rule touches. In between each
// destination is authorized by itself.
func (n *named) AuthorizePattern(ctx context.Context, p *auth.Principal, pattern string) (auth.Coverage, error) {
	allowed, err := n.guards.allow.AuthorizePattern(ctx, p, pattern)
	if err != nil || allowed == auth.All {
		return allowed, err
	}
	permitted, err := n.guards.permit.AuthorizePattern(ctx, p, pattern)
	if err != nil || permitted == auth.None {
		return permitted, err
	}
	if allowed == auth.None && permitted == auth.All {
		return n.others.AuthorizePattern(ctx, p, pattern)
	}
	return auth.Some, nil
}
