package bearer

import (
	"context"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// remind sets how open sessions ask again.
func (e *endpoint) remind(every, grace time.Duration) {
	if e == nil {
		return // its options are invalid
	}
	e.every, e.grace = max(every, 0), max(grace, 0)
	if every == 0 {
		e.every = auth.DefaultRecheck
	}
	if grace == 0 {
		e.grace = auth.DefaultRecheckGrace
	}
}

// reminded returns the principal of an answer with a Recheck that asks again.
// Only this Recheck holds the token; the cache does not, so the token lives
// only as long as the holder of the principal, for example a session.
func (e *endpoint) reminded(v verdict, token string) *auth.Principal {
	if e.every == 0 {
		return v.principal
	}
	again := &struct {
		auth.Principal
		recheck auth.Recheck
	}{Principal: *v.principal}
	name := v.principal.Name
	token = strings.Clone(token) // without the frame or the header that it came in
	// The broker's context has no address: these questions have their own
	// turns, separate from those of unauthenticated clients.
	again.recheck = auth.Recheck{Every: e.every, Grace: e.grace, Asked: v.asked, Check: func(ctx context.Context, maxAge time.Duration) error {
		v, err := e.answer(ctx, token, maxAge)
		if err == nil && v.principal.Name != name {
			return invalid(errAnother)
		}
		return err
	}}
	again.Recheck = &again.recheck
	return &again.Principal
}
