package store

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// What is sent to the reply subject of a message.
var (
	sayAck      = []byte("+ACK")
	sayLater    = []byte(`-NAK {"delay":600000000000}`) // ten minutes, for what cannot be read
	sayProgress = []byte("+WPI")
)

// Ack implements [broker.QueueReader]. The acknowledgements of one call are
// processed in their order, so the engine confirms only the last one.
func (r *reader) Ack(sequences []uint64, done func(error)) {
	if len(sequences) == 0 {
		r.certain(done)
		return
	}
	s := r.s
	s.mu.Lock()
	var missing error
	var acked []uint64
	var replies []string
	for _, sequence := range sequences {
		h := s.held[sequence]
		if h == nil || h.reader != r {
			missing = broker.ErrNotHeld
			continue
		}
		delete(s.held, sequence)
		acked, replies = append(acked, sequence), append(replies, h.reply)
	}
	n := len(acked)
	if n > 0 {
		s.last = replies[n-1]
		s.acks.Add(1)
	}
	// Room is free at once, as in memory. If the queue is so full that the next
	// message needs it, the engine must say when it is free there.
	crowded := n > 0 && s.q.ledger.crowded(s.queue)
	if crowded {
		s.q.ledger.haunt(s.queue, n)
	}
	for _, sequence := range acked {
		s.q.ledger.remove(s.queue, sequence)
	}
	confirm := crowded || done != nil
	var probe func()
	if n > 0 && !confirm {
		s.said += uint64(n)
		probe = s.probe()
	}
	s.mu.Unlock()
	if n == 0 {
		orNothing(done)(missing)
		return
	}
	s.q.ack(replies, confirm, func(err error) {
		if crowded {
			s.q.ledger.exorcise(s.queue, n)
		}
		if err == nil {
			err = missing
		}
		orNothing(done)(err)
	})
	if probe != nil {
		probe()
	}
	s.acks.Done()
	for _, sequence := range acked {
		s.q.unrecord(sequence)
	}
}

// maxBehind is how many acknowledgements that nobody waits for the engine may be
// behind, of all queues together. It processes some thousands a second, each with
// a sync of the disk, and messages can be read much faster than that: without a
// limit, a question to the engine would wait behind them for longer than its
// time-out.
const maxBehind = 4096

// pace returns how many messages may be asked for, and not have come, so that the
// engine does not fall behind too far. The caller holds the lock.
func (s *source) pace() int {
	share := max(maxBehind/max(1, int(s.q.reading.Load())), 16)
	return share - int(s.said-s.processed) //nolint:gosec // bounded by the share, and by what readers hold
}

// probe returns what asks the engine how far it is, if it may be far behind, and
// asks for more messages with the answer; else nil. It must be called. The caller
// of probe holds the lock, and releases it before.
func (s *source) probe() func() {
	if s.probing || s.ended || s.pace() > maxBehind/2/max(1, int(s.q.reading.Load())) {
		return nil
	}
	s.probing = true
	said := s.said
	return func() {
		s.confirm(func(err error) {
			if again := s.probed(said, err); again != nil {
				again()
			}
		})
	}
}

// probed takes the answer to a probe, and returns the next one.
func (s *source) probed(said uint64, err error) (again func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing = false; err != nil {
		return nil // the store fails
	}
	s.processed = max(s.processed, said)
	s.request()
	return s.probe()
}

// certain calls done when everything is certain that the reader was told before.
func (r *reader) certain(done func(error)) {
	if done == nil {
		return
	}
	r.s.mu.Lock()
	dead := r.dead
	r.s.mu.Unlock()
	if dead {
		done(broker.ErrNotHeld)
		return
	}
	r.s.barrier(done)
}

// ack acknowledges messages of one consumer.
func (q *Queues) ack(replies []string, confirm bool, done func(error)) {
	last := len(replies) - 1
	for _, reply := range replies[:last] {
		if err := q.control.publish(&nats.Msg{Subject: reply, Data: sayAck}); err != nil {
			done(q.watcher.unfinished(err))
			return
		}
	}
	if confirm {
		q.control.request(replies[last], sayAck, func(_ *nats.Msg, err error) {
			if err != nil {
				err = q.watcher.unfinished(err)
			}
			done(err)
		})
		return
	}
	if err := q.control.publish(&nats.Msg{Subject: replies[last], Data: sayAck}); err != nil {
		done(q.watcher.unfinished(err))
		return
	}
	done(nil)
}

// later gives a message back that nobody can read.
func (q *Queues) later(reply string) {
	_ = q.control.publish(&nats.Msg{Subject: reply, Data: sayLater}) // without the connection it comes again anyway
}

// Return implements [broker.QueueReader]. The messages return to their places on
// the shelf.
func (r *reader) Return(sequences []uint64) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sequence := range sequences {
		if h := s.held[sequence]; h != nil && h.reader == r {
			s.put(h)
		}
	}
	go s.offer()
}

// Attempted implements [broker.QueueReader].
func (r *reader) Attempted(sequence uint64, attempts int) {
	s := r.s
	s.mu.Lock()
	if h := s.held[sequence]; h == nil || h.reader != r {
		s.mu.Unlock()
		return
	}
	if s.recording == nil {
		s.recording = make(map[uint64]int)
	}
	s.recording[sequence]++
	s.mu.Unlock()
	s.q.record(sequence, attempts, func(err error) {
		if err != nil {
			s.q.log.Warn("the failed delivery of a message could not be recorded; it counts until the next restart", "queue", s.queue.name, "error", err)
		}
		s.recorded(sequence)
	})
}

// recorded lets go on what has waited for the record.
func (s *source) recorded(sequence uint64) {
	s.mu.Lock()
	if s.recording[sequence]--; s.recording[sequence] <= 0 {
		delete(s.recording, sequence)
	}
	var next []func()
	s.waiting = slices.DeleteFunc(s.waiting, func(x *recorded) bool {
		if slices.ContainsFunc(x.sequences, func(one uint64) bool { return s.recording[one] > 0 }) {
			return false
		}
		next = append(next, x.then)
		return true
	})
	if len(s.shelf) > 0 {
		next = append(next, func() { go s.offer() })
	}
	s.mu.Unlock()
	for _, then := range next {
		then()
	}
}

// progress tells the engine which messages are held, so that it does not give
// them to others, and notices requests that were lost.
func (q *Queues) progress() {
	ticks := time.NewTicker(progressEvery)
	defer ticks.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-ticks.C:
		}
		for _, s := range q.allSources() {
			for _, reply := range s.replies() {
				if q.control.publish(&nats.Msg{Subject: reply, Data: sayProgress}) != nil {
					break
				}
			}
		}
	}
}

// replies returns the subjects that acknowledge what is here.
func (s *source) replies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pull; p != nil && !p.ending && p.messages > 0 && time.Since(p.heard) > pullSilence {
		s.cancel()
	}
	if len(s.held) == 0 {
		return nil
	}
	list := make([]string, 0, len(s.held))
	for _, h := range s.held {
		list = append(list, h.reply)
	}
	return list
}
