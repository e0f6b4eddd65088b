package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	// wantDelay is how long a reader that wants less keeps what it asked the
	// engine for before: it may want it again in a moment.
	wantDelay = 50 * time.Millisecond
	// maxFeed is how many messages are handed over at once.
	maxFeed = 64
)

// reader reads one queue. It asks the engine for as many messages as its user
// wants. Messages that come are ready until the user takes them, then held until
// it settles them.
type reader struct {
	q     *Queues
	queue *ledgerQueue
	feed  broker.QueueFeed

	mu        sync.Mutex
	consumer  *consumer // nil while it is made
	dead      bool      // closed or failed
	failure   error     // to be told to the feed, once
	want      int
	wantBytes int64
	begun     bool // something was handed over since the last Want
	ready     []broker.StoredMessage
	held      map[uint64]*holding
	feeding   bool // somebody calls the feed
	paused    int  // no new requests, while the queue is purged
	pull      *pull
	recording map[uint64]int // answers to come of the records of attempts
	returns   []*returning   // wait for such answers
	last      string         // the reply subject of the last acknowledgement
}

// holding is a message that the engine has delivered to a reader.
type holding struct {
	reply  string // acknowledges it
	size   int
	handed bool // to the feed; otherwise it is ready
}

// Open implements [broker.QueueStore].
func (q *Queues) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	r := &reader{q: q, feed: feed, held: make(map[uint64]*holding)}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.err != nil:
		return nil, unknown(q.err)
	case q.active >= q.ledger.limits.Queues && len(q.readers[queue]) == 0:
		return nil, full(keyQueues, int64(q.ledger.limits.Queues))
	}
	r.queue = q.ledger.pin(queue)
	if len(q.readers[queue]) == 0 {
		q.active++
	}
	earlier := slices.Clone(q.readers[queue])
	q.readers[queue] = append(earlier, r)
	go r.begin()
	return r, nil
}

// begin makes the consumer, and asks for the first messages.
func (r *reader) begin() {
	ctx, cancel := context.WithTimeout(r.q.ctx, r.q.o.Timeout)
	defer cancel()
	k, err := r.q.consumers.use(ctx, r.queue)
	if err != nil {
		r.q.leave(r)
		r.fail(fmt.Errorf("the queue cannot be read: %w", err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		r.q.consumers.release(k)
		return
	}
	r.consumer = k
	r.request()
}

// leave removes a reader from the list of those that are open.
func (q *Queues) leave(r *reader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	name := r.queue.name
	list := q.readers[name]
	at := slices.Index(list, r)
	if at < 0 {
		return
	}
	if list = slices.Delete(slices.Clone(list), at, at+1); len(list) == 0 {
		delete(q.readers, name)
		q.active--
	} else {
		q.readers[name] = list
	}
}

// Want implements [broker.QueueReader].
func (r *reader) Want(messages int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return
	}
	if bytes <= 0 {
		messages = 0
	}
	r.want, r.wantBytes, r.begun = max(messages, 0), max(bytes, 0), false
	if r.want > 0 && len(r.ready) > 0 && !r.feeding {
		go r.deliver()
	}
	r.request()
	if r.excess() {
		time.AfterFunc(wantDelay, r.reduce)
	}
}

// excess reports whether more was asked of the engine than is wanted.
func (r *reader) excess() bool {
	return r.pull != nil && !r.pull.ending && r.pull.messages+len(r.ready) > r.want && !r.dead
}

// reduce gives up what is not wanted any more.
func (r *reader) reduce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.excess() {
		r.cancel()
	}
}

// deliver hands over what is ready and wanted. Only one call of it feeds.
func (r *reader) deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.feeding {
		return
	}
	r.feeding = true
	for !r.dead {
		list := r.next()
		if len(list) == 0 {
			break
		}
		r.mu.Unlock()
		r.feed.Messages(list)
		r.mu.Lock()
	}
	r.feeding = false
	r.tellFailure()
	r.request()
}

// next takes the messages that are handed over next. The caller holds the lock.
func (r *reader) next() []broker.StoredMessage {
	if r.paused > 0 {
		return nil
	}
	n, bytes := 0, int64(0)
	for n < len(r.ready) && n < r.want && n < maxFeed {
		size := int64(r.ready[n].Size)
		if (n > 0 || r.begun) && bytes+size > r.wantBytes {
			break
		}
		bytes += size
		n++
	}
	list := slices.Clone(r.ready[:n])
	for i := range list {
		m := &list[i]
		r.held[m.Sequence].handed = true
		if r.q.ledger.hand(r.queue, m.Sequence) {
			m.Redelivered = true
		}
	}
	r.begun = r.begun || n > 0
	r.ready = slices.Delete(r.ready, 0, n)
	r.want -= n
	r.wantBytes = max(0, r.wantBytes-bytes)
	if r.wantBytes == 0 {
		r.want = 0
	}
	return list
}

// tellFailure calls the feed for the last time. The caller holds the lock, and
// nobody feeds.
func (r *reader) tellFailure() {
	if err := r.failure; err != nil && !r.feeding {
		r.failure = nil
		r.feeding = true // nothing comes after it
		go r.feed.Failed(err)
	}
}

// fail ends the reader because of the store.
func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return
	}
	r.failure = err
	r.end(true)
	r.tellFailure()
}

// Close implements [broker.QueueReader].
func (r *reader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return
	}
	r.q.leave(r)
	r.end(false)
}

// end gives back what the reader holds. The caller holds the lock.
func (r *reader) end(failed bool) {
	r.dead = true
	r.want = 0
	list := make([]uint64, 0, len(r.held))
	for sequence := range r.held {
		list = append(list, sequence)
	}
	if failed {
		// The engine gives them to the next reader by itself.
		clear(r.held)
	} else {
		r.giveReturn(list)
	}
	r.ready = nil
	if failed && r.pull != nil {
		p := r.pull
		r.pull = nil
		_ = p.sub.Unsubscribe() // fails only if it has ended
		close(p.ended)
	}
	r.cancel()
	if r.pull == nil && r.consumer != nil {
		r.q.consumers.release(r.consumer)
		r.consumer = nil
	}
	r.q.ledger.unpin(r.queue)
}
