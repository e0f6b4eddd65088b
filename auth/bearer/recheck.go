package bearer

import (
	"context"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// remind has open sessions ask again.
func (e *endpoint) remind(every, grace time.Duration) {
	if e == nil {
		return // its options are wrong
	}
	e.every, e.grace = max(every, 0), max(grace, 0)
	if every == 0 {
		e.every = auth.DefaultRecheck
	}
	if grace == 0 {
		e.grace = auth.DefaultRecheckGrace
	}
}

// reminded returns the principal of an answer with the way to ask again. The token
// is in that and not in what is remembered, so that it is kept by whoever keeps the
// principal, a session for example, and by nobody else.
func (e *endpoint) reminded(v verdict, token string) *auth.Principal {
	if e.every == 0 {
		return v.principal
	}
	again := &struct {
		auth.Principal
		recheck auth.Recheck
	}{Principal: *v.principal}
	name := v.principal.Name
	// The context is the broker's and has no address: these questions have turns of their own, apart from what strangers
	// ask from any network.
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
