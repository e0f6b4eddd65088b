package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// listener is an open listener and its server.
type listener struct {
	key   string // configuration key
	url   string
	note  []any // further attributes for the log
	l     net.Listener
	serve func() error
	close func(context.Context)
}

func (d *listener) announce(log *slog.Logger) {
	log.Info("listening", append([]any{"listener", d.key, "address", d.l.Addr().String(), "url", d.url}, d.note...)...)
}

// urlOf returns the URL of the public listener, "" without one.
func urlOf(listeners []*listener) string {
	for _, d := range listeners {
		if d.key == "listen" {
			return d.url
		}
	}
	return ""
}

// open opens every listener of the configuration, or none.
func (a *App) open() (listeners []*listener, err error) {
	defer func() {
		if err != nil {
			for _, d := range listeners {
				_ = d.l.Close() // the error to return is that of the failed listener
			}
			a.closeAdminListener()
		}
	}()
	c := a.o.Config
	if c.Cluster.Witness { // it serves no clients
		served := *c
		served.Listen, served.TCP = "", ""
		c = &served
	}
	for _, p := range []struct {
		key, address string
		open         func(net.Listener) (*listener, error)
	}{{"listen", c.Listen, a.public}, {"admin", c.Admin, a.admin}, {"tcp", c.TCP, a.plain}} {
		if p.address == "" {
			continue
		}
		l, err := a.listener(p.key, p.address)
		if err != nil {
			return listeners, err
		}
		d, err := p.open(l)
		if err != nil {
			_ = l.Close() // the error to return is the other one
			return listeners, err
		}
		d.key, d.l = p.key, l
		listeners = append(listeners, d)
	}
	return listeners, nil
}

// listener opens a listener, or returns the one that has been open since the
// store was opened.
func (a *App) listener(key, address string) (net.Listener, error) {
	if l := a.adminListener; key == "admin" && l != nil {
		a.adminListener = nil
		return l, nil
	}
	l, err := listen(address)
	if err != nil {
		return nil, listenError(key, address, err)
	}
	return l, nil
}

// closeAdminListener closes the admin listener if nobody uses it yet.
func (a *App) closeAdminListener() {
	if a.adminListener != nil {
		_ = a.adminListener.Close() // the error to return is another one
		a.adminListener = nil
	}
}

// listenError returns an error that names the key to change.
func listenError(key, address string, err error) error {
	text := err.Error()
	var errno *os.SyscallError
	if errors.As(err, &errno) {
		text = address + ": " + errno.Err.Error()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		text += ", another program has the port"
	}
	return &config.KeyError{Key: key, Text: text}
}

// public returns the listener of the WebSocket endpoint.
func (a *App) public(l net.Listener) (*listener, error) {
	secure, inner := "", net.Listener(&plainText{Listener: l, key: "listen", away: a.away})
	if a.tls != nil {
		secure, inner = "s", a.tls.listen(l)
	}
	d := a.web("listen", inner, unwrapped(a.publicHandler()), a.crowd)
	at := secure + "://" + l.Addr().String() + a.o.Config.WebSocket.Path
	d.url = "ws" + at
	if a.o.Config.ListensOnUnix() { // the address names the socket, and a URL cannot
		d.url = a.o.Config.WebSocket.Path
	} else if a.o.Config.SockJS {
		d.note = []any{"sockjs", "http" + at}
	}
	return d, nil
}

// plain returns the listener of STOMP without WebSocket.
func (a *App) plain(l net.Listener) (*listener, error) {
	scheme := "tcp://"
	inner := l
	if a.tls != nil {
		scheme, inner = "tcps://", a.tls.listen(l)
	}
	return &listener{
		url:   scheme + l.Addr().String(),
		serve: func() error { return a.broker.ServeTCP(inner) },
		close: func(context.Context) {}, // the broker has closed it
	}, nil
}

// web returns an HTTP listener. The timeouts apply to requests, not to
// WebSocket sessions.
func (a *App) web(key string, l net.Listener, h http.Handler, c *crowd) *listener {
	errorLog := (&serverErrors{key: key, away: a.away}).logger() // any client can cause these lines
	arriving := &arrivals{Listener: l, key: key, crowd: c, away: a.away, errors: errorLog}
	s := &http.Server{
		Handler:           c.serve(arriving.serve(h)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         c.watch,
		ConnContext:       c.context,
		ErrorLog:          errorLog,
	}
	return &listener{
		serve: func() error { return s.Serve(arriving) },
		close: func(ctx context.Context) {
			if s.Shutdown(ctx) != nil {
				_ = s.Close() // close requests that are still unanswered
			}
		},
	}
}
