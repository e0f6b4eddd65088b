package webhook

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
)

// MayWait asks the backend whether p may have a ticket that is bound to an
// operation, for [github.com/hoofbeat/hoofbeat/auth/ticket.HandlerOptions].MayWait. It returns true only if
// [Options.Events] has [Wait] and the backend allows it. A pass means false,
// because nobody else decides. Answers are not cached. The error is
// [ErrUnavailable] if there is no answer.
func (w *Webhook) MayWait(ctx context.Context, p *auth.Principal, operation string) (bool, error) {
	if p == nil || !w.asks(Wait) || !utf8.ValidString(operation) {
		return false, nil
	}
	if err := w.refuses(time.Now()); err != nil {
		return false, refusedForNow(err)
	}
	body, err := waitQuestion(p, operation)
	if err != nil {
		return false, fmt.Errorf("webhook: %w", err)
	}
	ans, err := begin(ctx, w, w.permissions, askerOf(ctx, p), body, nil).wait(ctx)
	if err != nil {
		return false, refusedForNow(err)
	}
	return ans.decision == allow, nil
}
