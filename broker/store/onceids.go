package store

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// The engine knows the ids (QueuePut.Once, HistoryPut.Once) of the last two
// minutes in memory. When it starts it reads those of the messages in the stream,
// so that it forgets one that was acknowledged, or that a limit has dropped.
// Therefore each batch with ids has one record more, with all of them, which is
// part of the batch. What is read from the records when the queues, or a history,
// are opened is here.
//
// The records lie under subjects that begin with a number for the time, so that
// one request removes those of half a minute.

const idPeriod = 30 * time.Second

type onceIDs struct {
	mu      sync.Mutex
	known   map[string]int64 // when it was stored, Unix milliseconds
	periods map[int64]bool   // that have records
}

func period(now time.Time) int64 { return now.UnixMilli() / idPeriod.Milliseconds() }

func (o *onceIDs) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known, o.periods = nil, make(map[int64]bool)
}

// knows reports whether a message with this id was stored.
func (o *onceIDs) knows(once string, now time.Time) bool {
	if once == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at, found := o.known[once]
	return found && now.UnixMilli() < at+duplicates.Milliseconds()
}

// load adds the ids of a record.
func (o *onceIDs) load(subject string, at int64, ids []string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n, err := strconv.ParseInt(subject, 10, 64); err == nil {
		o.periods[n] = true
	}
	if now.UnixMilli() >= at+duplicates.Milliseconds() {
		return
	}
	if o.known == nil {
		o.known = make(map[string]int64)
	}
	for _, once := range ids {
		o.known[once] = at
	}
}

// remembered returns the ids that are known, and when they were stored.
func (o *onceIDs) remembered() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		now := time.Now()
		for once, at := range o.known {
			if at := time.UnixMilli(at); now.Before(at.Add(duplicates)) && !yield(once, at) {
				return
			}
		}
	}
}

// record returns the record of the ids of a batch, and false if it has none.
// Subjects of records begin with prefix.
func (o *onceIDs) record(prefix, batch string, puts []put) (put, bool) {
	any := false
	for i := range puts {
		any = any || puts[i].once != ""
	}
	if !any {
		return put{}, false
	}
	now := time.Now()
	n := period(now)
	o.mu.Lock()
	o.periods[n] = true
	o.mu.Unlock()
	subject := prefix + strconv.FormatInt(n, 10) + "." + batch
	return put{subject: subject, data: appendIDs(nil, now.UnixMilli(), puts)}, true
}

// idRecord implements writeOwner.
func (q *Queues) idRecord(batch string, puts []put) (put, bool) {
	return q.ids.record(q.names.ids, batch, puts)
}

// read reads a record that was found in a stream.
func (o *onceIDs) read(prefix, subject string, data []byte) error {
	at, ids, err := parseIDs(data)
	if err != nil {
		return err
	}
	n, _, _ := strings.Cut(strings.TrimPrefix(subject, prefix), ".")
	o.load(n, at, ids, time.Now())
	return nil
}

// Remembered implements [broker.QueueStore]: what is stored after the queues are
// opened is left out.
func (q *Queues) Remembered() iter.Seq2[string, time.Time] {
	return q.ids.remembered()
}

// forgetIDs removes the records that are not needed any more.
func (q *Queues) forgetIDs() {
	ticks := time.NewTicker(idPeriod)
	defer ticks.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case now := <-ticks.C:
			if q.Err() == nil {
				q.forgetIDsBefore(now)
			}
		}
	}
}

func (q *Queues) forgetIDsBefore(now time.Time) {
	ctx, cancel := context.WithTimeout(q.ctx, q.o.Timeout)
	defer cancel()
	if err := q.ids.forget(ctx, now, q.control, q.names.stream, q.names.ids); err != nil { // tried again
		q.log.Warn("ids of messages that are not needed any more could not be removed", "error", err)
	}
}

// forget forgets the ids that are too old, and removes their records.
func (o *onceIDs) forget(ctx context.Context, now time.Time, control *link, stream, prefix string) error {
	o.mu.Lock()
	for once, at := range o.known {
		if now.UnixMilli() >= at+duplicates.Milliseconds() {
			delete(o.known, once)
		}
	}
	if len(o.known) == 0 {
		o.known = nil // a map never shrinks
	}
	last := period(now.Add(-duplicates)) - 1
	var old []int64
	for n := range o.periods {
		if n <= last {
			old = append(old, n)
		}
	}
	o.mu.Unlock()
	for _, n := range old {
		err := together(ctx, 1, func(_ int, done func(error)) {
			control.request("$JS.API.STREAM.PURGE."+stream, []byte(`{"filter":"`+prefix+strconv.FormatInt(n, 10)+`.>"}`), func(m *nats.Msg, err error) {
				if err == nil {
					err = apiAnswer(m, nil)
				}
				done(err)
			})
		})
		if err != nil {
			return err
		}
		o.mu.Lock()
		delete(o.periods, n)
		o.mu.Unlock()
	}
	return nil
}
