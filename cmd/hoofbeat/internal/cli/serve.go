package cli

import (
	"log/slog"
	"runtime/debug"

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
		Long: `Run the broker until SIGTERM or Ctrl-C. It then accepts no new sessions, writes
the pending messages, tells the clients to reconnect, and exits. A second signal
stops it immediately. SIGHUP reloads rules, origins, limits, trusted proxies,
users, certificates and the log settings without disconnecting clients. SIGUSR1
writes the stacks of all goroutines to the log.

With no configuration the broker listens on loopback only, in development mode:
anyone can connect, and logins are not checked. Clients connect to
ws://127.0.0.1:8080/ws, SockJS clients to http://127.0.0.1:8080/ws.
--compatibility=spring changes some defaults to those of Spring's simple broker.

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
			return storeFailure(err)
		}
		// The configuration, and above all what is in the store, took memory to read
		// that is not needed again. The runtime would keep it for minutes.
		go debug.FreeOSMemory()
		defer p.listen(a, log)()
		return a.Run(cmd.Context())
	}
	return cmd
}

// logger writes to standard error: as text to a terminal, else as JSON.
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
