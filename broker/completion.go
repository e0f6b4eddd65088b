package broker

import "sync"

// completion represents the end of an accepted but unfinished operation, such
// as a message that a store is writing. The code that started the operation
// calls end once, from any goroutine and without holding a lock.
type completion struct {
	mu    sync.Mutex
	ended bool
	err   error
	then  func(error)
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
