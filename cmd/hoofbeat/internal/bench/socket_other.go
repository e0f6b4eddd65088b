//go:build !unix

package bench

// receive reads until the connection ends or to has enough, and says why.
func (c *conn) receive(clock clock, to receiver) error { return c.receiveSimply(clock, to) }
