package store

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// attempts are the numbers of failed deliveries, by the sequence of the message.
// Each is a record a.<sequence> in a bucket of its own, so that it survives, and
// is also kept here.
type attempts struct {
	mu  sync.Mutex
	all map[uint64]int
}

func (a *attempts) get(sequence uint64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[sequence]
}

func (a *attempts) set(sequence uint64, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = make(map[uint64]int)
	}
	a.all[sequence] = n
}

// forget reports whether there was a number.
func (a *attempts) forget(sequence uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := a.all[sequence]
	delete(a.all, sequence)
	return known
}

func (a *attempts) replace(all map[uint64]int) {
	a.mu.Lock()
	a.all = all
	a.mu.Unlock()
}

// loadAttempts reads the records. Those of messages that do not exist any more
// are removed.
func (q *Queues) loadAttempts(ctx context.Context, state jetstream.StreamState) error {
	all := make(map[uint64]int)
	err := scan(ctx, q.o.Data, q.names.attempts, state, func(m *nats.Msg, _ uint64) {
		sequence, err := strconv.ParseUint(strings.TrimPrefix(m.Header.Get(headerSubject), q.names.records+"a."), 10, 64)
		if err != nil {
			return
		}
		if n, err := strconv.Atoi(string(m.Data)); err == nil && n > 0 {
			all[sequence] = n
		}
	})
	if err != nil {
		return err
	}
	live := q.ledger.sequences(all)
	for sequence := range all {
		if _, ok := live[sequence]; ok {
			continue
		}
		delete(all, sequence)
		if err := q.purgeRecord(ctx, sequence); err != nil {
			return err
		}
	}
	q.attempts.replace(maps.Clone(all))
	return nil
}

func (q *Queues) purgeRecord(ctx context.Context, sequence uint64) error {
	m, err := q.o.Control.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+q.names.attempts, []byte(`{"filter":"`+q.names.record(sequence)+`"}`))
	if err != nil {
		return err
	}
	return apiAnswer(m, nil)
}

// record stores the attempts of a message.
func (q *Queues) record(sequence uint64, n int, done func(error)) {
	q.attempts.set(sequence, n)
	q.control.request(q.names.record(sequence), []byte(strconv.Itoa(n)), func(m *nats.Msg, err error) {
		if err == nil {
			_, err = putAnswer(m)
		}
		done(err)
	})
}

// unrecord removes the attempts of a message that is gone.
func (q *Queues) unrecord(sequence uint64) {
	if !q.attempts.forget(sequence) {
		return
	}
	q.control.request("$JS.API.STREAM.PURGE."+q.names.attempts, []byte(`{"filter":"`+q.names.record(sequence)+`"}`), func(m *nats.Msg, err error) {
		if err == nil {
			err = apiAnswer(m, nil)
		}
		if err != nil && !errors.Is(err, errClosed) { // removed at the next start
			q.log.Warn("the attempts of a message that is gone could not be removed", "sequence", sequence, "error", err)
		}
	})
}
