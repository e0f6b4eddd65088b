package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	queuestore "github.com/hoofbeat/hoofbeat/broker/store"
)

// openDurables opens the durable subscriptions in the store. If the configuration
// names no topic for them, what earlier ones left stays in the directory.
func (a *App) openDurables(ctx context.Context) error {
	c, s := a.o.Config, a.store
	if len(c.Durable) == 0 {
		return nil
	}
	durables, err := queuestore.OpenDurables(ctx, queuestore.Options{
		Data: s.data, Control: s.control,
		MaxBytes:   int64(c.Store.Disk) / durablePart,
		SyncAlways: c.Store.Sync.Every == 0,
		Health:     func() error { return s.engine.State().Err },
		Room:       func() error { return storeFull(s.engine.Room()) },
		Logger:     a.o.Logger,
	})
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == codeNoStorage {
		return fmt.Errorf("the limits of what is kept exceed store.disk: %w", err)
	}
	if err != nil {
		return err
	}
	s.durables = durables
	return nil
}

// durablePart is the part of store.disk for the messages of durable
// subscriptions: one of so many.
const durablePart = 8

// keepDurables makes the broker keep its durable subscriptions in the store, if
// there is one.
func (a *App) keepDurables(o *broker.Options) {
	if a.store != nil && a.store.durables != nil {
		o.DurableStore = a.store.durables
	}
}

func (a *App) closeDurables() {
	if d := a.store.durables; d != nil {
		_ = d.Close() // always nil
	}
}

// durablesReady says why durable subscriptions cannot be stored.
func (a *App) durablesReady() error {
	if a.store.durables == nil {
		return nil
	}
	return a.store.durables.Err()
}
