package client

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"
)

// transport is the connection under STOMP. It reads a stream of bytes and
// writes whole frames. Only one goroutine at a time may call Read, and only one
// writeFrame. Close and abort may be called at any time and repeatedly.
type transport interface {
	io.Reader
	// writeFrame sends one frame or heart-beat. It does not keep p.
	writeFrame(p []byte) error
	// Close closes gracefully, as far as the protocol allows. It may wait a few
	// seconds for the peer.
	Close() error
	// abort closes at once and unblocks all calls.
	abort()
}

// tcpTransport is STOMP over TCP or TLS.
type tcpTransport struct{ net.Conn }

// dialTimeout limits one attempt to reach an address, in addition to the
// context.
const dialTimeout = 30 * time.Second

func dialTCP(ctx context.Context, e endpoint, o Options) (transport, error) {
	d := &net.Dialer{Timeout: dialTimeout}
	if !e.tls {
		c, err := d.DialContext(ctx, "tcp", e.address)
		if err != nil {
			return nil, err
		}
		return tcpTransport{c}, nil
	}
	var conf *tls.Config
	if o.TLS != nil {
		conf = o.TLS.Clone()
	}
	c, err := (&tls.Dialer{NetDialer: d, Config: conf}).DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	return tcpTransport{c}, nil
}

func (t tcpTransport) writeFrame(p []byte) error {
	_, err := t.Conn.Write(p)
	return err
}

func (t tcpTransport) abort() {
	if c, ok := t.Conn.(*tls.Conn); ok {
		_ = c.NetConn().Close() // a graceful TLS close would wait for the peer
		return
	}
	_ = t.Conn.Close()
}
