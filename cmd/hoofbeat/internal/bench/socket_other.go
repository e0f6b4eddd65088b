//go:build !unix

package bench

// receive reads until the connection ends or the receiver is done, and returns
// the reason.
func (c *conn) receive(clock clock, to receiver) error { return c.receiveSimply(clock, to) }
