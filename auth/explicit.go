package auth

import (
	"context"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// ExplicitAuthorizer is an [Authorizer] that can tell a permission that was
// given for certain destinations from one for everything around them. It is
// optional. The broker asks it about presence, who is subscribed to a topic:
// whoever may subscribe to /topic/** may not therefore subscribe to
// /topic/presence/**. Without it, Authorize decides.
//
// AuthorizeExplicit is Authorize, except that a permission counts only if it was
// meant for destinations below prefix. Everything that denies, denies as usual.
type ExplicitAuthorizer interface {
	Authorizer
	AuthorizeExplicit(ctx context.Context, p *Principal, act Action, destination, prefix string) error
}

var _ ExplicitAuthorizer = (*Rules)(nil)

// AuthorizeExplicit returns nil if a rule allows the action whose destination
// begins with prefix, as text and by whole segments, and no rule before it
// denies the action. It passes over other rules that allow the action.
func (r *Rules) AuthorizeExplicit(_ context.Context, p *Principal, act Action, destination, prefix string) error {
	if pattern.IsPattern(destination) {
		return ErrDenied
	}
	return r.decide(p, act, destination, prefix)
}

// below reports whether the text of the rule's destination begins with a prefix.
func (r *rule) below(prefix string) bool {
	rest, ok := strings.CutPrefix(r.pattern.Prefix, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
