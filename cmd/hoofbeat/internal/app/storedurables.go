package app

import (
	"context"

	"github.com/hoofbeat/hoofbeat/broker"
	queuestore "github.com/hoofbeat/hoofbeat/broker/store"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
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
		MaxBytes:   int64(c.Store.Disk / config.DurableShare),
		SyncAlways: c.Store.Sync.Every == 0,
		Health:     func() error { return s.engine.State().Err },
		Room:       func() error { return storeFull(s.engine.Room()) },
		Logger:     a.o.Logger,
	})
	if err != nil {
		return tooLarge(err)
	}
	s.durables = durables
	return nil
}

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
