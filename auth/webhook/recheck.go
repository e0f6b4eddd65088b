package webhook

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// remind sets the principal's Recheck according to the options. The question
// contains no credential, so none is kept.
func (w *Webhook) remind(p *auth.Principal, a *auth.Attempt) {
	if w.recheck == 0 {
		return
	}
	q := question{Event: Recheck, Session: a.Session}
	if a.Remote.IsValid() {
		q.Remote = a.Remote.String()
	}
	q.about(p)
	who := askerOf(auth.WithRemote(context.Background(), a.Remote.Addr()), p)
	p.Recheck = &auth.Recheck{Every: w.recheck, Grace: w.grace, Asked: time.Now(), Check: func(ctx context.Context, _ time.Duration) error {
		return w.stillWelcome(ctx, who, &q)
	}}
}

// stillWelcome sends the question q. It shares the turns of permission
// questions, so that unauthenticated clients cannot delay it. A pass counts as
// yes.
func (w *Webhook) stillWelcome(ctx context.Context, who asker, q *question) error {
	if err := w.refuses(time.Now()); err != nil {
		return refusedForNow(err)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return refused(err)
	}
	ans, err := begin(ctx, w, w.permissions, who, body, nil).wait(ctx)
	switch {
	case err != nil:
		return refusedForNow(err)
	case ans.decision == deny:
		return ans.refusal(new(auth.Attempt))
	}
	return nil
}
