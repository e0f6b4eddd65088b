package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	queuestore "github.com/hoofbeat/hoofbeat/broker/store"
)

// openQueues opens the work queues and the delayed messages in the store, and
// counts what they hold.
func (a *App) openQueues(ctx context.Context) error {
	c, s := a.o.Config, a.store
	if c.Queues.Mode == "broadcast" {
		return nil
	}
	q := &c.Queues
	queues, err := queuestore.OpenQueues(ctx, queuestore.Options{
		Data: s.data, Control: s.control,
		Limits: queuestore.Limits{
			Messages: q.Messages, Bytes: int64(q.Bytes), Queues: q.Queues, TotalBytes: int64(q.TotalBytes),
			QueuesPerUser: q.QueuesPerUser, BytesPerUser: int64(q.BytesPerUser),
			Delayed: q.Delayed, DelayedBytes: int64(q.DelayedBytes), DelayedPerUser: q.DelayedPerUser, DelayedBytesPerUser: int64(q.DelayedBytesPerUser),
		},
		SyncAlways: c.Store.Sync.Every == 0,
		Health:     func() error { return s.engine.State().Err },
		Room:       func() error { return storeFull(s.engine.Room()) },
		Logger:     a.o.Logger,
	})
	if err != nil {
		return tooLarge(err)
	}
	s.queues = queues
	return nil
}

// tooLarge names the key if a stream does not fit.
func tooLarge(err error) error {
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == codeNoStorage {
		return fmt.Errorf("the limits of what is kept exceed store.disk: %w", err)
	}
	return err
}

// codeNoStorage is the engine's code for a stream whose limit does not fit.
const codeNoStorage = jetstream.ErrorCode(10047)

// storeFull turns the engine's error into that of a queue.
func storeFull(err error) error {
	var full *embedded.FullError
	if errors.As(err, &full) {
		return &broker.QueueFullError{Key: full.Key, Limit: full.Limit, Text: full.Error()}
	}
	return err
}

// keepQueues makes the broker keep its queues in the store, if there is one.
func (a *App) keepQueues(o *broker.Options) {
	if a.store != nil && a.store.queues != nil {
		o.QueueStore = a.store.queues
	}
}

func (a *App) closeQueues() {
	if q := a.store.queues; q != nil {
		_ = q.Close() // always nil
	}
}

// queuesReady says why the queues cannot be used.
func (a *App) queuesReady() error {
	if a.store.queues == nil {
		return nil
	}
	return a.store.queues.Err()
}
