package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

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

	watcher watcher
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// OpenHistories returns the histories of an engine. Options.Limits and MaxBytes
// are those of the queues and mean nothing here: each entry has its own. It logs
// which entries the store has that keep, which are those of the configuration,
// does not contain.
func OpenHistories(ctx context.Context, o Options, keep []broker.History) (*Histories, error) {
	data, control, err := o.connect()
	if err != nil {
		return nil, err
	}
	h := &Histories{o: o, log: o.Logger, names: historyNamesOf(o.Prefix), data: data, control: control}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.watcher = watcher{
		o: &h.o, store: "histories", links: [2]*link{data, control}, fail: h.fail, begin: h.again, tick: h.examine,
		failed: make(chan struct{}, 1),
	}
	if err := h.watcher.connected(ctx, func(ctx context.Context) error { return h.tellForgotten(ctx, keep) }); err != nil {
		h.data.close()
		h.control.close()
		h.stop()
		return nil, fmt.Errorf("store: opening the histories: %w", err)
	}
	h.data.open()
	h.control.open()
	h.tasks.Go(func() { h.watcher.run(h.ctx) })
	return h, nil
}

// Close ends the use of the streams. It waits up to five seconds for messages
// that are on their way, those of all entries together.
func (h *Histories) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	logs := slices.Clone(h.logs)
	h.mu.Unlock()
	end := time.Now().Add(closeTimeout)
	var settling sync.WaitGroup
	for _, l := range logs {
		settling.Go(func() { l.writer.settle(end) })
	}
	settling.Wait()
	h.stop()
	h.data.shut(errClosed)
	h.control.shut(errClosed)
	for _, l := range logs {
		l.end()
	}
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

// fail stops the use of the engine until it works again.
func (h *Histories) fail(err error) {
	h.mu.Lock()
	first := h.err == nil && !h.closed
	if first {
		h.err = h.watcher.unfinished(err)
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
	h.watcher.again()
}

func (h *Histories) examine() {
	for _, l := range h.all() {
		l.examine()
	}
}

func (h *Histories) all() []*historyLog {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.logs)
}

// again begins again with all entries.
func (h *Histories) again(ctx context.Context) error {
	for _, l := range h.all() {
		if err := l.begin(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.limits().Destination, err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.err = nil
	h.data.open()
	h.control.open()
	for _, l := range h.logs {
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
	var l *historyLog
	err := h.watcher.connected(ctx, func(ctx context.Context) (err error) {
		l, err = openHistory(ctx, h, entry, feed)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := h.use(l); err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// use has an entry store and deliver, unless the engine has failed since it was
// opened.
func (h *Histories) use(l *historyLog) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errClosed
	case h.err != nil:
		return h.err
	}
	h.logs = append(h.logs, l)
	l.resume()
	return nil
}

// forget removes an entry that was closed.
func (h *Histories) forget(l *historyLog) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = slices.DeleteFunc(h.logs, func(x *historyLog) bool { return x == l })
}
