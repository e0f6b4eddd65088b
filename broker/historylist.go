package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
	"github.com/hoofbeat/hoofbeat/topics"
)

// HistoryInfo describes what is kept of a topic with a history.
type HistoryInfo struct {
	Destination string
	Entry       string // History.Destination of the entry that it belongs to
	LastValue   bool   // the entry keeps one message of each destination
	Messages    int
	Bytes       int64 // as they count against History.Bytes
	// Epoch and the numbers are those of the offsets of its messages,
	// <epoch>:<number>.
	Epoch          string
	Oldest, Newest uint64
	Since          time.Time // when the oldest message was kept
}

// ErrNoHistory is returned by [Broker.History] and [Broker.RemoveHistory] if
// nothing is kept of the destination.
var ErrNoHistory = errors.New("broker: no history of this destination")

// Histories returns the topics of which a history has messages, in no order.
// Each is read separately. Safe for concurrent use.
func (b *Broker) Histories() iter.Seq[HistoryInfo] {
	return func(yield func(HistoryInfo) bool) {
		for _, a := range b.archives {
			for kept := range a.store.Destinations() {
				if !yield(b.historyInfo(a, kept)) {
					return
				}
			}
		}
	}
}

// History returns one of [Broker.Histories]. The error is ErrNoHistory or
// ErrDestination.
func (b *Broker) History(destination string) (HistoryInfo, error) {
	a, path, err := b.oneHistory(destination)
	if err != nil {
		return HistoryInfo{}, err
	}
	kept, ok := a.store.Of(path)
	if !ok {
		return HistoryInfo{}, fmt.Errorf("%w: it has no messages", ErrNoHistory)
	}
	return b.historyInfo(a, kept), nil
}

// RemoveHistory removes what is kept of a topic and returns the number of its
// messages. The entry gets a new epoch, and the numbers go on: a client that
// comes back to any destination of the entry with an older offset gets
// recovered:false and everything that is left. Subscribers stay, and a message
// that is published meanwhile is either removed or kept after it.
//
// The error is ErrNoHistory, ErrDestination, that of ctx, or that of an
// [Options.HistoryStore]: then the messages may be removed or not, all or none of
// them. Safe for concurrent use.
func (b *Broker) RemoveHistory(ctx context.Context, destination string) (int, error) {
	a, path, err := b.oneHistory(destination)
	if err != nil {
		return 0, err
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case b.ctx.Err() != nil:
		return 0, ErrClosed
	}
	a.removing.Lock()
	defer a.removing.Unlock()
	if _, ok := a.store.Of(path); !ok {
		return 0, fmt.Errorf("%w: it has no messages", ErrNoHistory)
	}
	n, err := a.store.Remove(ctx, path)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("broker: removing the history of %s: %w", path, err)
	}
	return n, err
}

// oneHistory returns the archive of a destination, and its name there.
func (b *Broker) oneHistory(destination string) (_ *archive, path string, _ error) {
	parsed, err := b.o.names.Parse(destination)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrDestination, err)
	}
	d := b.destination(parsed)
	if d.Kind != topics.Topic || !d.literal() {
		return nil, "", fmt.Errorf("%w: %q does not name one topic", ErrDestination, destination)
	}
	a := b.archive(d.Destination)
	if a == nil {
		return nil, "", fmt.Errorf("%w: it belongs to no entry (history)", ErrNoHistory)
	}
	return a, d.Path, nil
}

func (b *Broker) historyInfo(a *archive, kept ring.Info) HistoryInfo {
	return HistoryInfo{
		Destination: kept.Destination, Entry: a.text, LastValue: a.single.Load(),
		Messages: kept.Messages, Bytes: kept.Bytes,
		Epoch: a.store.Epoch(), Oldest: kept.Oldest, Newest: kept.Newest, Since: b.started.Add(time.Duration(kept.At)),
	}
}
