// Package app is the running broker of `hoofbeat serve`. It creates a
// [broker.Broker] from a configuration, opens its listeners, and shuts it down
// without losing sent messages.
//
//	a, err := app.New(app.Options{Config: c, Logger: logger})
//	if err != nil {
//		return err // an error in the configuration
//	}
//	return a.Run(ctx) // until ctx ends, then drained
//
// It does not touch the process itself: the caller handles signals, standard
// streams and exit codes.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/access"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/events"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/fetch"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/handlers"
)

// Options configure an App.
type Options struct {
	// Config is the checked configuration. Required.
	Config *config.Config
	// Reload reads the configuration again for [App.Reload], from the source of
	// Config. Nil means that it cannot change.
	Reload func() (*config.Config, error)
	// Logger receives all records; nil means no logging.
	Logger *slog.Logger
	// Level, if set, is the level of Logger. A reload may change it.
	Level *slog.LevelVar
	// Getenv returns systemd's environment variables NOTIFY_SOCKET and
	// STATE_DIRECTORY. Nil means that none is set.
	Getenv func(string) string
	// Version is logged at the start.
	Version string
}

// App is one broker with its listeners.
type App struct {
	o      Options
	broker *broker.Broker
	access *access.Access
	tls    *certificates // nil without TLS
	// sessions is the level of the records about sessions. A reload may change
	// it.
	sessions slog.LevelVar
	flow     *webflow.Flow    // nil when webflow is not enabled
	events   []*events.Sender // of events.url and webflow.events.url

	store *store // nil without store.dir
	nodes *nodes // nil if this node is alone
	// adminListener is open already if there is a store, until open takes it.
	adminListener net.Listener
	handlers      *handlers.Set // nil without handlers

	fetcher  *fetch.Fetcher // nil without auth.oauth[].fetch
	fetching sync.WaitGroup
	serving  context.Context // cancelled by close
	end      context.CancelFunc

	crowd   *crowd
	away    *turnedAway
	quiet   loglimit.Limiter // for lines that any client can cause
	tickets replaceable
	sockJS  *sockjs.Endpoint // nil if it is off

	reloading sync.Mutex
	live      *config.Config  // the configuration in force, guarded by reloading
	fitting   fitting         // its limits, guarded by reloading
	patience  context.Context // cancelled by Abandon
	abandon   context.CancelFunc
}

// New opens the store and creates the broker but opens no listeners. The error
// is about the configuration, a rule, a user or a certificate, and names the
// position of the key, or it is a [*StoreError]. After New, call Run.
func New(o Options) (*App, error) {
	a, err := build(o, func(a *App, ctx context.Context) error {
		if err := a.openStore(ctx); err != nil {
			return err
		}
		return a.joinNodes()
	})
	if err != nil {
		return nil, located(o.Config, err)
	}
	return a, nil
}

// build creates an App, which gets its store from open.
func build(o Options, open func(*App, context.Context) error) (_ *App, err error) {
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
	a.away = &turnedAway{log: o.Logger}
	a.patience, a.abandon = context.WithCancel(context.Background())
	a.serving, a.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			a.closeAdminListener()
			a.leaveNodes()
			a.closeStore()
		}
	}()
	if err := open(a, a.patience); err != nil {
		return nil, err
	}
	if a.access, err = access.New(o.Config, o.Logger, a.kept()); err != nil {
		return nil, err
	}
	a.access.OnRefused = a.ticketRefused
	tickets, err := a.access.TicketHandler(o.Config)
	if err != nil {
		return nil, err
	}
	a.tickets.set(tickets)
	if a.tls, err = newCertificates(o.Config.TLS); err != nil {
		return nil, err
	}
	a.fitting = fitLimits(o.Config, openFiles())
	a.fitting.log(o.Logger, fitting{})
	fitted := a.fitting.apply(o.Config)
	a.crowd = newCrowd(fitted.Limits.Connections, fitted.Limits.ConnectionsPerAddress, fitted.Auth.TrustedProxies.Networks, o.Logger)
	options := brokerOptions(fitted)
	options.Authenticator = a.access.Authenticator
	options.Authorizer = a.access.Authorizer
	options.Revocations = a.access.Revocations
	options.Logger = o.Logger
	a.sessions.Set(sessionLevel(o.Config))
	options.SessionLog = &a.sessions
	a.keepQueues(&options)
	a.keepDurables(&options)
	a.keepHistories(&options)
	a.joinTopics(&options)
	if a.broker, err = broker.New(options); err != nil {
		return nil, config.OptionError("limits", err)
	}
	a.access.Broker = a.broker
	for _, step := range []func() error{a.makeEvents, a.makeFlow, a.makeFetcher, a.makeHandlers} {
		if err := step(); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

// Run opens the listeners, serves until ctx ends, and then drains. While
// draining, /readyz fails for drain.delay; then the broker accepts no new
// sessions, delivers waiting messages to the open ones and tells them to
// reconnect, within drain.timeout. Run returns nil afterwards, or an error at
// once if a listener cannot be opened or fails. Call Run only once.
func (a *App) Run(ctx context.Context) error {
	defer a.abandon()
	defer a.closeStore()
	defer a.leaveNodes()
	defer a.access.Close()
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
	if err := a.reportNode(urlOf(listeners)); err != nil {
		a.stop(listeners)
		serving.Wait()
		return err
	}
	for _, text := range Warnings(a.o.Config) {
		log.Warn(text)
	}
	if a.o.Config.Development() {
		log.Warn("development mode: no authentication is configured; any client on this machine can connect as anyone")
	}
	a.startFetching()
	log.Info("ready", "origins", a.o.Config.WhoseOrigins(), "hosts", a.o.Config.WhoseHosts())
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

// Check creates and discards everything that New would create from a
// configuration, and returns all errors of its parts. New accepts what Check
// accepts.
func Check(c *config.Config) error {
	_, flowErr := flowOptions(c)
	_, eventsErr := selectEvents(c)
	if err := errors.Join(c.CheckFiles(), access.CheckRules(c), flowErr, eventsErr); err != nil {
		return c.Locate(err)
	}
	// The store may be in use by the broker that this configuration is for.
	a, err := build(Options{Config: c}, func(*App, context.Context) error { return nil })
	if err != nil {
		return c.Locate(err)
	}
	a.close()
	a.access.Close()
	return nil
}
