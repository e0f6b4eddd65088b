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

// The engine knows the ids (QueuePut.Once) of the last two minutes in memory.
// When it starts it reads those of the messages in the stream, so that it forgets
// one that was acknowledged. Therefore each batch with ids has one record more,
// with all of them, which is part of the batch. What is read from the records
// when the queues are opened is here.
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

// record returns the record of the ids of a batch, and false if it has none.
func (q *Queues) idRecord(batch string, puts []put) (put, bool) {
	any := false
	for i := range puts {
		any = any || puts[i].once != ""
	}
	if !any {
		return put{}, false
	}
	now := time.Now()
	n := period(now)
	q.ids.mu.Lock()
	q.ids.periods[n] = true
	q.ids.mu.Unlock()
	subject := q.names.ids + strconv.FormatInt(n, 10) + "." + batch
	return put{subject: subject, data: appendIDs(nil, now.UnixMilli(), puts)}, true
}

// loadIDs reads a record that was found in the stream.
func (q *Queues) loadIDs(subject string, data []byte) error {
	at, ids, err := parseIDs(data)
	if err != nil {
		return err
	}
	n, _, _ := strings.Cut(strings.TrimPrefix(subject, q.names.ids), ".")
	q.ids.load(n, at, ids, time.Now())
	return nil
}

// Remembered implements [broker.QueueStore]: what is stored after the queues are
// opened is left out.
func (q *Queues) Remembered() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		q.ids.mu.Lock()
		defer q.ids.mu.Unlock()
		now := time.Now()
		for once, at := range q.ids.known {
			if at := time.UnixMilli(at); now.Before(at.Add(duplicates)) && !yield(once, at) {
				return
			}
		}
	}
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
	o := &q.ids
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
		ctx, cancel := context.WithTimeout(q.ctx, q.o.Timeout)
		err := together(ctx, 1, func(_ int, done func(error)) {
			q.control.request("$JS.API.STREAM.PURGE."+q.names.stream, []byte(`{"filter":"`+q.names.ids+strconv.FormatInt(n, 10)+`.>"}`), func(m *nats.Msg, err error) {
				if err == nil {
					err = apiAnswer(m, nil)
				}
				done(err)
			})
		})
		cancel()
		if err != nil { // tried again
			q.log.Warn("ids of messages that are not needed any more could not be removed", "error", err)
			return
		}
		o.mu.Lock()
		delete(o.periods, n)
		o.mu.Unlock()
	}
}
