package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Shares returns what counts against each share.
func (q *Queues) Shares() map[string]string {
	q.ledger.mu.Lock()
	defer q.ledger.mu.Unlock()
	all := map[string]string{"total": fmt.Sprint(q.ledger.bytes, " ", q.ledger.counted, " ", q.ledger.expiring)}
	for name, s := range q.ledger.shares {
		all[name] = fmt.Sprint(s.bytes, " ", s.uses, " ", s.queues)
	}
	return all
}

// SubjectOf returns the subject of a queue.
func SubjectOf(queue string) string {
	token, _ := queueToken(queue)
	n := namesOf("")
	return n.subjects + token
}

// DelayMark returns the subject of the mark that a delayed message was moved.
func DelayMark(id string) string {
	n := namesOf("")
	return n.delayMark(id)
}

// ForgetIDsBefore removes the ids that are not needed at a time.
func (q *Queues) ForgetIDsBefore(now time.Time) { q.forgetIDsBefore(now) }

// Fail is what happens when the engine fails.
func (h *Histories) Fail(err error) { h.fail(err) }

// Fail is what happens when the engine fails.
func (s *Durables) Fail(err error) { s.fail(err) }

// ForgetHistoryIDs removes the ids of an entry that are not needed at a time.
func ForgetHistoryIDs(ctx context.Context, log broker.HistoryLog, now time.Time) error {
	l := log.(*historyLog)
	return l.ids.forget(ctx, now, l.h.control, l.stream, l.idsAt)
}

// RecordRemoval is all that a process has done that was killed in the middle of a
// removal.
func RecordRemoval(ctx context.Context, log broker.HistoryLog, destination string) error {
	_, err := log.(*historyLog).recordRemoval(ctx, destination)
	return err
}

// SweepRemovals finishes removals, and forgets the old ones of that time.
func SweepRemovals(ctx context.Context, log broker.HistoryLog, end time.Time) error {
	return log.(*historyLog).sweepRemovalsBefore(ctx, end)
}

// RemovalSubjects returns the subjects of the messages of a destination, and of
// the records of all removals.
func RemovalSubjects(log broker.HistoryLog, destination string) (messages, records string) {
	l := log.(*historyLog)
	return l.kept + hashed(destination, destinationBytes), l.removalsAt + ">"
}

// MaxBehind is how many acknowledgements the engine may be behind before no more
// messages are asked for, and Behind how many it is.
const MaxBehind, PullBatch = maxBehind, pullBatch

func (q *Queues) Behind() (n int) {
	for _, s := range q.allSources() {
		s.mu.Lock()
		n += int(s.said - s.processed)
		s.mu.Unlock()
	}
	return n
}

// Delivery returns what gives the readers of a queue a message of the engine as
// if the engine had sent it, for the n-th time, before it was removed.
func (q *Queues) Delivery(queue string, sequence uint64, n int) (arrive func(), err error) {
	m, err := q.o.Control.Request("$JS.API.DIRECT.GET."+q.names.stream, fmt.Appendf(nil, `{"seq":%d}`, sequence), q.o.Timeout)
	if err != nil {
		return nil, err
	}
	reply := fmt.Sprintf("$JS.ACK.%s.consumer.%d.%d.1.%d.0", q.names.stream, n, sequence, time.Now().UnixNano())
	m = &nats.Msg{Subject: m.Header.Get("Nats-Subject"), Reply: reply, Data: m.Data}
	s := q.sourceOf(queue)
	return func() {
		s.mu.Lock()
		s.arrived(new(pull), m)
		s.mu.Unlock()
		s.offer()
	}, nil
}

// Departing marks a message as being removed, until end is called with the
// engine's answer.
func (q *Queues) Departing(queue string, sequence uint64) (end func(error)) {
	pinned := q.ledger.pin(queue)
	q.ledger.depart(pinned, sequence)
	return func(err error) {
		q.departed(pinned, sequence, err)
		q.ledger.unpin(pinned)
	}
}
