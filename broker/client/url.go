package client

import (
	"fmt"
	"net"
	"net/url"
)

// endpoint is a parsed URL: where and how to connect.
type endpoint struct {
	webSocket bool
	tls       bool
	host      string // name without port, for the host header and TLS
	address   string // host:port, for TCP
	url       string // for WebSocket
}

// parseURL parses the URL forms that [Dial] documents. Errors may contain the
// scheme but not the URL, which may contain a ticket.
func parseURL(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("%w: the URL cannot be parsed", ErrOptions)
	}
	if u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("%w: the URL has no host, want for example ws://127.0.0.1:8080/ws or tcp://127.0.0.1:61613", ErrOptions)
	}
	if u.User != nil {
		return endpoint{}, fmt.Errorf("%w: the URL has a user name: use Login and Passcode", ErrOptions)
	}
	e := endpoint{host: u.Hostname()}
	port := "61613"
	switch u.Scheme {
	case "ws", "wss":
		e.webSocket, e.tls, e.url = true, u.Scheme == "wss", u.String()
		return e, nil
	case "tcp", "stomp":
	case "tcps", "stomp+ssl":
		e.tls, port = true, "61614"
	default:
		return endpoint{}, fmt.Errorf("%w: URL scheme %q is none of ws, wss, tcp, tcps, stomp, stomp+ssl", ErrOptions, u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if u.Path != "" && u.Path != "/" {
		return endpoint{}, fmt.Errorf("%w: a %s URL has no path", ErrOptions, u.Scheme)
	}
	e.address = net.JoinHostPort(e.host, port)
	return e, nil
}
