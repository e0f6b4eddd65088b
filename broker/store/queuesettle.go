package store

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// What is sent to the reply subject of a message.
var (
	sayAck      = []byte("+ACK")
	sayNak      = []byte("-NAK")
	sayLater    = []byte(`-NAK {"delay":600000000000}`) // ten minutes, for what cannot be read
	sayProgress = []byte("+WPI")
)

// Ack implements [broker.QueueReader]. The acknowledgements of one call are
// processed in their order, so the engine confirms only the last one.
func (r *reader) Ack(sequences []uint64, done func(error)) {
	if len(sequences) == 0 {
		r.barrier(done)
		return
	}
	r.mu.Lock()
	var missing error
	var acked []uint64
	var replies []string
	for _, sequence := range sequences {
		h := r.held[sequence]
		if h == nil || !h.handed {
			missing = broker.ErrNotHeld
			continue
		}
		delete(r.held, sequence)
		acked, replies = append(acked, sequence), append(replies, h.reply)
	}
	n := len(acked)
	if n > 0 {
		r.last = replies[n-1]
	}
	// Room is free at once, as in memory. If the queue is so full that the next
	// message needs it, the engine must say when it is free there.
	crowded := n > 0 && r.q.ledger.crowded(r.queue)
	if crowded {
		r.q.ledger.haunt(r.queue, n)
	}
	for _, sequence := range acked {
		r.q.ledger.remove(r.queue, sequence)
	}
	r.mu.Unlock()
	if n == 0 {
		orNothing(done)(missing)
		return
	}
	r.q.ack(replies, crowded || done != nil, func(err error) {
		if crowded {
			r.q.ledger.exorcise(r.queue, n)
		}
		if err == nil {
			err = missing
		}
		orNothing(done)(err)
	})
	for _, sequence := range acked {
		r.q.unrecord(sequence)
	}
}

// barrier calls done when everything is certain that the reader was told before.
// The engine processes what it hears about the messages of one consumer in its
// order, so its answer to the last one covers all.
func (r *reader) barrier(done func(error)) {
	if done == nil {
		return
	}
	r.mu.Lock()
	if r.dead {
		r.mu.Unlock()
		done(broker.ErrNotHeld)
		return
	}
	x := &returning{sequences: slices.Collect(maps.Keys(r.recording)), then: func() { r.confirm(done) }}
	if r.unrecorded(x) {
		r.returns = append(r.returns, x)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	r.confirm(done)
}

// confirm calls done when the engine has processed the last acknowledgement.
func (r *reader) confirm(done func(error)) {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last == "" {
		done(nil)
		return
	}
	r.q.control.request(last, sayProgress, func(_ *nats.Msg, err error) {
		if err != nil {
			err = unknown(err)
		}
		done(err)
	})
}

// ack acknowledges messages of one consumer.
func (q *Queues) ack(replies []string, confirm bool, done func(error)) {
	last := len(replies) - 1
	for _, reply := range replies[:last] {
		if err := q.control.publish(&nats.Msg{Subject: reply, Data: sayAck}); err != nil {
			done(unknown(err))
			return
		}
	}
	if confirm {
		q.control.request(replies[last], sayAck, func(_ *nats.Msg, err error) {
			if err != nil {
				err = unknown(err)
			}
			done(err)
		})
		return
	}
	if err := q.control.publish(&nats.Msg{Subject: replies[last], Data: sayAck}); err != nil {
		done(unknown(err))
		return
	}
	done(nil)
}

// nak gives messages back, in the order of the list. Until the engine has them,
// nobody asks it for others of the queue, because these must come first. Without
// the connection the engine takes them by itself.
func (q *Queues) nak(k *consumer, queue string, replies []string) {
	if len(replies) == 0 {
		return
	}
	last := len(replies) - 1
	for _, reply := range replies[:last] {
		if err := q.control.publish(&nats.Msg{Subject: reply, Data: sayNak}); err != nil {
			return
		}
	}
	if k == nil {
		_ = q.control.publish(&nats.Msg{Subject: replies[last], Data: sayNak}) // as above
		return
	}
	k.returning.Add(1)
	q.control.request(replies[last], sayNak, func(*nats.Msg, error) { q.returned(k, queue) })
}

// returned lets the readers of a queue ask for messages again.
func (q *Queues) returned(k *consumer, queue string) {
	if k.returning.Add(-1) > 0 {
		return
	}
	for _, r := range q.readersOf(queue) {
		go r.again()
	}
}

func (r *reader) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.request()
}

func (q *Queues) readersOf(queue string) []*reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.readers[queue]
}

// later gives a message back that nobody can read.
func (q *Queues) later(reply string) {
	_ = q.control.publish(&nats.Msg{Subject: reply, Data: sayLater}) // without the connection it comes again anyway
}

// returning are messages that are given back together, when their attempts are
// recorded, or what else waits for that.
type returning struct {
	sequences []uint64
	replies   []string
	consumer  *consumer
	then      func() // instead
}

