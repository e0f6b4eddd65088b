//go:build !nostore

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Link is a server without a store that joins this process to others.
type Link struct {
	engine         *server.Server
	user, password string
	log            *logger
}

// StartLink starts a server that listens for others, and dials those of
// LinkOptions.Peers again and again. It does not wait for them.
func StartLink(ctx context.Context, o LinkOptions) (*Link, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	opts, err := o.server()
	if err != nil {
		return nil, err
	}
	engine, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("starting the link: %w", err)
	}
	l := &Link{engine: engine, user: opts.Username, password: opts.Password, log: &logger{to: o.Logger}}
	engine.SetLoggerV2(l.log, false, false, false)
	engine.Start()
	if err := listens(ctx, engine, l.log, func(text string) error { return linkError("Listen", "%s", text) }); err != nil {
		return nil, errors.Join(err, stop(engine, stopTimeout))
	}
	return l, nil
}

// server turns the options into those of the server. It needs a listener for
// clients, without which it does not listen for other servers either: on
// loopback, on any port, with a password that nobody knows.
func (o *LinkOptions) server() (*server.Options, error) {
	host, port, err := splitAddress(o.Listen)
	if err != nil {
		return nil, linkError("Listen", "%w", err)
	}
	if o.Name == "" {
		return nil, linkError("Name", "is required")
	}
	if o.Secret == "" && !httpsec.Loopback(host) {
		return nil, linkError("Secret", "is required beyond loopback (%s)", o.Listen)
	}
	patience := o.Patience
	if patience <= 0 {
		patience = 2 * time.Second
	}
	routes := make([]*url.URL, 0, len(o.Peers))
	for _, peer := range o.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return nil, linkError("Peers", "%q is not host:port", peer)
		}
		u := &url.URL{Scheme: "nats", Host: peer}
		if o.Secret != "" {
			u.User = url.UserPassword("hoofbeat", o.Secret)
		}
		routes = append(routes, u)
	}
	cluster := routeOptions(host, port, patience)
	if o.Secret != "" {
		cluster.Username, cluster.Password = "hoofbeat", o.Secret
	}
	payload := orDefault(o.Payload, defaultPayload)
	return &server.Options{
		ServerName: o.Name, NoSigs: true, NoLog: true,
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: rand.Text(), Password: rand.Text(),
		MaxPayload: int32(payload + headroom), MaxPending: 256 << 20, MaxControlLine: 8 << 10, //nolint:gosec // small
		Cluster: cluster, Routes: routes,
	}, nil
}

// Addr returns the address on which other servers reach this one.
func (l *Link) Addr() string { return l.engine.ClusterAddr().String() }

// Connect returns a new connection to the server. The caller closes it, before
// Close.
func (l *Link) Connect(options ...nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect("", append([]nats.Option{
		nats.InProcessServer(l.engine), nats.UserInfo(l.user, l.password), nats.Name("hoofbeat"), nats.NoEcho(),
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { l.log.connection(sub, err) }),
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the link in this process: %w", err)
	}
	return conn, nil
}

// Close ends the server and waits for it.
func (l *Link) Close() error { return stop(l.engine, stopTimeout) }
