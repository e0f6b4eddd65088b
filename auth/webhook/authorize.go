package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Authorize returns nil if the backend or a cached answer allows p to do act,
// and [auth.ErrDenied] if it denies it. Without an answer the error is
// [ErrUnavailable]; if the circuit is open, it is ErrDenied as well. If the
// backend passes, Fallback decides; without a Fallback the error is both
// ErrDenied and [auth.ErrNotMine].
//
// A nil principal is denied without a question, and so is a destination that
// does not begin with a slash, has an empty segment or is not valid UTF-8, as
// with [auth.Rules]. Subscribing to a destination with a wildcard is allowed
// only if [Webhook.AuthorizePattern] answers [auth.All].
func (w *Webhook) Authorize(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
	if act == auth.Subscribe && isPattern(destination) {
		coverage, err := w.AuthorizePattern(ctx, p, destination)
		if err == nil && coverage != auth.All {
			err = auth.ErrDenied
		}
		return err
	}
	passed, err := w.decide(ctx, p, act, destination)
	if passed {
		return w.fallback.Authorize(ctx, p, act, destination)
	}
	return err
}

// AuthorizeExplicit is [Webhook.Authorize]: the backend sees which destination it
// allows. What it passes on needs an explicit permission of the Fallback, if that
// can tell. As with [auth.Rules], a destination with a wildcard is denied.
func (w *Webhook) AuthorizeExplicit(ctx context.Context, p *auth.Principal, act auth.Action, destination, prefix string) error {
	if isPattern(destination) {
		return auth.ErrDenied
	}
	passed, err := w.decide(ctx, p, act, destination)
	if !passed {
		return err
	}
	if f, ok := w.fallback.(auth.ExplicitAuthorizer); ok {
		return f.AuthorizeExplicit(ctx, p, act, destination, prefix)
	}
	return w.fallback.Authorize(ctx, p, act, destination)
}

// decide returns the decision of the backend as [Webhook.Authorize] does, or
// that it has passed the question on to the Fallback, which exists.
func (w *Webhook) decide(ctx context.Context, p *auth.Principal, act auth.Action, destination string) (passed bool, err error) {
	v, err := w.verdict(ctx, p, act, destination)
	switch {
	case err != nil:
		return false, err
	case v.decision == allow:
		return false, nil
	case v.decision == deny:
		return false, auth.ErrDenied
	case w.fallback == nil:
		return false, errPassed
	}
	return true, nil
}

// AuthorizePattern asks the backend which of the pattern's destinations p may
// subscribe to. It returns [auth.None] if the backend denies it, and the
// answer's coverage if the backend allows it, [auth.Some] if the answer has
// none. Errors and passes are handled as in [Webhook.Authorize]; with a
// Fallback that cannot judge patterns, a pass gives Some.
func (w *Webhook) AuthorizePattern(ctx context.Context, p *auth.Principal, pattern string) (auth.Coverage, error) {
	v, err := w.verdict(ctx, p, auth.Subscribe, pattern)
	switch {
	case err != nil:
		return auth.None, err
	case v.decision == allow:
		return v.coverage, nil
	case v.decision == deny:
		return auth.None, nil
	case w.fallback == nil:
		return auth.None, errPassed
	}
	if f, ok := w.fallback.(auth.PatternAuthorizer); ok {
		return f.AuthorizePattern(ctx, p, pattern)
	}
	return auth.Some, nil
}

// verdict is the cached part of an answer.
type verdict struct {
	decision decision
	coverage auth.Coverage
}

// verdict returns the cached answer, or asks the backend, once for all
// concurrent callers with the same question.
func (w *Webhook) verdict(ctx context.Context, p *auth.Principal, act auth.Action, destination string) (verdict, error) {
	event := eventOfAction(act)
	switch {
	case p == nil || event == "" || !wellFormed(destination):
		return verdict{decision: deny}, nil
	case !w.asks(event):
		return verdict{decision: pass}, nil
	}
	key := keyOf(p, act, destination)
	now := time.Now()
	w.mu.Lock()
	if v, ok := w.cache.get(key, now); ok {
		w.mu.Unlock()
		return v, nil
	}
	c, err := w.pending[key], error(nil)
	if c == nil {
		c, err = w.inquire(ctx, key, p, act, destination, now)
	}
	w.mu.Unlock()
	if err != nil {
		return verdict{}, err
	}
	ans, err := c.wait(ctx)
	if err != nil {
		return verdict{}, deniedForNow(err)
	}
	return verdict{ans.decision, ans.coverage}, nil
}

// eventOfAction returns the event of an action, or "" for an unknown action.
func eventOfAction(act auth.Action) Event {
	switch act {
	case auth.Subscribe:
		return Subscribe
	case auth.Send:
		return Send
	default:
		return ""
	}
}

// inquire starts the question whether p may do act. The caller holds w.mu.
func (w *Webhook) inquire(ctx context.Context, key digest, p *auth.Principal, act auth.Action, destination string, now time.Time) (*call, error) {
	if w.refuses(now) != nil {
		return nil, errDeniedForNow
	}
	body, err := permissionQuestion(p, act, destination)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	// Other callers may wait for the answer, so it must not depend on this
	// caller's context.
	c := begin(context.WithoutCancel(ctx), w, w.permissions, askerOf(ctx, p), body, func(ans answer, err error) {
		w.settle(key, ans, err, now)
	})
	w.pending[key] = c
	return c, nil
}

// settle ends an inquiry. A failure is not cached, so the next caller asks
// again. The answer's age counts from the time of the question, because the
// backend may have changed its mind since.
func (w *Webhook) settle(key digest, ans answer, err error, asked time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, key)
	if err != nil || w.cacheTTL < 0 {
		return
	}
	age := ans.maxAge
	if age < 0 {
		age = w.cacheTTL
	}
	w.cache.put(key, verdict{ans.decision, ans.coverage}, asked.Add(age), time.Now())
}

// deniedForNow returns the error for a subscribe or send without an answer.
func deniedForNow(err error) error {
	var open *openError
	if errors.As(err, &open) {
		return errDeniedForNow
	}
	return fmt.Errorf("webhook: %w", err)
}
