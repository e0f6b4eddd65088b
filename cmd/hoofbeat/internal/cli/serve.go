package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// configError is a configuration that the broker does not start with.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

func (p *Program) serve() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the broker",
		Long: `Run the broker until SIGTERM or Ctrl-C: it then takes no new sessions, writes
what is waiting for the others, tells them to reconnect, and ends; a second
signal ends it now. SIGHUP puts rules, origins, limits, trusted proxies, users,
certificates and the log in force again, and disconnects nobody. SIGUSR1 writes
all goroutines to the log.

Without any configuration it serves on this machine only, in development mode:
everybody may connect, and a login is taken at its word. Clients come to
ws://127.0.0.1:8080/ws, and those of SockJS to http://127.0.0.1:8080/ws;
--compatibility=spring makes it what a page that was written for Spring's
broker expects.

Exit codes: 0 ended by a signal, 1 failure, 2 wrong configuration or command
line.`,
		Example: `  hoofbeat serve
  hoofbeat serve -c hoofbeat.yaml
  hoofbeat serve --compatibility spring
  HOOFBEAT_LISTEN=:8080 HOOFBEAT_AUTH_USERS_FILE=users.yaml hoofbeat serve --limits-frame 1MiB`,
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	flags := config.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		load := func() (*config.Config, error) {
			return config.Load(config.Sources{File: file, Env: p.Env, Flags: flags})
		}
		c, err := load()
		if err != nil {
			return configError{err}
		}
		level := new(slog.LevelVar)
		level.Set(c.Log.Level)
		log := p.logger(c.Log.Format, level)
		a, err := app.New(app.Options{Config: c, Reload: load, Logger: log, Level: level, Getenv: p.getenv, Version: version()})
		if err != nil {
			return configError{err}
		}
		defer p.listen(a, log)()
		return a.Run(cmd.Context())
	}
	return cmd
}

// logger writes to standard error, for people if one is looking.
func (p *Program) logger(format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "auto" {
		format = "json"
		if _, ok := terminal(p.Err); ok {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(p.Err, o))
	}
	return slog.New(slog.NewJSONHandler(p.Err, o))
}

// listen obeys the signals of an operator until stop is called. The first of
// those that end the program ends the context of its commands; the second is
// for here.
func (p *Program) listen(a *app.App, log *slog.Logger) (stop func()) {
	ends, others := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(others, append(dumpSignals(), syscall.SIGHUP)...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-ends:
				if seen++; seen > 1 {
					a.Abandon()
				}
			case s := <-others:
				if s == syscall.SIGHUP {
					a.Reload()
				} else {
					log.Info("goroutines", "stacks", string(stacks()))
				}
			}
		}
	}()
	return func() {
		signal.Stop(ends)
		signal.Stop(others)
		cancel()
		<-done
	}
}
