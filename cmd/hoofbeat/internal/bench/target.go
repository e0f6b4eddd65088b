package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// Target is the server under load, and the headers of its clients' CONNECT.
type Target struct {
	// URL is the server's address: ws, wss, tcp, tcps, stomp or stomp+ssl.
	URL string
	// Login is the login header, omitted if empty. A %d in it becomes the
	// number of the connection, counted from 0.
	Login string
	// Passcode is the passcode header of all connections.
	Passcode string
	// Host is the host header of CONNECT. Default: the host of the URL.
	Host string
	// TLS configures wss and tcps. Nil verifies the certificate with the
	// system's roots.
	TLS *tls.Config
	// Timeout limits each connection attempt, including CONNECTED, and each
	// receipt. Default 10 s.
	Timeout time.Duration
	// Sources is the number of addresses of 127.0.0.0/8 that the connections
	// use, because each has a limited number of ports. Zero lets the system
	// choose the address. The server must be on 127.0.0.0/8.
	Sources int
}

// target is a validated Target.
type target struct {
	Target
	webSocket, tls bool
	address        string // host:port
	shown          string // the URL without parts that may be secret
	dialed         atomic.Int64
}

func (t Target) check() (*target, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL cannot be parsed", ErrOptions)
	}
	c := &target{Target: t, shown: u.Scheme + "://" + u.Host + u.EscapedPath()}
	port := ""
	switch u.Scheme {
	case "ws", "wss":
		c.webSocket, c.tls = true, u.Scheme == "wss"
		if u.Path == "" {
			u.Path = "/"
		}
		c.URL = u.String()
	case "tcp", "stomp":
		port = "61613"
	case "tcps", "stomp+ssl":
		port, c.tls = "61614", true
	default:
		return nil, fmt.Errorf("%w: URL scheme %q is none of ws, wss, tcp, tcps, stomp, stomp+ssl", ErrOptions, u.Scheme)
	}
	if u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("%w: the URL must have a host and no user, for example ws://127.0.0.1:8080/ws or tcp://127.0.0.1:61613", ErrOptions)
	}
	c.address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	for name, value := range map[string]string{"login": t.Login, "passcode": t.Passcode, "host": t.Host} {
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("%w: %s has a line end or NUL, which CONNECT cannot carry", ErrOptions, name)
		}
	}
	if t.Sources < 0 || t.Sources > 60_000 {
		return nil, fmt.Errorf("%w: %d source addresses: want 0 to 60000", ErrOptions, t.Sources)
	}
	if t.Sources > 0 && !c.loopback() {
		return nil, fmt.Errorf("%w: source addresses are for a server at 127.0.0.0/8", ErrOptions)
	}
	c.Host = cmp.Or(t.Host, u.Hostname())
	c.Timeout = cmp.Or(t.Timeout, 10*time.Second)
	return c, nil
}

// loopback reports whether the server has an address in 127.0.0.0/8.
func (t *target) loopback() bool {
	host, _, err := net.SplitHostPort(t.address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is4() && ip.IsLoopback()
}

// login returns the login of the connection with the given number.
func (t *target) login(number int) string {
	return strings.ReplaceAll(t.Login, "%d", strconv.Itoa(number))
}

// dial opens a connection without CONNECT.
func (t *target) dial(ctx context.Context) (nc net.Conn, first []byte, err error) {
	if t.webSocket {
		return t.dialWebSocket(ctx)
	}
	if nc, err = t.dialTCP(ctx, "tcp", t.address); err != nil || !t.tls {
		return nc, nil, err
	}
	conf := new(tls.Config)
	if t.TLS != nil {
		conf = t.TLS.Clone()
	}
	conf.ServerName = cmp.Or(conf.ServerName, hostOf(t.address))
	secure := tls.Client(nc, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, nil, errors.Join(err, ignoreClosed(nc.Close()))
	}
	return secure, nil, nil
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func (t *target) dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if t.Sources > 0 {
		n := int(t.dialed.Add(1)-1) % t.Sources
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+n/250), byte(1+n%250))}
		d.Control = lateBind
		network = "tcp4"
	}
	nc, err := d.DialContext(ctx, network, address)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		err = fmt.Errorf("no local port is left, spread the connections over more source addresses: %w", err)
	}
	return nc, err
}

// dialWebSocket also returns the bytes that arrived right after the handshake.
func (t *target) dialWebSocket(ctx context.Context) (net.Conn, []byte, error) {
	var refused *client.HTTPError
	d := ws.Dialer{
		NetDial:   t.dialTCP,
		TLSConfig: t.TLS,
		Protocols: []string{"v12.stomp", "v11.stomp", "v10.stomp"},
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			refused = &client.HTTPError{Status: status, Body: answerBody(answer)}
		},
	}
	nc, r, _, err := d.Dial(ctx, t.URL)
	if err != nil {
		if refused != nil {
			err = refused
		}
		return nil, nil, err
	}
	if r == nil {
		return nc, nil, nil
	}
	defer ws.PutReader(r)
	first, err := r.Peek(r.Buffered())
	return nc, bytes.Clone(first), err
}

// answerBody returns the beginning of the body of an HTTP answer, as far as it
// arrived with the headers: a server that rejects a handshake may leave the
// connection open.
func answerBody(answer io.Reader) string {
	p := make([]byte, 4096)
	n, body := 0, []byte(nil)
	for n < len(p) && body == nil {
		m, err := answer.Read(p[n:])
		n += m
		if i := bytes.Index(p[:n], []byte("\r\n\r\n")); i >= 0 {
			body = p[i+4 : n]
		}
		if err != nil {
			break
		}
	}
	return oneLine(string(body))
}

// ignoreClosed returns the error of a Close, except those of a connection that
// is already broken.
func ignoreClosed(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}
