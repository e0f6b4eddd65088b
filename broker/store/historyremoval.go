package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// The removal of a destination is a record in the stream of its entry. What was
// stored of the destination before the record counts as removed from then on,
// whether the engine still has it or not, so a process that is killed between the
// record and the end of the work leaves nothing undone. All brokers get the
// record in its order among the messages. The epoch follows from the last record,
// and from that of the stream, which changes when messages may have been lost.
//
// A limit that drops the last record has dropped all messages before it. Then the
// next broker knows the epoch before it, whose numbers are all too old to prove
// anything.

// removalRecord is a record of a removal.
type removalRecord struct {
	sequence    uint64
	destination string
	at          time.Time
	purged      bool // the engine has nothing of it any more
}

// removalBody is what the record says.
type removalBody struct {
	Removed string `json:"removed"` // the destination
}

const (
	sweepEvery = 30 * time.Second
	// removalKept is how long a record stays that is not the last one. A broker
	// that was without the engine for longer knows from the last one that the
	// epoch has changed, but may have messages in memory that were removed.
	removalKept = 24 * time.Hour
)

// removalEpoch returns the epoch after a removal.
func removalEpoch(stream string, sequence uint64) string {
	return hashed(stream+"."+strconv.FormatUint(sequence, 10), 5)
}

// isRemoval reports whether the engine has returned the record of a removal.
func (l *historyLog) isRemoval(m *nats.Msg) bool {
	return strings.HasPrefix(m.Header.Get(headerSubject), l.removalsAt)
}

func parseRemoval(sequence uint64, m *nats.Msg) (removalRecord, error) {
	var body removalBody
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return removalRecord{}, fmt.Errorf("%w: the record of a removal: %w", errAnswer, err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return removalRecord{}, fmt.Errorf("%w: a message without a time", errAnswer)
	}
	return removalRecord{sequence: sequence, destination: body.Removed, at: at}, nil
}

// tellRemoved tells the feed of a removal. The caller holds feeding.
func (l *historyLog) tellRemoved(r removalRecord, stream string) {
	l.feed.Removed(broker.HistoryRemoval{Destination: r.destination, Number: r.sequence, Epoch: removalEpoch(stream, r.sequence)})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = append(l.removed, r)
}

// forgetRemovals is for a stream that is read anew.
func (l *historyLog) forgetRemovals() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = nil
}

// errNotHanded is why a removal is not in force here although it is stored.
var errNotHanded = errors.New("the removal is stored, and in force when the engine works again")

// Remove implements [broker.HistoryLog]. After the record is stored it removes
// the messages; if that fails, the engine is asked again.
func (l *historyLog) Remove(ctx context.Context, destination string) error {
	number, err := l.recordRemoval(ctx, destination)
	if err != nil {
		return err
	}
	if l.handed() < number {
		return l.h.watcher.unfinished(errNotHanded)
	}
	if err := l.purge(ctx, l.kept+hashed(destination, destinationBytes), number); err != nil {
		return l.h.watcher.unfinished(err)
	}
	l.purged(number)
	return nil
}

// recordRemoval stores the record of a removal, and returns its number when feed
// has got it. It needs no room: what it removes is larger.
func (l *historyLog) recordRemoval(ctx context.Context, destination string) (uint64, error) {
	if err := l.h.Err(); err != nil {
		return 0, err
	}
	data, err := json.Marshal(removalBody{destination})
	if err != nil {
		return 0, err
	}
	result := make(chan error, 1)
	x := &write{bytes: len(data), puts: []put{{
		subject: l.removalsAt + hashed(destination, destinationBytes), data: data,
		own: &ownMessage{message: new(broker.Message)},
	}}}
	x.done = func(err error) {
		if err != nil {
			result <- err
			return
		}
		l.confirmed(x.last, func(err error) { result <- err })
	}
	l.writer.add(x)
	select {
	case err := <-result:
		return x.last, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// purge removes the messages of a subject whose numbers are smaller.
func (l *historyLog) purge(ctx context.Context, subject string, number uint64) error {
	return together(ctx, 1, func(_ int, done func(error)) {
		l.h.control.request("$JS.API.STREAM.PURGE."+l.stream, fmt.Appendf(nil, `{"filter":%q,"seq":%d}`, subject, number), func(m *nats.Msg, err error) {
			if err == nil {
				err = apiAnswer(m, nil)
			}
			done(err)
		})
	})
}

func (l *historyLog) purged(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.removed {
		if l.removed[i].sequence == sequence {
			l.removed[i].purged = true
		}
	}
}

// sweepRemovals finishes removals, twice a minute, and removes old records of
// them.
func (l *historyLog) sweepRemovals() {
	now := time.Now()
	if now.Before(l.swept.Add(sweepEvery)) || l.h.Err() != nil {
		return
	}
	l.swept = now
	ctx, cancel := context.WithTimeout(l.h.ctx, l.h.o.Timeout)
	defer cancel()
	if err := l.sweepRemovalsBefore(ctx, now.Add(-removalKept)); err != nil { // tried again
		l.h.log.Warn("what was removed from a history still takes its place in the store", "destination", l.limits().Destination, "error", err)
	}
}

func (l *historyLog) sweepRemovalsBefore(ctx context.Context, end time.Time) error {
	l.mu.Lock()
	list := slices.Clone(l.removed)
	l.mu.Unlock()
	for i, r := range list {
		token := hashed(r.destination, destinationBytes)
		if !r.purged {
			if err := l.purge(ctx, l.kept+token, r.sequence); err != nil {
				return err
			}
			l.purged(r.sequence)
		}
		if i == len(list)-1 || !r.at.Before(end) {
			continue
		}
		if err := l.purge(ctx, l.removalsAt+token, r.sequence+1); err != nil {
			return err
		}
		l.mu.Lock()
		l.removed = slices.DeleteFunc(l.removed, func(x removalRecord) bool { return x.sequence == r.sequence })
		l.mu.Unlock()
	}
	return nil
}
