package broker

import (
	"errors"
	"sync"
)

// completion represents the end of an accepted but unfinished operation, such
// as a message that a store is writing. The code that started the operation
// calls end once, from any goroutine and without holding a lock.
type completion struct {
	mu    sync.Mutex
	ended bool
	err   error
	then  func(error)
	says  string // encoded headers of the RECEIPT
}

// end records the result and runs the callback. Later calls do nothing.
func (c *completion) end(err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended, c.err = true, err
	then := c.then
	c.then = nil
	c.mu.Unlock()
	if then != nil {
		then(err)
	}
}

// whenEnded calls f when the operation ends, or at once if it has already
// ended. Only one f can be set.
func (c *completion) whenEnded(f func(error)) {
	c.mu.Lock()
	if !c.ended {
		c.then = f
		c.mu.Unlock()
		return
	}
	err := c.err
	c.mu.Unlock()
	f(err)
}

// wait returns a channel that receives the result.
func (c *completion) wait() <-chan error {
	ch := make(chan error, 1)
	c.whenEnded(func(err error) { ch <- err })
	return ch
}

// allOf returns a completion that ends when all of the list have ended, with
// the first of their errors, but rather with another one than a denial or
// errNobody: the session may go on after these. It returns nil for an empty
// list.
func allOf(list []*completion) *completion {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	all := new(completion)
	var mu sync.Mutex
	var failed error
	left := len(list)
	for _, one := range list {
		one.whenEnded(func(err error) {
			mu.Lock()
			if err != nil && (failed == nil || isMild(failed) && !isMild(err)) {
				failed = err
			}
			left--
			over, err := left == 0, failed
			mu.Unlock()
			if over {
				all.end(err)
			}
		})
	}
	return all
}

func isMild(err error) bool {
	var fail *Error
	return errors.As(err, &fail) && fail.Reason == ReasonDenied || errors.Is(err, errNobody)
}
