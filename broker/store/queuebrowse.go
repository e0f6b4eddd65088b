package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// fetching is how many messages, or requests to delete one, are asked for at one
// time.
const fetching = 64

// Browse implements [broker.QueueStore].
func (q *Queues) Browse(ctx context.Context, queue string, after uint64, limit int) ([]broker.StoredMessage, error) {
	if err := q.Err(); err != nil {
		return nil, q.watcher.unfinished(err)
	}
	sequences, found := q.ledger.list(queue, after, limit)
	if !found {
		return nil, broker.ErrNoQueue
	}
	return q.fetch(ctx, sequences)
}

// fetch reads messages without delivering them. Those that do not exist any more
// are left out.
func (q *Queues) fetch(ctx context.Context, sequences []uint64) ([]broker.StoredMessage, error) {
	list := make([]broker.StoredMessage, 0, len(sequences))
	answers := make([]*nats.Msg, len(sequences))
	err := together(ctx, len(sequences), func(i int, done func(error)) {
		q.control.request("$JS.API.DIRECT.GET."+q.names.stream, []byte(`{"seq":`+strconv.FormatUint(sequences[i], 10)+`}`), func(m *nats.Msg, err error) {
			answers[i] = m
			done(err)
		})
	})
	if err != nil {
		return nil, q.watcher.unfinished(err)
	}
	for i, m := range answers {
		switch m.Header.Get("Status") {
		case "":
		case "404":
			continue
		default:
			return nil, fmt.Errorf("%w: %s", errAnswer, m.Header.Get("Description"))
		}
		put, err := parsePayload(m.Data)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", sequences[i], err)
		}
		list = append(list, broker.StoredMessage{
			QueuePut: put, Sequence: sequences[i], Attempts: q.attempts.get(sequences[i]), Redelivered: q.seen(put.Queue, sequences[i]),
			Put: moment(storedAt(m)),
		})
	}
	return list, nil
}

// seen reports whether a consumer may have seen a message.
func (q *Queues) seen(queue string, sequence uint64) bool {
	if sequence <= q.start.Load() {
		return true
	}
	pinned := q.ledger.pin(queue)
	defer q.ledger.unpin(pinned)
	return q.ledger.handed(pinned, sequence)
}

// together calls ask n times, some of them at one time, and waits until all are
// done. The error is the first one, or that of ctx.
func together(ctx context.Context, n int, ask func(i int, done func(error))) error {
	results := make(chan error, n)
	var first error
	for i, running := 0, 0; i < n || running > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i < n && running < fetching && first == nil {
			ask(i, func(err error) { results <- err })
			i++
			running++
			continue
		}
		if running == 0 {
			break
		}
		select {
		case err := <-results:
			running--
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return first
}

// Purge implements [broker.QueueStore]. Meanwhile the readers of the queue get
// nothing new; what has come for them and no reader has is removed too.
func (q *Queues) Purge(ctx context.Context, queue string) (removed int, err error) {
	if err := q.Err(); err != nil {
		return 0, q.watcher.unfinished(err)
	}
	if _, found := q.ledger.list(queue, 0, 1); !found {
		return 0, broker.ErrNoQueue
	}
	pinned := q.ledger.pin(queue)
	defer q.ledger.unpin(pinned)
	s := q.sourceOf(queue)
	held := make(map[uint64]bool)
	if s != nil {
		s.pause()
		defer s.resume()
		if err := s.quiet(ctx, held); err != nil {
			return 0, err
		}
	}
	all, _ := q.ledger.list(queue, 0, int(^uint(0)>>1))
	waiting := all[:0]
	for _, sequence := range all {
		if !held[sequence] {
			waiting = append(waiting, sequence)
		}
	}
	if len(waiting) == 0 {
		return 0, nil
	}
	if len(held) == 0 {
		err = q.purgeAll(ctx, pinned, waiting[len(waiting)-1])
	} else {
		err = q.purgeEach(ctx, waiting)
	}
	if err != nil {
		return 0, err
	}
	for _, sequence := range waiting {
		if q.ledger.remove(pinned, sequence) {
			removed++
		}
		if s != nil {
			s.forget(sequence)
		}
		q.unrecord(sequence)
	}
	return removed, nil
}

// purgeAll removes all messages of the queue up to one.
func (q *Queues) purgeAll(ctx context.Context, queue *ledgerQueue, last uint64) error {
	for _, filter := range q.names.filters(queue, q.ledger.isWide(queue)) {
		request := fmt.Sprintf(`{"filter":%q,"seq":%d}`, filter, last+1)
		m, err := q.o.Control.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+q.names.stream, []byte(request))
		if err != nil {
			return q.watcher.unfinished(err)
		}
		if err := apiAnswer(m, nil); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queues) purgeEach(ctx context.Context, sequences []uint64) error {
	return together(ctx, len(sequences), func(i int, done func(error)) {
		q.control.request("$JS.API.STREAM.MSG.DELETE."+q.names.stream, deleteRequest(sequences[i]), func(m *nats.Msg, err error) {
			if err == nil {
				err = apiAnswer(m, nil)
			}
			if isGone(err) {
				err = nil
			}
			done(err)
		})
	})
}

// pause stops the readers until resume.
func (s *source) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused++
	s.cancel()
}

func (s *source) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused--
	s.request()
	go s.offer()
}

// quiet waits until a paused source gets nothing any more, and adds what readers
// hold.
func (s *source) quiet(ctx context.Context, held map[uint64]bool) error {
	s.mu.Lock()
	p := s.pull
	s.mu.Unlock()
	if p != nil {
		select {
		case <-p.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for sequence, h := range s.held {
		if h.reader != nil {
			held[sequence] = true
		}
	}
	return nil
}

// forget forgets a message that was removed.
func (s *source) forget(sequence uint64) {
	s.mu.Lock()
	s.drop(sequence)
	s.mu.Unlock()
}
