package broker

import "sync"

// A completion is the end of something that was taken and is not finished, such
// as a message that a store is writing. Whoever began it calls end, once, from
// any goroutine and with no lock held.
type completion struct {
	mu    sync.Mutex
	ended bool
	err   error
	then  func(error)
}

// end says how it ended.
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

// whenEnded has f called at the end, or now if that has come. There is one f.
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

// wait returns a channel that gets the end.
func (c *completion) wait() <-chan error {
	ch := make(chan error, 1)
	c.whenEnded(func(err error) { ch <- err })
	return ch
}
