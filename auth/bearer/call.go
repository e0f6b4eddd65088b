package bearer

import (
	"context"
	"errors"
)

// call is one run of a function whose result is shared by all callers that wait
// for it.
type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

var errPanic = errors.New("panic in the HTTP client or a parser")

// start runs work in a goroutine for at most callTimeout. The first caller may
// leave without cancelling the work for the others, so start uses only the
// values of ctx. finish gets the result before any waiting caller does.
func start[V any](ctx context.Context, work func(context.Context) (V, error), finish func(V, error)) *call[V] {
	c := &call[V]{done: make(chan struct{})}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		c.value, c.err = guarded(ctx, work)
		finish(c.value, c.err)
		close(c.done)
	}()
	return c
}

// guarded turns a panic into an error, because a panic in our own goroutine
// would end the program.
func guarded[V any](ctx context.Context, work func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return work(ctx)
}

// wait returns the result, or ctx's error if ctx is done first.
func (c *call[V]) wait(ctx context.Context) (V, error) {
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
