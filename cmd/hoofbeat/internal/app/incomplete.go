package app

import "net"

const (
	// maxHeaders is the maximum number of connections of a listener whose
	// header is incomplete, and maxHeadersOfOne that of one address, unless it
	// is a trusted proxy's.
	maxHeaders      = 1024
	maxHeadersOfOne = 64
)

// incomplete notes that the header of a guest did not arrive at once. Over a
// limit it closes the connection whose header has been incomplete longest: that
// client is slow, or sends a header that is not meant to end. At the limit of
// an address, it is one of that address. It returns an error if the guest was
// closed for another one.
func (c *crowd) incomplete(g *guest) error {
	c.mu.Lock()
	if g == nil || c.guests[g.conn] != g {
		c.mu.Unlock()
		return net.ErrClosed
	}
	if g.header != nil {
		c.mu.Unlock()
		return nil
	}
	g.header = c.headers.PushBack(g)
	g.group.headers++
	slow := c.slowest(g.group)
	line := 0
	if slow != nil {
		c.leave(slow)
		line = c.slow.add(1)
	}
	c.mu.Unlock()
	if slow != nil {
		_ = underlying(slow.conn).Close() // the server notices it
	}
	if line > 0 {
		listener := "listen"
		if c.admin {
			listener = "admin"
		}
		c.log.Warn("connections were closed: too many HTTP requests whose header has not arrived",
			"listener", listener, "connections", line, "remote", slow.conn.RemoteAddr().String(), "most", maxHeaders, "most_of_one_address", maxHeadersOfOne)
	}
	return nil
}

// slowest returns the guest to close after one with an incomplete header was
// added to a group, or nil within the limits. The caller holds the lock.
func (c *crowd) slowest(added *group) *guest {
	from := added
	switch {
	case !added.proxy && added.headers > maxHeadersOfOne:
	case c.headers.Len() > maxHeaders:
		from = nil
	default:
		return nil
	}
	var found *guest
	for e := c.headers.Front(); e != nil; e = e.Next() {
		g := e.Value.(*guest)
		if from != nil {
			if g.group == from {
				return g
			}
		} else if found == nil || found.group.proxy && !g.group.proxy ||
			found.group.proxy == g.group.proxy && g.group.headers > found.group.headers {
			found = g
		}
	}
	return found
}

// complete notes that the header of a guest has arrived. The caller holds the
// lock.
func (c *crowd) complete(g *guest) {
	if g.header != nil {
		c.headers.Remove(g.header)
		g.header = nil
		g.group.headers--
	}
}
