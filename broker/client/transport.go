package client

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"
)

// transport is the connection under STOMP: a stream of bytes to read and whole
// frames to write. Read is called by one goroutine at a time, writeFrame too;
// Close and abort may be called at any time and more than once.
type transport interface {
	io.Reader
	// writeFrame sends one frame or heart-beat. p is the caller's again after.
	writeFrame(p []byte) error
	// Close says goodbye as far as the protocol can and closes. It may wait a
	// few seconds for the peer.
	Close() error
	// abort closes at once; blocked calls return.
	abort()
}

// tcpTransport is STOMP over TCP or TLS.
type tcpTransport struct{ net.Conn }

// dialTimeout bounds one attempt to reach an address whatever the context says.
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
		_ = c.NetConn().Close() // the TLS goodbye would wait for the peer
		return
	}
	_ = t.Conn.Close()
}
