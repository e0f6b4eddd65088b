// Package stream is one byte stream over a net.Conn, as the broker needs it: a
// reader goroutine that holds no buffer while its peer is silent, and a write
// that never waits. It knows nothing of WebSocket or STOMP; package wsconn puts
// frames on top of it, plain STOMP over TCP uses it as it is.
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
// An idle connection on plain TCP holds 200 bytes, the Conn and all it owns,
// besides the net.Conn and a goroutine of 2 KiB stack (linux/amd64, Go 1.26).
// There is no allocation per read or write.
package stream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// Conn is one connection. One goroutine may be in Receive while another one
// writes; Write, TryWrite and CloseWrite belong to one goroutine at a time. All
// other methods may be called by anyone at any time, also from within the
// callback of Receive.
type Conn struct {
	nc    net.Conn
	early []byte // arrived behind the handshake; nil once delivered
	io    transport
}

// transport is how bytes move: through the descriptor of a plain socket, or
// through the methods of any other net.Conn.
type transport interface {
	receive(data func(p []byte) error) error
	canTry() bool
	tryWrite(p []byte) (int, error)
}

// New wraps nc, which must not be used directly any more. The bytes in early
// were read from nc before, usually behind a handshake; Receive delivers them
// first. New keeps early, so it must be the caller's own copy.
//
// The fast paths (no buffer while idle, TryWrite) need a plain *net.TCPConn or
// *net.UnixConn on a Unix system. Every other type is served through its own
// Read and Write: a type that embeds a TCPConn may have put something between.
func New(nc net.Conn, early []byte) *Conn {
	return &Conn{nc: nc, early: early, io: newTransport(nc)}
}

// Receive reads until the stream ends, and calls data once for each socket read
// with the bytes that arrived. They are valid during the call, and data may
// change them in place. While data runs the connection holds a buffer of 64 KiB,
// so what waits for others had better not wait in there by the thousand.
//
// It returns io.EOF when the peer has closed its side, the error of data as it
// is, or the error of the network: net.ErrClosed after Close or Abort,
// os.ErrDeadlineExceeded after the read deadline. After the deadline nothing is
// lost and Receive may be called again; so it may after an error of data, but
// what that call was given is not given again. Only one Receive may run at a
// time.
func (c *Conn) Receive(data func(p []byte) error) error {
	if p := c.early; len(p) > 0 {
		c.early = nil
		if err := data(p); err != nil {
			return err
		}
	}
	return c.io.receive(data)
}

// CanTry reports whether TryWrite can ever take a byte: the connection is a
// plain socket, with neither TLS nor any other layer between.
func (c *Conn) CanTry() bool { return c.io.canTry() }

// TryWrite writes what the kernel takes now and never waits. It returns fewer
// bytes than len(p) without an error when the peer is slower than we are, and
// 0, nil on a connection that cannot try. It must not run while Write does.
func (c *Conn) TryWrite(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.io.tryWrite(p)
}

// Write writes all of p and waits for the peer to take it, for ever if need be:
// Close or Abort from another goroutine ends the wait.
func (c *Conn) Write(p []byte) (int, error) { return c.nc.Write(p) }

// CloseWrite tells the peer that nothing more will come while its own bytes are
// still read: a FIN on TCP, a close_notify on TLS (which waits for a peer that
// reads nothing, five seconds at most). On a connection without half-close it
// does nothing.
func (c *Conn) CloseWrite() error {
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// SetReadDeadline makes a running and every later Receive end at t; the zero
// time takes the deadline away.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if l, ok := c.io.(*layered); ok {
		return l.setReadDeadline(t)
	}
	return c.nc.SetReadDeadline(t)
}

// Close closes the connection in good order: the kernel goes on to deliver what
// was written. It ends a running Receive, and on TLS it may wait up to five
// seconds to say goodbye. A second Close returns an error that may be ignored.
func (c *Conn) Close() error { return c.nc.Close() }

// Abort drops the connection at once: unsent bytes are thrown away, the peer
// gets a reset where the transport has one, and a Receive or a Write that waits
// returns. It waits for nothing of its own; see AbortBlocks.
func (c *Conn) Abort() {
	nc, wrapped := c.nc, false
	for {
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc, wrapped = w.NetConn(), true
	}
	// The innermost connection goes first: tls.Conn.Close on an open one would
	// try to send an alert. Errors say that the connection is gone already.
	if l, ok := nc.(interface{ SetLinger(seconds int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = nc.Close()
	if wrapped {
		_ = c.nc.Close() // a wrapper may have something of its own to give back
	}
}

// Unsent returns how many bytes of what was written the peer's system has not
// acknowledged, on a plain socket or TLS over one, where the system can tell
// (Linux). While it falls the peer reads, though a Write that waits for room in
// the socket's buffer may not see that yet.
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

// AbortBlocks reports whether Abort may block, because the connection is of a
// type whose Close is not known: a listener of the program may have wrapped it.
// On plain sockets, and TLS over them, Abort returns at once.
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

// RemoteAddr is the peer's address and port, with IPv4 never written as IPv6,
// so that addresses can be compared and counted. It is the zero AddrPort for
// peers that have none, such as a Unix socket or a pipe.
func (c *Conn) RemoteAddr() netip.AddrPort {
	a, ok := c.nc.RemoteAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// TLS is the state of the TLS connection, or nil when there is none.
func (c *Conn) TLS() *tls.ConnectionState {
	t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	s := t.ConnectionState()
	return &s
}
