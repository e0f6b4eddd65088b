package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// watch notices failures, and begins again after them.
func (q *Queues) watch() {
	lost := make([]chan nats.Status, 0, 2)
	for _, conn := range []*nats.Conn{q.o.Data, q.o.Control} {
		ch := conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		defer conn.RemoveStatusListener(ch)
		lost = append(lost, ch)
	}
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-lost[0]:
			q.fail(errConnection)
		case <-lost[1]:
			q.fail(errConnection)
		case <-q.failed:
			q.recover(lost)
		case <-ticks.C:
			q.examine()
		}
	}
}

var (
	errConnection = errors.New("the connection to the engine is lost")
	errLate       = errors.New("the engine does not answer")
)

func (q *Queues) examine() {
	if q.o.Health != nil {
		if err := q.o.Health(); err != nil {
			q.fail(err)
			return
		}
	}
	if q.data.overdue(q.o.Timeout) || q.control.overdue(q.o.Timeout) {
		q.fail(errLate)
	}
}

// recover begins again as soon as the engine works. What lost says before that
// has been heard.
func (q *Queues) recover(lost []chan nats.Status) {
	pause := time.NewTicker(retryEvery)
	defer pause.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-pause.C:
		}
		for _, ch := range lost {
			for len(ch) > 0 {
				<-ch
			}
		}
		if q.unusable() != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(q.ctx, beginTimeout)
		err := q.beginConnected(ctx)
		cancel()
		if err == nil {
			q.log.Info("the store of the queues works again")
			return
		}
		q.log.Warn("the store of the queues does not work yet", "error", err)
	}
}

// unusable says why the engine cannot be asked now.
func (q *Queues) unusable() error {
	if !q.o.Data.IsConnected() || !q.o.Control.IsConnected() {
		return errConnection
	}
	if q.o.Health != nil {
		return q.o.Health()
	}
	return nil
}

// beginConnected begins, and gives up as soon as a connection is lost or the
// engine fails: an answer that was on its way would be waited for in vain.
func (q *Queues) beginConnected(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := make([]chan nats.Status, 2)
	for i, conn := range []*nats.Conn{q.o.Data, q.o.Control} {
		lost[i] = conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		defer conn.RemoveStatusListener(lost[i])
	}
	if err := q.unusable(); err != nil {
		return err
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticks := time.NewTicker(watchEvery)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				return
			case <-lost[0]:
				cancel(errConnection)
				return
			case <-lost[1]:
				cancel(errConnection)
				return
			case <-ticks.C:
				if err := q.unusable(); err != nil {
					cancel(err)
					return
				}
			}
		}
	})
	err := q.begin(ctx)
	close(done)
	watching.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
