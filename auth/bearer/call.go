package bearer

import (
	"context"
	"errors"
)

// call is work that is under way once for all who want its result.
type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

var errPanic = errors.New("panic in the HTTP client or a parser")

// start begins work in a goroutine that ends within callTimeout. Whoever came first may leave without spoiling it
// for the others, so of ctx only the values count. The result goes to finish before anybody who waits has it.
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

// guarded turns a panic into an error: in a goroutine of our own it would end the whole program.
func guarded[V any](ctx context.Context, work func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return work(ctx)
}

// wait returns the result, or ctx's error if that is done first.
func (c *call[V]) wait(ctx context.Context) (V, error) {
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