// Return implements [broker.QueueReader].
func (r *reader) Return(sequences []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]uint64, 0, len(sequences))
	for _, sequence := range sequences {
		if h := r.held[sequence]; h != nil && h.handed {
			list = append(list, sequence)
		}
	}
	r.giveReturn(list)
}

// giveReturn gives held messages back. The engine delivers them again in the
// order in which they are given back. The caller holds the lock.
func (r *reader) giveReturn(sequences []uint64) {
	slices.Sort(sequences)
	x := &returning{sequences: slices.Compact(sequences)}
	for _, sequence := range x.sequences {
		x.replies = append(x.replies, r.held[sequence].reply)
		delete(r.held, sequence)
	}
	if !r.unrecorded(x) {
		r.q.nak(r.consumer, r.queue.name, x.replies)
		return
	}
	if k := r.consumer; k != nil {
		k.returning.Add(1)
		x.consumer = k
	}
	r.returns = append(r.returns, x)
}

func (r *reader) unrecorded(x *returning) bool {
	return len(r.recording) > 0 && slices.ContainsFunc(x.sequences, func(s uint64) bool { return r.recording[s] > 0 })
}

// Attempted implements [broker.QueueReader].
func (r *reader) Attempted(sequence uint64, attempts int) {
	r.mu.Lock()
	h := r.held[sequence]
	if h == nil || !h.handed {
		r.mu.Unlock()
		return
	}
	if r.recording == nil {
		r.recording = make(map[uint64]int)
	}
	r.recording[sequence]++
	r.mu.Unlock()
	r.q.record(sequence, attempts, func(err error) {
		if err != nil {
			r.q.log.Warn("the failed delivery of a message could not be recorded; it counts until the next restart", "queue", r.queue.name, "error", err)
		}
		r.recorded(sequence)
	})
}

// recorded gives back what has waited for the record.
func (r *reader) recorded(sequence uint64) {
	r.mu.Lock()
	if r.recording[sequence]--; r.recording[sequence] <= 0 {
		delete(r.recording, sequence)
	}
	var next []func()
	r.returns = slices.DeleteFunc(r.returns, func(x *returning) bool {
		if r.unrecorded(x) {
			return false
		}
		r.q.nak(x.consumer, r.queue.name, x.replies)
		if k := x.consumer; k != nil {
			next = append(next, func() { r.q.returned(k, r.queue.name) })
		}
		if x.then != nil {
			next = append(next, x.then)
		}
		return true
	})
	r.mu.Unlock()
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
		for _, r := range q.allReaders() {
			for _, reply := range r.heldReplies() {
				if q.control.publish(&nats.Msg{Subject: reply, Data: sayProgress}) != nil {
					break
				}
			}
		}
	}
}

func (q *Queues) allReaders() []*reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []*reader
	for _, readers := range q.readers {
		list = append(list, readers...)
	}
	return list
}

func (r *reader) heldReplies() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pull; p != nil && !p.ending && p.messages > 0 && time.Since(p.heard) > pullSilence {
		r.cancel()
	}
	if len(r.held) == 0 {
		return nil
	}
	list := make([]string, 0, len(r.held))
	for _, h := range r.held {
		list = append(list, h.reply)
	}
	return list
}

// take takes a message out of the hands of a reader of the queue. reply is "" if
// none holds it.
func (q *Queues) take(queue string, sequence uint64) (reply string) {
	for _, r := range q.readersOf(queue) {
		r.mu.Lock()
		h := r.held[sequence]
		if h != nil {
			delete(r.held, sequence)
			r.ready = slices.DeleteFunc(r.ready, func(m broker.StoredMessage) bool { return m.Sequence == sequence })
		}
		r.mu.Unlock()
		if h != nil {
			return h.reply
		}
	}
	return ""
}

// Remove implements [broker.QueueStore].
func (q *Queues) Remove(queue string, sequence uint64, done func(error)) {
	done = orNothing(done)
	if err := q.Err(); err != nil {
		done(unknown(err))
		return
	}
	q.remove(queue, sequence, done)
}

// remove removes a message, whoever holds it.
func (q *Queues) remove(queue string, sequence uint64, done func(error)) {
	pinned := q.ledger.pin(queue)
	ended := func(err error) {
		if err == nil {
			q.ledger.remove(pinned, sequence)
			q.unrecord(sequence)
		}
		q.ledger.unpin(pinned)
		done(err)
	}
	if reply := q.take(queue, sequence); reply != "" {
		q.ack([]string{reply}, true, ended)
		return
	}
	q.control.request("$JS.API.STREAM.MSG.DELETE."+q.names.stream, deleteRequest(sequence), func(m *nats.Msg, err error) {
		if err == nil {
			err = apiAnswer(m, nil)
		}
		var no *refusal
		switch {
		case isGone(err):
			err = nil
		case err != nil && !errors.As(err, &no):
			err = unknown(err)
		}
		ended(err)
	})
}
