package app

import (
	"context"

	"github.com/hoofbeat/hoofbeat/broker"
	queuestore "github.com/hoofbeat/hoofbeat/broker/store"
)

// openHistories prepares the streams of history in the store. The broker opens
// each of them.
func (a *App) openHistories(ctx context.Context) error {
	c, s := a.o.Config, a.store
	histories, err := queuestore.OpenHistories(ctx, queuestore.Options{
		Data: s.data, Control: s.control,
		SyncAlways: c.Store.Sync.Every == 0,
		Health:     func() error { return s.engine.State().Err },
		Room:       func() error { return storeFull(s.engine.Room()) },
		Logger:     a.o.Logger,
	}, historyEntries(c))
	if err != nil {
		return err
	}
	s.histories = histories
	return nil
}

// keepHistories makes the broker keep history in the store, if there is one.
func (a *App) keepHistories(o *broker.Options) {
	if a.store != nil && a.store.histories != nil && len(o.History) > 0 {
		o.HistoryStore = keptHistories{a.store.histories}
	}
}

// keptHistories are histories whose errors name the key.
type keptHistories struct{ *queuestore.Histories }

// Open implements broker.HistoryStore.
func (k keptHistories) Open(ctx context.Context, h broker.History, feed broker.HistoryFeed) (broker.HistoryLog, error) {
	log, err := k.Histories.Open(ctx, h, feed)
	if err != nil {
		return nil, storeError(tooLarge(err))
	}
	return log, nil
}

func (a *App) closeHistories() {
	if h := a.store.histories; h != nil {
		_ = h.Close() // always nil
	}
}

// historiesReady says why history cannot be used.
func (a *App) historiesReady() error {
	if a.store.histories == nil {
		return nil
	}
	return a.store.histories.Err()
}
