package broker

import (
	"context"
	"errors"
	"math"
)

// browsePage is how many messages are read from the store at one time to search
// among them.
const browsePage = 64

// Browse implements queues.
func (s *storedQueues) Browse(ctx context.Context, queue string, after uint64, limit int) ([]QueuedMessage, error) {
	list, err := s.browse(ctx, queue, after, limit)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		if _, exists := s.stored(queue); !exists && !s.consumes(queue) {
			return nil, ErrNoQueue
		}
	}
	held := s.heldHere(queue)
	out := make([]QueuedMessage, len(list))
	for i := range list {
		m := &list[i]
		_, isHeld := held[m.Sequence]
		out[i] = QueuedMessage{
			Message: m.Message, Sequence: m.Sequence, Bytes: m.Size, Put: m.Put, Expires: m.Expires,
			Attempts: m.Attempts, Redelivered: m.Redelivered, Held: isHeld,
		}
	}
	return out, nil
}

// browse is Browse of the store, for which a queue that it does not know is
// empty.
func (s *storedQueues) browse(ctx context.Context, queue string, after uint64, limit int) ([]StoredMessage, error) {
	list, err := s.store.Browse(ctx, queue, after, limit)
	if errors.Is(err, ErrNoQueue) {
		return nil, nil
	}
	return list, err
}

// stored returns the number of messages that the store has in a queue, and
// whether it knows the queue.
func (s *storedQueues) stored(queue string) (messages int, _ bool) {
	for q := range s.store.Queues() {
		if q.Name == queue {
			return q.Messages, true
		}
	}
	return 0, false
}

// heldHere returns the sequences of the messages that consumers of this broker
// hold.
func (s *storedQueues) heldHere(queue string) map[uint64]struct{} {
	held := make(map[uint64]struct{})
	list, _ := s.window.Browse(queue, 0, math.MaxInt)
	for i := range list {
		if list[i].Held {
			held[list[i].Message.sequence] = struct{}{}
		}
	}
	return held
}

// search calls each for the messages that the queue has when it begins, the
// oldest first, until each returns false. The error is ErrNoQueue, or that of
// the store.
func (s *storedQueues) search(ctx context.Context, queue string, after uint64, each func(*StoredMessage) bool) error {
	left, exists := s.stored(queue)
	if !exists && !s.consumes(queue) {
		return ErrNoQueue
	}
	for left > 0 {
		list, err := s.browse(ctx, queue, after, browsePage)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		for i := range list {
			after = list[i].Sequence
			if !each(&list[i]) {
				return nil
			}
		}
		left -= len(list)
	}
	return nil
}

// Remove implements queues. What waits in the window is acknowledged, for the
// store takes it for held.
func (s *storedQueues) Remove(ctx context.Context, queue string, p *picker) (out QueueRemoved, _ error) {
	held := s.heldHere(queue)
	wanted := make(map[uint64]struct{})
	if err := s.search(ctx, queue, p.after, func(m *StoredMessage) bool {
		if _, isHeld := held[m.Sequence]; isHeld {
			if p.wants(m.Message.ID, m.Sequence) {
				out.Held++
			}
		} else if p.pick(m.Message.ID, m.Sequence) {
			wanted[m.Sequence] = struct{}{}
		}
		return !p.full()
	}); err != nil || len(wanted) == 0 {
		return out, err
	}
	here := s.takeWaiting(queue, wanted)
	n := len(here)
	if err := s.wait(ctx, ackItems(here, true)); err != nil {
		return out, err
	}
	out.Removed += n
	var open []*completion
	for sequence := range wanted {
		later := new(completion)
		s.store.Remove(queue, sequence, later.end)
		open = append(open, later)
	}
	if err := s.wait(ctx, allOf(open)); err != nil {
		return out, err
	}
	out.Removed += len(wanted)
	err := s.among(ctx, queue, wanted, func(uint64) { // consumers have them by now
		out.Held++
		out.Removed--
	})
	return out, err
}

// takeWaiting takes messages out of the window that wait there, and out of
// wanted.
func (s *storedQueues) takeWaiting(queue string, wanted map[uint64]struct{}) []storedItem {
	list, _ := s.window.Remove(queue, func(it storedWaiting) bool {
		_, is := wanted[it.Message.sequence]
		return is
	}, nil)
	for _, m := range list {
		delete(wanted, m.sequence)
	}
	return list
}

// among calls each for those of some messages that are in the queue.
func (s *storedQueues) among(ctx context.Context, queue string, some map[uint64]struct{}, each func(uint64)) error {
	if len(some) == 0 {
		return nil
	}
	first, last := uint64(math.MaxUint64), uint64(0)
	for n := range some {
		first, last = min(first, n), max(last, n)
	}
	err := s.search(ctx, queue, first-1, func(m *StoredMessage) bool {
		if _, is := some[m.Sequence]; is {
			each(m.Sequence)
		}
		return m.Sequence < last
	})
	if errors.Is(err, ErrNoQueue) {
		return nil
	}
	return err
}

// wait waits for a completion, nil for none.
func (s *storedQueues) wait(ctx context.Context, later *completion) error {
	if later == nil {
		return nil
	}
	select {
	case err := <-later.wait():
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.b.ctx.Done():
		return ErrClosed
	}
}
