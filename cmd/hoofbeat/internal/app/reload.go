package app

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Reload reads the configuration, the users and the certificates again, for
// SIGHUP, and applies what can change at run time: rules, origins, hosts,
// limits, those of history, store.reserve, trusted proxies, the log, users and
// certificates. It disconnects no session, but ends subscriptions that the new rules deny. It
// logs what it has done, and the changed keys that need a restart. Parts that
// cannot be read do not change.
func (a *App) Reload() {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	log := a.o.Logger
	c, err := a.o.Reload()
	if err != nil {
		log.Error("reload failed: the configuration is invalid, nothing was changed", "error", oneLine(err))
		return
	}
	done := []any{"log_level", c.Log.Level.String(), "log_sessions", c.Log.Sessions}
	next := a.live.Adopt(c)
	changed := config.Changed(a.live, next)
	if err := a.adopt(next); err != nil {
		log.Error("reload failed: keeping the old rules, origins and limits", "error", oneLine(err))
	} else {
		a.live = next
		if len(changed) > 0 {
			done = append(done, "changed", strings.Join(changed, " "))
		}
	}
	if a.access.Users != nil {
		n, err := a.access.Users.Reload(a.access.Revocations)
		switch {
		case err != nil && n > 0:
			log.Error("reload failed: the unused tickets of changed users are still valid", "error", oneLine(err))
		case err != nil:
			log.Error("reload failed: keeping the old users", "error", oneLine(err))
		default:
			done = append(done, "users", n)
		}
	}
	if a.tls != nil {
		if err := a.tls.reload(); err != nil {
			log.Error("reload failed: keeping the old certificates", "error", oneLine(err))
		} else {
			done = append(done, "certificate", a.tls.files.Cert)
		}
	}
	log.Info("reloaded", done...)
	if changed := config.Changed(next, c); len(changed) > 0 {
		log.Warn("reload: some changes need a restart", "keys", strings.Join(changed, " "))
	}
}

// adopt applies a configuration to the running broker: all of it or, after an
// error, nothing.
func (a *App) adopt(c *config.Config) error {
	authorizer, err := a.access.NewAuthorizer(c)
	if err != nil {
		return err
	}
	tickets, err := a.access.TicketHandler(c)
	if err != nil {
		return err
	}
	now := fitLimits(c, openFiles())
	fitted := now.apply(c)
	o := brokerOptions(fitted)
	if err := a.broker.SetPolicy(broker.Policy{
		Authorizer: authorizer, Origins: o.Origins, Hosts: o.Hosts,
		TrustedProxies: o.TrustedProxies, TrustUnixSockets: o.TrustUnixSockets, Limits: o.Limits,
		History: o.History, HistoryBytes: o.HistoryBytes,
	}); err != nil {
		return config.OptionError("limits", err)
	}
	now.log(a.o.Logger, a.fitting)
	a.fitting = now
	if a.access.Bearer != nil {
		a.access.Bearer.SetWrongTokens(fitted.Limits.AddressFailures)
	}
	a.crowd.limit(fitted.Limits.Connections, fitted.Limits.ConnectionsPerAddress, fitted.Auth.TrustedProxies.Networks)
	if a.store != nil {
		a.store.engine.SetReserve(int64(c.Store.Reserve))
	}
	a.tickets.set(tickets)
	a.o.Level.Set(c.Log.Level)
	a.sessions.Set(sessionLevel(c))
	return nil
}

// replaceable is a handler that a reload can replace.
type replaceable struct{ now atomic.Pointer[http.Handler] }

func (h *replaceable) set(next http.Handler) { h.now.Store(&next) }

func (h *replaceable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*h.now.Load()).ServeHTTP(w, r)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
