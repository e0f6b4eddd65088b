package app

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Reload reads the configuration, the users and the certificates again, as
// SIGHUP asks, and puts the log level, the users and the certificates in force:
// for what connects from now on, open sessions go on. It logs what was done, and
// which keys have changed that only a restart can put in force. What cannot be
// read stays as it is.
func (a *App) Reload() {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	log := a.o.Logger
	c, err := a.o.Reload()
	if err != nil {
		log.Error("reload: the configuration is wrong, everything stays as it is", "error", oneLine(err))
		return
	}
	a.o.Level.Set(c.Log.Level)
	a.sessions.Set(sessionLevel(c))
	done := []any{"log_level", c.Log.Level.String(), "log_sessions", c.Log.Sessions}
	if a.who.users != nil {
		n, err := a.who.users.reload(a.who.store)
		if err != nil {
			log.Error("reload: the old users stay", "error", oneLine(err))
		} else {
			done = append(done, "users", n)
		}
	}
	if a.tls != nil {
		if err := a.tls.reload(); err != nil {
			log.Error("reload: the old certificates stay", "error", oneLine(err))
		} else {
			done = append(done, "certificate", a.tls.files.Cert)
		}
	}
	log.Info("reloaded", done...)
	if changed := config.Changed(a.o.Config, c, "log.level", "log.sessions"); len(changed) > 0 {
		log.Warn("reload: some changes need a restart", "keys", strings.Join(changed, " "))
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
