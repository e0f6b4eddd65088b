//go:build unix

package bench

import (
	"io"
	"syscall"
)

// receive reads until the connection ends or the receiver is done, and returns
// the reason. On a plain connection it holds no buffer while it waits.
func (c *conn) receive(clock clock, to receiver) error {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok { // TLS
		return c.receiveSimply(clock, to)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var ended error
	if err := raw.Read(func(fd uintptr) bool {
		ended = c.drain(int(fd), clock, to)
		return ended != nil
	}); err != nil {
		return c.ended(err)
	}
	return ended
}

// drain reads the available data, and returns nil to wait for more. After a
// read that did not fill the buffer it does not read again only to learn that
// nothing is left. It can therefore miss an end that arrived together with the
// data; where that matters, the connection is thorough.
func (c *conn) drain(fd int, clock clock, to receiver) error {
	b := c.buffers.get()
	defer c.buffers.put(b)
	for {
		at := c.pending(*b)
		n, err := syscall.Read(fd, (*b)[at:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return nil
		case err != nil:
			return c.ended(err)
		case n == 0:
			return c.ended(io.EOF)
		}
		if err := c.take((*b)[:at+n], clock.now(), to); err != nil {
			return err
		}
		if at+n < len(*b) && !c.thorough && c.refusal == nil {
			return nil
		}
	}
}
