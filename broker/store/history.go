package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Histories keeps the messages of topics with a history, each entry of the
// configuration in a stream of its own. It implements [broker.HistoryStore]. All
// methods are safe for concurrent use.
//
// If the engine fails or does not answer, all calls that wait get an error, and
// new ones are refused until it works again. Then what was stored meanwhile is
// handed over.
type Histories struct {
	o             Options
	log           *slog.Logger
	names         historyNames
	data, control *link

	mu     sync.Mutex
	err    error // why it does not work, nil if it does
	closed bool
	logs   []*historyLog

	failed chan struct{}   // has a value after a failure
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

// OpenHistories returns the histories of an engine. Options.Limits and MaxBytes
// are those of the queues and mean nothing here: each entry has its own. It logs
// which entries the store has that keep, which are those of the configuration,
// does not contain.
func OpenHistories(ctx context.Context, o Options, keep []broker.History) (*Histories, error) {
	if o.Data == nil || o.Control == nil {
		return nil, errors.New("store: Options.Data and Options.Control are required")
	}
	if o.Timeout <= 0 {
		o.Timeout = apiTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.maxMessage = int32(min(o.Data.MaxPayload(), 1<<30)) //nolint:gosec // bounded
	h := &Histories{o: o, log: o.Logger, names: historyNamesOf(o.Prefix), failed: make(chan struct{}, 1)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	var err error
	if h.data, err = newLink(o.Data); err != nil {
		h.stop()
		return nil, fmt.Errorf("store: %w", err)
	}
	if h.control, err = newLink(o.Control); err != nil {
		h.data.close()
		h.stop()
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := h.tellForgotten(ctx, keep); err != nil {
		h.data.close()
		h.control.close()
		h.stop()
		return nil, fmt.Errorf("store: opening the histories: %w", err)
	}
	h.data.open()
	h.control.open()
	h.tasks.Go(h.watch)
	return h, nil
}

// Close ends the use of the streams. It waits up to five seconds for messages
// that are on their way.
func (h *Histories) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	logs := slices.Clone(h.logs)
	h.mu.Unlock()
	for _, l := range logs {
		l.Close()
	}
	h.stop()
	h.data.shut(errClosed)
	h.control.shut(errClosed)
	h.tasks.Wait()
	h.data.close()
	h.control.close()
	return nil
}

// Err returns why the histories do not work now, or nil.
func (h *Histories) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// noHistory is the error of calls that could not be finished.
type noHistory struct{ cause error }

func (e *noHistory) Error() string {
	return "the store of the histories does not work: " + e.cause.Error()
}
func (e *noHistory) Unwrap() error { return e.cause }

// fail stops the use of the engine until it works again.
func (h *Histories) fail(err error) {
	h.mu.Lock()
	first := h.err == nil && !h.closed
	if first {
		h.err = &noHistory{err}
	}
	failure, logs := h.err, slices.Clone(h.logs)
	h.mu.Unlock()
	if !first {
		return
	}
	h.log.Error("the store of the histories does not work; nothing is stored until it does", "error", err)
	for _, l := range logs {
		l.pause(failure)
	}
	h.data.shut(failure)
	h.control.shut(failure)
	select {
	case h.failed <- struct{}{}:
	default:
	}
}

// watch notices failures, and begins again after them.
func (h *Histories) watch() {
	lost := make([]chan nats.Status, 0, 2)
	for _, conn := range []*nats.Conn{h.o.Data, h.o.Control} {
		ch := conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		defer conn.RemoveStatusListener(ch)
		lost = append(lost, ch)
	}
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-lost[0]:
			h.fail(errConnection)
		case <-lost[1]:
			h.fail(errConnection)
		case <-h.failed:
			h.recover()
		case <-ticks.C:
			h.examine()
		}
	}
}

func (h *Histories) examine() {
	if h.o.Health != nil {
		if err := h.o.Health(); err != nil {
			h.fail(err)
			return
		}
	}
	if h.data.overdue(h.o.Timeout) || h.control.overdue(h.o.Timeout) {
		h.fail(errLate)
		return
	}
	for _, l := range h.all() {
		l.examine()
	}
}

func (h *Histories) all() []*historyLog {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.logs)
}

// recover begins again as soon as the engine works.
func (h *Histories) recover() {
	pause := time.NewTicker(retryEvery)
	defer pause.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-pause.C:
		}
		if !h.o.Data.IsConnected() || !h.o.Control.IsConnected() || h.o.Health != nil && h.o.Health() != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(h.ctx, beginTimeout)
		err := h.again(ctx)
		cancel()
		if err == nil {
			h.log.Info("the store of the histories works again")
			return
		}
		h.log.Warn("the store of the histories does not work yet", "error", err)
	}
}

// again begins again with all entries.
func (h *Histories) again(ctx context.Context) error {
	for _, l := range h.all() {
		if err := l.begin(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.limits().Destination, err)
		}
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed
	}
	h.err = nil
	logs := slices.Clone(h.logs)
	h.mu.Unlock()
	h.data.open()
	h.control.open()
	for _, l := range logs {
		l.resume()
	}
	return nil
}

// Open implements [broker.HistoryStore].
func (h *Histories) Open(ctx context.Context, entry broker.History, feed broker.HistoryFeed) (broker.HistoryLog, error) {
	if err := h.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	l, err := openHistory(ctx, h, entry, feed)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	h.mu.Lock()
	ok := !h.closed && h.err == nil
	if ok {
		h.logs = append(h.logs, l)
	}
	h.mu.Unlock()
	if !ok {
		l.Close()
		return nil, errClosed
	}
	l.resume()
	return l, nil
}

// forget removes an entry that was closed.
func (h *Histories) forget(l *historyLog) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = slices.DeleteFunc(h.logs, func(x *historyLog) bool { return x == l })
}
