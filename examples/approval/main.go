// Command approval demonstrates Hoofbeat's main purpose: a page waits for
// something that a user does elsewhere. A user signs in to an application and
// must approve the sign-in on a phone. The page then continues at once.
//
//	npm install --prefix examples
//	go run ./examples/approval
//
// Two sites run on loopback, as if on two machines: the application,
// Greenhouse, and its authorization server, Hoofbeat ID. The pages of both use
// one broker. It is in this process, or with -broker and -admin in one of its
// own that may be killed; README.md says how.
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

	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/web"
)

func main() {
	app := flag.String("app", "127.0.0.1:8094", "address of the application")
	provider := flag.String("provider", "127.0.0.1:8095", "address of the authorization server")
	modules := flag.String("modules", "examples/node_modules", "node_modules directory with @stomp/stompjs")
	wait := flag.Duration("wait", 2*time.Minute, "how long a page waits for the phone")
	broker := flag.String("broker", "", "address of a broker to use, such as http://127.0.0.1:8080; empty: one in this process")
	admin := flag.String("admin", "http://127.0.0.1:8081", "address of the admin API of -broker")
	flag.Parse()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var remote *hub.RemoteOptions
	if *broker != "" {
		remote = &hub.RemoteOptions{
			Broker: *broker, Admin: *admin, Token: os.Getenv("HOOFBEAT_ADMIN_TOKEN"), Secret: os.Getenv("HOOFBEAT_AUTH_TICKETS_SECRET"), Logger: logger,
		}
	}
	if err := run(logger, *app, *provider, *modules, *wait, remote); err != nil {
		logger.Error(err.Error())
		os.Exit(1)
	}
}

func run(logger *slog.Logger, app, provider, modules string, wait time.Duration, remote *hub.RemoteOptions) error {
	if !web.Loopback(app) || !web.Loopback(provider) {
		return errors.New("anyone who can reach the demo controls its phone: listen on a loopback address, such as 127.0.0.1:8094")
	}
	if _, err := os.Stat(filepath.Join(modules, "@stomp", "stompjs")); err != nil {
		return errors.New("@stomp/stompjs is missing: npm install --prefix examples")
	}
	if remote != nil && (remote.Token == "" || remote.Secret == "") {
		return errors.New("-broker needs HOOFBEAT_ADMIN_TOKEN and HOOFBEAT_AUTH_TICKETS_SECRET, those of the broker")
	}
	d, err := newDemo(options{
		App: "http://" + app, Provider: "http://" + provider, Modules: modules, Wait: wait, Every: 2 * time.Second, Logger: logger,
		Broker: remote,
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
	go d.idp.Run(ctx)
	logger.Info("open the application", "url", "http://"+app)
	logger.Info("open the phone in a second window", "url", "http://"+provider+"/device")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
