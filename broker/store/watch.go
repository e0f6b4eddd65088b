package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// watcher notices that the engine does not work, and has one of the stores begin
// again when it does.
type watcher struct {
	o      *Options
	store  string // its name in the log and in errors
	links  [2]*link
	fail   func(error)                     // is told that the engine does not work
	begin  func(ctx context.Context) error // begins again
	begun  func()                          // is called after that; nil for nothing
	tick   func()                          // is called every watchEvery while the engine works; nil for nothing
	failed chan struct{}                   // has a value after a failure
}

// unavailable is the error of calls to a store that could not be finished.
type unavailable struct {
	store string
	cause error
}

func (e *unavailable) Error() string {
	return "the store of the " + e.store + " does not work: " + e.cause.Error()
}
func (e *unavailable) Unwrap() error { return e.cause }

// unfinished returns the error of a call that could not be finished, nil for nil.
func (w *watcher) unfinished(err error) error {
	var known *unavailable
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &unavailable{w.store, err}
}

// again has run begin again. The store has failed, and refuses calls until then.
func (w *watcher) again() {
	select {
	case w.failed <- struct{}{}:
	default:
	}
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	lost, forget := w.losses()
	defer forget()
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost[0]:
			w.fail(errConnection)
		case <-lost[1]:
			w.fail(errConnection)
		case <-w.failed:
			w.recover(ctx, lost)
		case <-ticks.C:
			w.examine()
		}
	}
}

var (
	errConnection = errors.New("the connection to the engine is lost")
	errLate       = errors.New("the engine does not answer")
)

// losses returns channels that have a value after a connection was lost.
func (w *watcher) losses() (lost [2]chan nats.Status, forget func()) {
	conns := [2]*nats.Conn{w.o.Data, w.o.Control}
	for i, conn := range conns {
		lost[i] = conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	}
	return lost, func() {
		for i, conn := range conns {
			conn.RemoveStatusListener(lost[i])
		}
	}
}

func (w *watcher) examine() {
	if w.o.Health != nil {
		if err := w.o.Health(); err != nil {
			w.fail(err)
			return
		}
	}
	if w.links[0].overdue(w.o.Timeout) || w.links[1].overdue(w.o.Timeout) {
		w.fail(errLate)
		return
	}
	if w.tick != nil {
		w.tick()
	}
}

// recover begins again as soon as the engine works. What lost says before that
// has been heard.
func (w *watcher) recover(ctx context.Context, lost [2]chan nats.Status) {
	pause := time.NewTicker(retryEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		for _, ch := range lost {
			for len(ch) > 0 {
				<-ch
			}
		}
		if w.unusable() != nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, beginTimeout)
		err := w.connected(limited, w.begin)
		cancel()
		if err == nil {
			w.o.Logger.Info("the store of the " + w.store + " works again")
			if w.begun != nil {
				w.begun()
			}
			return
		}
		w.o.Logger.Warn("the store of the "+w.store+" does not work yet", "error", err)
	}
}

// unusable says why the engine cannot be asked now.
func (w *watcher) unusable() error {
	if !w.o.Data.IsConnected() || !w.o.Control.IsConnected() {
		return errConnection
	}
	if w.o.Health != nil {
		return w.o.Health()
	}
	return nil
}

// connected runs ask, and ends its context as soon as a connection is lost or the
// engine fails: an answer that was on its way would be waited for in vain.
func (w *watcher) connected(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost, forget := w.losses()
	defer forget()
	if err := w.unusable(); err != nil {
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
				if err := w.unusable(); err != nil {
					cancel(err)
					return
				}
			}
		}
	})
	err := ask(ctx)
	close(done)
	watching.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
