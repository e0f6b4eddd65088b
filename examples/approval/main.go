// Command approval is the story that Hoofbeat exists for: a page waits for
// something that a person does elsewhere. Somebody signs in to an application, is
// asked to approve it on a phone, and the page goes on at once.
//
//	npm install --prefix examples
//	go run ./examples/approval
//
// Two sites run on loopback, as they would on two machines: the application,
// Greenhouse, and the authorization server it sends people to, Hoofbeat ID. Pages
// of both wait at one broker.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

func main() {
	app := flag.String("app", "127.0.0.1:8094", "address of the application")
	provider := flag.String("provider", "127.0.0.1:8095", "address of the authorization server")
	modules := flag.String("modules", "examples/node_modules", "where npm put @stomp/stompjs")
	wait := flag.Duration("wait", 2*time.Minute, "how long a page waits for the phone")
	flag.Parse()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(logger, *app, *provider, *modules, *wait); err != nil {
		logger.Error(err.Error())
		os.Exit(1)
	}
}

func run(logger *slog.Logger, app, provider, modules string, wait time.Duration) error {
	if !web.Loopback(app) || !web.Loopback(provider) {
		return errors.New("the demo hands its phone to whoever asks: it listens on a loopback address only, such as 127.0.0.1:8094")
	}
	if _, err := os.Stat(filepath.Join(modules, "@stomp", "stompjs")); err != nil {
		return errors.New("@stomp/stompjs is missing: npm install --prefix examples")
	}
	d, err := newDemo(options{
		App: "http://" + app, Provider: "http://" + provider, Modules: modules, Wait: wait, Every: 2 * time.Second, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer d.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	servers := []*http.Server{
		{Addr: app, Handler: d.App, ReadHeaderTimeout: 5 * time.Second},
		{Addr: provider, Handler: d.Provider, ReadHeaderTimeout: 5 * time.Second},
	}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() { failed <- s.ListenAndServe() }()
		defer s.Close()
	}
	go d.fetchReadings(ctx)
	logger.Info("open the application", "url", "http://"+app)
	logger.Info("open the phone in a second window", "url", "http://"+provider+"/device")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
