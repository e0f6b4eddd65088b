// Package app is the running broker of `hoofbeat serve`: it makes a
// [broker.Broker] out of a configuration, puts it behind its listeners, and
// takes it down again without losing what was sent.
//
//	a, err := app.New(app.Options{Config: c, Logger: logger})
//	if err != nil {
//		return err // something in the configuration
//	}
//	return a.Run(ctx) // until ctx ends, then drained
//
// It touches nothing of the process: signals, standard streams and exit codes
// are its caller's.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/events"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/fetch"
)

// Options are what an App is made of.
type Options struct {
	// Config is the checked configuration. Required.
	Config *config.Config
	// Reload reads the configuration again for [App.Reload], from where Config
	// came from. Nil means that it cannot have changed.
	Reload func() (*config.Config, error)
	// Logger receives everything; nil discards.
	Logger *slog.Logger
	// Level, when set, is the level of Logger, which a reload may change.
	Level *slog.LevelVar
	// Getenv looks up what systemd says: NOTIFY_SOCKET and STATE_DIRECTORY. Nil
	// means that it says nothing.
	Getenv func(string) string
	// Version is logged at the start.
	Version string
}

// App is one broker with its listeners.
type App struct {
	o      Options
	broker *broker.Broker
	access *access
	tls    *certificates // nil without TLS
	// sessions is the level of the records about sessions; a reload may change it.
	sessions slog.LevelVar
	flow     *webflow.Flow  // nil when webflow is not enabled
	events   *events.Sender // nil when nobody wants to hear of the flow

	fetcher  *fetch.Fetcher // nil without auth.oauth[].fetch
	fetching sync.WaitGroup
	serving  context.Context // ended by close
	end      context.CancelFunc

	crowd   *crowd
	away    *turnedAway
	tickets replaceable // not present when nothing can be exchanged for a ticket

	reloading sync.Mutex
	live      *config.Config  // what is in force, guarded by reloading
	patience  context.Context // ended by Abandon
	abandon   context.CancelFunc
}

// New makes the broker and opens nothing yet. The error is one about the
// configuration, a rule, a user, a certificate, and says where the key stands.
func New(o Options) (*App, error) {
	a, err := build(o)
	if err != nil {
		return nil, o.Config.Locate(err)
	}
	return a, nil
}

func build(o Options) (*App, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Level == nil {
		o.Level = new(slog.LevelVar)
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Reload == nil {
		o.Reload = func() (*config.Config, error) { return o.Config, nil }
	}
	a := &App{o: o, live: o.Config}
	a.patience, a.abandon = context.WithCancel(context.Background())
	a.serving, a.end = context.WithCancel(context.Background())
	var err error
	if a.access, err = newAccess(o.Config, o.Logger); err != nil {
		return nil, err
	}
	a.away = a.access.away
	tickets, err := a.access.ticketHandler(o.Config)
	if err != nil {
		return nil, err
	}
	a.tickets.set(tickets)
	if a.tls, err = newCertificates(o.Config.TLS); err != nil {
		return nil, err
	}
	fitted := fit(o.Config, o.Logger)
	a.crowd = newCrowd(fitted.Limits.Connections, fitted.Limits.ConnectionsPerAddress, fitted.Auth.TrustedProxies, o.Logger)
	options := brokerOptions(fitted)
	options.Authenticator = a.access.authenticator
	options.Authorizer = a.access.authorizer
	options.Store = a.access.store
	options.Logger = o.Logger
	a.sessions.Set(sessionLevel(o.Config))
	options.SessionLog = &a.sessions
	if a.broker, err = broker.New(options); err != nil {
		return nil, wrong("limits", err)
	}
	a.access.broker = a.broker
	for _, step := range []func() error{a.makeFlow, a.makeFetcher} {
		if err := step(); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

// Run opens the listeners, serves until ctx ends, and then drains: /readyz says
// no for drain.delay, then no new session is taken, and the sessions get what is
// waiting for them and are told to reconnect, within drain.timeout. It returns nil after that, and an
// error at once if a listener cannot be opened or fails. An App runs once.
func (a *App) Run(ctx context.Context) error {
	defer a.abandon()
	defer a.access.close()
	defer a.close()
	log := a.o.Logger
	log.Info("starting", "version", a.o.Version)
	listeners, err := a.open()
	if err != nil {
		return err
	}
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, d := range listeners {
		serving.Go(func() {
			if err := d.serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- &config.KeyError{Key: d.key, Text: err.Error()}
			}
		})
	}
	for _, d := range listeners {
		d.announce(log)
	}
	for _, text := range Warnings(a.o.Config) {
		log.Warn(text)
	}
	if a.o.Config.Development() {
		log.Warn("development mode: nothing says who may connect, so everybody on this machine may, and a login is taken at its word")
	}
	a.startFetching()
	log.Info("ready", "origins", a.o.Config.WhoseOrigins())
	a.notify("READY=1")
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	a.stop(listeners)
	serving.Wait()
	log.Info("stopped")
	return err
}

// httpShutdownTimeout is how long the HTTP servers wait for requests that are being
// answered when the sessions have gone.
const httpShutdownTimeout = 2 * time.Second

func (a *App) stop(listeners []*listener) {
	log, drain := a.o.Logger, a.o.Config.Drain
	log.Info("stopping", "delay", drain.Delay.String(), "spread", drain.Spread.String(), "timeout", drain.Timeout.String())
	a.notify("STOPPING=1")
	ctx, cancel := context.WithTimeout(a.patience, drain.Delay+drain.Timeout)
	defer cancel()
	// Meanwhile /readyz says that this broker wants no new clients.
	if err := a.broker.Drain(ctx); err != nil {
		log.Warn("drain timed out; closing the remaining sessions", "error", err)
	}
	a.close()
	ctx, cancel = context.WithTimeout(context.Background(), httpShutdownTimeout)
	defer cancel()
	for _, d := range listeners {
		d.close(ctx)
	}
}

// close ends what is fetched, what pages wait for, and then their sessions, so that
// these do not count as lost. It may be called again.
func (a *App) close() {
	a.end()
	a.fetching.Wait()
	if a.flow != nil {
		_ = a.flow.Close() // always nil
	}
	_ = a.broker.Close() // always nil
	a.closeEvents()
}

// Abandon makes a Run that is draining stop at once. It may be called at any
// time, from any goroutine, and more than once.
func (a *App) Abandon() { a.abandon() }

// Check makes everything that New would make out of a configuration, without
// keeping it, and returns everything that is wrong with its parts. What it
// accepts, New accepts.
func Check(c *config.Config) error {
	_, err := newRules(c)
	_, flowErr := flowOptions(c)
	if err = errors.Join(c.CheckFiles(), err, flowErr); err != nil {
		return c.Locate(err)
	}
	a, err := New(Options{Config: c})
	if err != nil {
		return err
	}
	a.close()
	a.access.close()
	return nil
}
