// Package stream wraps a net.Conn in a byte stream with two properties that the
// broker needs: a reader goroutine that holds no buffer while its peer is
// silent, and a write that never blocks. It knows nothing of WebSocket or
// STOMP. Package wsconn adds frames on top of it; plain STOMP over TCP uses it
// directly.
//
//	c := stream.New(nc, nil)
//	defer c.Close()
//	err := c.Receive(func(p []byte) error { // once per socket read
//		n, err := c.TryWrite(p) // what the kernel takes at once
//		if err == nil && n < len(p) {
//			_, err = c.Write(p[n:]) // the rest may wait for the peer
//		}
//		return err
//	})
//	// err is io.EOF when the peer has finished
//
// # Cost
//
// An idle connection on plain TCP takes 200 bytes for the Conn and all it owns,
// in addition to the net.Conn and a goroutine with 2 KiB of stack (linux/amd64,
// Go 1.26). Reads and writes do not allocate.
package stream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// Conn is one connection. One goroutine may run Receive while another writes;
// only one goroutine at a time may call Write, TryWrite and CloseWrite. All
// other methods are safe for concurrent use at any time, including from the
// callback of Receive.
type Conn struct {
	nc    net.Conn
	early []byte // received after the handshake; nil once delivered
	io    transport
}

// transport moves the bytes, through the descriptor of a plain socket or
// through the methods of any other net.Conn.
type transport interface {
	receive(data func(p []byte) error) error
	canTry() bool
	tryWrite(p []byte) (int, error)
}

// New wraps nc, which must not be used directly any more. early holds bytes
// already read from nc, usually after a handshake; Receive delivers them first.
// New keeps early, so pass a copy that nobody else uses.
//
// The fast paths (no buffer while idle, TryWrite) need a plain *net.TCPConn or
// *net.UnixConn on a Unix system. For every other type the Conn uses its Read
// and Write, because a type that embeds a TCPConn may add a layer.
func New(nc net.Conn, early []byte) *Conn {
	return &Conn{nc: nc, early: early, io: newTransport(nc)}
}

// Receive reads until the stream ends, and calls data once per socket read with
// the bytes that arrived. They are valid during the call, and data may change
// them in place. While data runs, the connection holds a buffer of 64 KiB, so
// data should not block in thousands of connections at once.
//
// It returns io.EOF when the peer has closed its side, the unchanged error of
// data, or a network error: net.ErrClosed after Close or Abort,
// os.ErrDeadlineExceeded after the read deadline. After the deadline nothing is
// lost and Receive may be called again. It may also be called again after an
// error of data, but does not repeat the bytes of that call. Only one Receive
// may run at a time.
func (c *Conn) Receive(data func(p []byte) error) error {
	if p := c.early; len(p) > 0 {
		c.early = nil
		if err := data(p); err != nil {
			return err
		}
	}
	return c.io.receive(data)
}

// CanTry reports whether TryWrite can ever accept a byte: the connection is a
// plain socket without TLS or another layer.
func (c *Conn) CanTry() bool { return c.io.canTry() }

// TryWrite writes what the kernel accepts at once and never blocks. It returns
// fewer bytes than len(p), without an error, if the peer is too slow, and 0,
// nil on a connection that cannot try. It must not run concurrently with Write.
func (c *Conn) TryWrite(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.io.tryWrite(p)
}

// Write writes all of p and blocks until the peer has accepted it, without a
// limit. Close or Abort from another goroutine interrupts it.
func (c *Conn) Write(p []byte) (int, error) { return c.nc.Write(p) }

// CloseWrite tells the peer that nothing more will follow, while its own bytes
// are still read: it sends a FIN on TCP, and a close_notify on TLS (for which
// it waits at most five seconds if the peer reads nothing). On a connection
// without half-close it does nothing.
func (c *Conn) CloseWrite() error {
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// SetReadDeadline makes the running and every later Receive end at t. The zero
// time removes the deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if l, ok := c.io.(*layered); ok {
		return l.setReadDeadline(t)
	}
	return c.nc.SetReadDeadline(t)
}

// Close closes the connection gracefully: the kernel continues to deliver what
// was written. It ends a running Receive. On TLS it may take up to five seconds
// to send the close_notify. A second Close returns an error that may be
// ignored.
func (c *Conn) Close() error { return c.nc.Close() }

// Abort drops the connection at once: it discards unsent bytes, resets the
// connection if the transport can, and unblocks Receive and Write. It does not
// block, except as AbortBlocks describes.
func (c *Conn) Abort() {
	nc, wrapped := c.nc, false
	for {
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc, wrapped = w.NetConn(), true
	}
	// Close the innermost connection first: tls.Conn.Close would try to send an
	// alert on an open one. An error means that the connection is gone already.
	if l, ok := nc.(interface{ SetLinger(seconds int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = nc.Close()
	if wrapped {
		_ = c.nc.Close() // a wrapper may have resources of its own to release
	}
}

// Unsent returns how many written bytes the peer's system has not acknowledged.
// known is true for a plain TCP socket or TLS over one, if the system provides
// the number (Linux). A falling number shows that the peer reads, even while a
// Write that waits for space in the socket buffer makes no visible progress.
func (c *Conn) Unsent() (n int, known bool) {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(*net.TCPConn); ok {
		return unsent(t)
	}
	return 0, false
}

// AbortBlocks reports whether Abort may block because the type of the
// connection, and thus its Close, is unknown: a listener of the program may
// have wrapped it. On plain sockets and TLS over them, Abort returns at once.
func (c *Conn) AbortBlocks() bool {
	nc := c.nc
	for {
		switch known := nc.(type) {
		case *net.TCPConn, *net.UnixConn:
			return false
		case *tls.Conn:
			nc = known.NetConn()
		default:
			return true
		}
	}
}

// RemoteAddr returns the peer's address and port. It never returns IPv4 as
// mapped IPv6, so that addresses can be compared and counted. It returns the
// zero AddrPort for peers without an address, such as a Unix socket or a pipe.
func (c *Conn) RemoteAddr() netip.AddrPort {
	a, ok := c.nc.RemoteAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// TLS returns the state of the TLS connection, or nil if there is none.
func (c *Conn) TLS() *tls.ConnectionState {
	t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	s := t.ConnectionState()
	return &s
}
