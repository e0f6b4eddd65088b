package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/cluster"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/access"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// stateShare is the part of store.disk that everything takes which is no
// message.
const stateShare = 8

// openState opens what is kept besides messages: tickets, revocations, logins
// and operations. It waits until all revocations are known.
func (a *App) openState(ctx context.Context, o embedded.Options) error {
	js, err := jetstream.New(a.store.control)
	if err != nil {
		return storeError(err)
	}
	so := cluster.StateOptions{
		Bytes: o.Disk / stateShare, Encrypted: o.Key != "", Room: func() error { return stateFull(a.store.engine.Room()) }, Watch: a.store.watch, Logger: a.o.Logger,
	}
	if a.store.clustered {
		return a.openShared(ctx, js, so)
	}
	a.store.state, err = cluster.OpenState(ctx, js, so)
	return storeError(err)
}

// stateFull turns the engine's error into what a client is told.
func stateFull(err error) error {
	if full, ok := errors.AsType[*embedded.FullError](err); ok {
		return &auth.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: roomRetry, Reason: full.Error(), Key: full.Key}
	}
	return err
}

// roomRetry is when there may be room again.
const roomRetry = 2 * time.Second

// watch reports whether the engine can store. When it was restarted, what was
// on its way is lost, and there may have been no time to say so.
func (s *store) watch(report func(error)) (stop func()) {
	run := 0
	return s.engine.Watch(func(now embedded.State) {
		if run != 0 && run != now.Run {
			report(embedded.ErrUnavailable)
		}
		run = now.Run
		report(now.Err)
	})
}

// kept returns where access keeps what survives, if there is a store.
func (a *App) kept() access.Kept {
	if a.store == nil {
		return access.Kept{}
	}
	s := a.store.state
	return access.Kept{Tickets: s.Tickets(), Revocations: s.Revocations(), Logins: s.Records(), Secret: s.Secret()}
}

// keepOperations has Web Flow keep its operations, if there is a store. Alone,
// the sessions of earlier processes have ended.
func (a *App) keepOperations(o *webflow.Options) {
	if a.store == nil {
		return
	}
	if a.store.clustered { // a session that is not here may be on another node
		o.Store = a.store.state.Operations()
		return
	}
	o.Store, o.Ended = a.store.state.Operations(), func(string) bool { return true }
}

// unkept warns of tokens that a store could keep, if it had a key.
func unkept(c *config.Config) []string {
	if c.Store.Dir == "" || len(c.Auth.OAuth) == 0 || c.Store.Key.Set() || c.Auth.Sessions.TokenStoreKey.Set() {
		return nil
	}
	return []string{"auth.oauth: the tokens of the providers are in memory only and end with this process, because nothing encrypts them on disk: set store.key or auth.sessions.token_store_key"}
}
