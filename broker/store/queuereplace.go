package store

import (
	"context"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

func deleteRequest(sequence uint64) []byte {
	return []byte(`{"seq":` + strconv.FormatUint(sequence, 10) + `,"no_erase":true}`)
}

// Replace implements [broker.QueueStore]. The replacement lies under a subject
// that has the sequence of the original, where the engine accepts one message
// only, so that it is there once however often this is repeated until it is
// consumed. Only when it is stored is the original removed.
func (q *Queues) Replace(queue string, sequence uint64, with broker.QueuePut, done func(error)) {
	done = orNothing(done)
	with.Once = ""
	x, err := q.write([]broker.QueuePut{with}, 0, writeOptions{replacement: true})
	if err != nil {
		done(err)
		return
	}
	target := x.room[0].queue
	x.puts[0].subject = q.names.replacementSubject(target, sequence)
	x.done = func(err error) {
		if isRefusal(err, codeWrongLast) {
			err = nil // it is there already
		}
		if err != nil {
			done(err)
			return
		}
		q.remove(queue, sequence, false, done)
	}
	if !q.consumers.narrow(target) {
		q.writer.add(x)
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(q.ctx, q.o.Timeout)
		defer cancel()
		if err := q.consumers.widen(ctx, target); err != nil {
			q.ledger.cancelAll(x.room)
			done(q.watcher.unfinished(err))
			return
		}
		q.writer.add(x)
	}()
}

// Expired implements [broker.QueueStore].
func (q *Queues) Expired(now time.Time, each func(queue string, m broker.StoredMessage)) {
	for _, e := range q.ledger.expired(now.UnixMilli()) {
		if q.Err() != nil {
			return
		}
		if q.isHeld(e.queue.name, e.sequence) {
			continue
		}
		ctx, cancel := context.WithTimeout(q.ctx, q.o.Timeout)
		list, err := q.fetch(ctx, []uint64{e.sequence})
		cancel()
		if err != nil {
			q.log.Warn("a message that has expired cannot be read now", "queue", e.queue.name, "error", err)
			return
		}
		for _, m := range list {
			each(e.queue.name, m)
		}
	}
}

// isHeld reports whether a reader holds a message.
func (q *Queues) isHeld(queue string, sequence uint64) bool {
	s := q.sourceOf(queue)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[sequence]
	return h != nil && h.reader != nil
}
