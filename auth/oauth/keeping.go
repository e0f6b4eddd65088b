package oauth

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// keeping are the goroutines of a Client that read and write Records.
type keeping struct {
	ctx     context.Context // ends with stop
	cancel  context.CancelFunc
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newKeeping() *keeping {
	k := &keeping{}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// start runs fn in the background. It reports false after stop.
func (k *keeping) start(fn func(context.Context)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.running.Go(func() {
		ctx, cancel := context.WithTimeout(k.ctx, keepTime)
		defer cancel()
		fn(ctx)
	})
	return true
}

// followPause is the time before a Watch that broke is repeated.
const followPause = time.Second

// follow watches a kind of records until stop. It returns when all that exist
// have been reported, or when ctx ends. again is called before the Watch is
// repeated.
func (k *keeping) follow(ctx context.Context, r Records, kind string, changed func(string, []byte, uint64), current, again func(), broke func(error)) error {
	started := make(chan error, 1)
	k.running.Go(func() {
		first := true
		for {
			err := r.Watch(k.ctx, kind, changed, func() {
				current()
				if first {
					first = false
					started <- nil
				}
			})
			if k.ctx.Err() != nil || first {
				started <- err // nobody reads it, unless it is the first
				return
			}
			broke(err)
			select {
			case <-time.After(followPause):
			case <-k.ctx.Done():
				return
			}
			again()
		}
	})
	select {
	case err := <-started:
		if err != nil {
			return fmt.Errorf("oauth: Options.Records: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("oauth: Options.Records: %w", ctx.Err())
	}
}

// stop ends the goroutines and waits for them.
func (k *keeping) stop() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	k.running.Wait()
}
