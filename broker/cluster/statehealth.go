package cluster

import (
	"context"
	"sync"
)

// health knows whether the engine works, so that nobody waits for one that has
// failed. The zero value is an engine that works.
type health struct {
	mu   sync.Mutex
	life context.Context // ends when the engine fails; nil before the first call needs it
	end  context.CancelCauseFunc
	err  error
}

// set notes that the engine works, or why it does not. Every call that is on its
// way then ends with that reason.
func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	if err != nil && h.end != nil {
		h.end(err)
		h.life, h.end = nil, nil
	}
}

// call calls f with a context that ends with ctx, or when the engine fails. The
// error is why the engine fails, if that is the reason.
func (h *health) call(ctx context.Context, f func(context.Context) error) error {
	h.mu.Lock()
	if h.err != nil {
		defer h.mu.Unlock()
		return h.err
	}
	if h.life == nil {
		h.life, h.end = context.WithCancelCause(context.Background())
	}
	life := h.life
	h.mu.Unlock()

	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	err := f(bounded)
	if err != nil && ctx.Err() == nil && life.Err() != nil {
		return context.Cause(life)
	}
	return err
}
