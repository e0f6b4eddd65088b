package webflow_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// unkind is a Store that does nothing wrong, but everything else that a Store
// may do: it takes its time, a writer may lose a race against nobody, a write
// that succeeded may be answered as a race that was lost, and nodes hear of
// changes late.
type unkind struct{ webflow.Store }

func (u *unkind) wait(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(rand.IntN(1000)) * time.Nanosecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *unkind) Create(ctx context.Context, r *webflow.Record) error {
	if err := u.wait(ctx); err != nil {
		return err
	}
	return u.Store.Create(ctx, r)
}

func (u *unkind) Update(ctx context.Context, r *webflow.Record) error {
	if err := u.wait(ctx); err != nil {
		return err
	}
	switch rand.IntN(4) {
	case 0:
		return webflow.ErrConflict
	case 1:
		if err := u.Store.Update(ctx, r); err != nil {
			return err
		}
		return webflow.ErrConflict
	}
	return u.Store.Update(ctx, r)
}

func (u *unkind) Delete(ctx context.Context, r *webflow.Record) error {
	if err := u.wait(ctx); err != nil {
		return err
	}
	if rand.IntN(3) == 0 {
		return webflow.ErrConflict
	}
	return u.Store.Delete(ctx, r)
}

// Watch reports the changes late, but in order.
func (u *unkind) Watch(ctx context.Context, changed func(webflow.Change)) error {
	var mu sync.Mutex
	var queue []webflow.Change
	more := make(chan struct{}, 1)
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for {
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
			if u.wait(ctx) != nil {
				return
			}
			mu.Lock()
			all := queue
			queue = nil
			mu.Unlock()
			for _, c := range all {
				changed(c)
			}
		}
	})
	defer delivering.Wait()
	return u.Store.Watch(ctx, func(c webflow.Change) {
		mu.Lock()
		queue = append(queue, c)
		mu.Unlock()
		select {
		case more <- struct{}{}:
		default:
		}
	})
}

// faulty is a Store that does what its hooks say.
type faulty struct {
	webflow.Store
	mu     sync.Mutex
	before func(ctx context.Context, method string, r *webflow.Record) error
	after  func(method string, r *webflow.Record) error
	calls  map[string]int
}

func newFaulty() *faulty { return &faulty{Store: webflow.NewMemory(), calls: map[string]int{}} }

// set replaces the hooks, which may be nil.
func (s *faulty) set(before func(context.Context, string, *webflow.Record) error, after func(string, *webflow.Record) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *faulty) do(ctx context.Context, method string, r *webflow.Record, call func() error) error {
	s.mu.Lock()
	before, after := s.before, s.after
	s.calls[method]++
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, method, r); err != nil {
			return err
		}
	}
	err := call()
	if err == nil && after != nil {
		err = after(method, r)
	}
	return err
}

func (s *faulty) Create(ctx context.Context, r *webflow.Record) error {
	return s.do(ctx, "Create", r, func() error { return s.Store.Create(ctx, r) })
}

func (s *faulty) Update(ctx context.Context, r *webflow.Record) error {
	return s.do(ctx, "Update", r, func() error { return s.Store.Update(ctx, r) })
}

func (s *faulty) Delete(ctx context.Context, r *webflow.Record) error {
	return s.do(ctx, "Delete", r, func() error { return s.Store.Delete(ctx, r) })
}

func (s *faulty) Get(ctx context.Context, id string) (r *webflow.Record, err error) {
	err = s.do(ctx, "Get", nil, func() (err error) { r, err = s.Store.Get(ctx, id); return })
	return r, err
}

func (s *faulty) Find(ctx context.Context, id string) (r *webflow.Record, err error) {
	err = s.do(ctx, "Find", nil, func() (err error) { r, err = s.Store.Find(ctx, id); return })
	return r, err
}

var errDisk = errors.New("the disk is on fire")
