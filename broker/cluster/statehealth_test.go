package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A request ends with the engine, also one that is on its way; the reason is the
// engine's. Requests after that fail at once, until the engine works again.
func TestRequestsEndWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		broken := errors.New("it cannot write")
		never := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		works := func(context.Context) error { return nil }
		ended := make(chan error, 1)
		go func() { ended <- h.call(t.Context(), never) }()
		synctest.Wait()
		h.set(broken)
		if err := <-ended; err != broken {
			t.Errorf("what was on its way ends with %v", err)
		}
		if err := h.call(t.Context(), works); err != broken {
			t.Errorf("a request to a broken engine ends with %v", err)
		}
		h.set(nil)
		if err := h.call(t.Context(), works); err != nil {
			t.Errorf("a request to an engine that works again ends with %v", err)
		}
		// The caller's own end stays the caller's.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- h.call(ctx, never) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("what was given up ends with %v", err)
		}
	})
}

// An answer that came counts, also if the engine has failed since.
func TestAnswerBeforeTheEngineFails(t *testing.T) {
	var h health
	if err := h.call(t.Context(), func(context.Context) error { h.set(errors.New("it cannot write")); return nil }); err != nil {
		t.Error(err)
	}
}
