package store

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	// maxBatch is how many messages the engine accepts as one atomic batch.
	maxBatch = 1000
	// maxGroupBytes is how many bytes of different calls are gathered.
	maxGroupBytes = 1 << 20
	// minGroup is the number of gathered messages from which a batch is quicker
	// than as many single messages: the engine writes a batch to files of its
	// own first.
	minGroup = 16
	// maxFlying is how many messages may be on their way to an engine that does
	// not sync each of them.
	maxFlying      = 8192
	maxFlyingBytes = 16 << 20
	// ghostTimeout is how long a message waits until the engine has removed what
	// was acknowledged before.
	ghostTimeout = 2 * time.Second
)

// Headers of a publication.
const (
	headerID       = "Nats-Msg-Id"
	headerLast     = "Nats-Expected-Last-Subject-Sequence"
	headerLastOf   = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerBatch    = "Nats-Batch-Id"
	headerBatchSeq = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// write is what one call stores: all of it or nothing.
type write struct {
	puts  []put
	room  []reservation // of the first ones
	bytes int
	last  uint64 // of a history: the sequence of the last message
	done  func(error)

	stored   func(first uint64) // called before done, if not nil
	canceled func()             // instead, if it is certain that nothing is stored
}

// put is one message on its way.
type put struct {
	subject string
	data    []byte
	once    string
	single  bool // the only message of its subject

	// If after is not 0, it is the sequence of the last message that matches of.
	after uint64
	of    string

	own *ownMessage // of a history
}

// A writeOwner is told what became of the writes of a writer, of one after the
// other.
type writeOwner interface {
	// before is called when x is about to be sent. It may wait.
	before(x *write)
	// dropped says that x was not sent.
	dropped(x *write)
	// finished says that x was stored, its first message with this sequence, or
	// why not. It returns the error for the caller.
	finished(x *write, first uint64, err error) error
	// idRecord returns a message that goes with an atomic batch, if any.
	idRecord(batch string, puts []put) (put, bool)
}

// writer sends messages to the engine in the order of the calls, from one
// goroutine.
//
// If the engine syncs each message, it gathers: one message alone goes alone;
// while messages are on their way, those that come wait and then go together.
// Otherwise each goes at once.
type writer struct {
	data    *link
	owner   writeOwner
	gathers bool

	mu      sync.Mutex
	changed sync.Cond
	waiting []*write
	flying  int // messages without an answer
	bytes   int // their sizes
	err     error
	closed  bool
	ended   chan struct{}
}

func newWriter(data *link, owner writeOwner, gathers bool) *writer {
	w := &writer{data: data, owner: owner, gathers: gathers, err: errStarting, ended: make(chan struct{})}
	w.changed.L = &w.mu
	return w
}

// add takes a write. done is called now if the store does not work.
func (w *writer) add(x *write) {
	w.mu.Lock()
	err := w.err
	if err == nil {
		w.waiting = append(w.waiting, x)
		w.changed.Broadcast()
	}
	w.mu.Unlock()
	if err != nil {
		w.owner.dropped(x)
		x.done(err)
	}
}

// cancel gives back what was reserved for a write that is not stored.
func (q *Queues) cancel(x *write) {
	q.ledger.cancelAll(x.room)
	if x.canceled != nil {
		x.canceled()
	}
}

// shut ends all writes that were not sent, and refuses new ones.
func (w *writer) shut(err error) {
	w.mu.Lock()
	list := w.waiting
	w.waiting, w.err = nil, err
	w.changed.Broadcast()
	w.mu.Unlock()
	for _, x := range list {
		w.owner.dropped(x)
		x.done(err)
	}
}

func (w *writer) open() {
	w.mu.Lock()
	w.err = nil
	w.mu.Unlock()
}

// settle waits until nothing is on its way, at most until end.
func (w *writer) settle(end time.Time) {
	stop := time.AfterFunc(time.Until(end), func() {
		w.mu.Lock()
		w.changed.Broadcast()
		w.mu.Unlock()
	})
	defer stop.Stop()
	w.mu.Lock()
	for (w.flying > 0 || len(w.waiting) > 0) && w.err == nil && time.Now().Before(end) {
		w.changed.Wait()
	}
	w.mu.Unlock()
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.ended
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		list := w.take()
		if list == nil {
			return
		}
		for _, x := range list {
			w.owner.before(x)
		}
		w.send(list)
	}
}

// take waits for work, and returns what goes together.
func (w *writer) take() []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && (len(w.waiting) == 0 || !w.ready()) {
		w.changed.Wait()
	}
	if w.closed {
		return nil
	}
	n, messages, bytes := 0, 0, 0
	for _, x := range w.waiting {
		messages += len(x.puts)
		bytes += x.bytes
		if n > 0 && (messages >= maxBatch || // one may be for ids
			bytes > maxGroupBytes) {
			break
		}
		n++
		w.flying += len(x.puts)
		w.bytes += x.bytes
	}
	list := make([]*write, n)
	copy(list, w.waiting)
	clear(w.waiting[:n])
	if w.waiting = w.waiting[n:]; len(w.waiting) == 0 {
		w.waiting = nil
	}
	return list
}

// ready reports whether the next message may go. The caller holds the lock.
func (w *writer) ready() bool {
	if w.gathers {
		return w.flying == 0
	}
	return w.flying < maxFlying && w.bytes < maxFlyingBytes
}

// landed says that a write has its answer.
func (w *writer) landed(x *write) {
	w.mu.Lock()
	w.flying -= len(x.puts)
	w.bytes -= x.bytes
	w.changed.Broadcast()
	w.mu.Unlock()
}

// before implements writeOwner. It waits until the engine has removed what the
// ledger counts as removed, if it could refuse the message otherwise.
func (q *Queues) before(x *write) {
	var late <-chan time.Time
	for _, r := range x.room {
		for gone := q.ledger.haunted(r.queue); gone != nil; gone = q.ledger.haunted(r.queue) {
			if late == nil {
				late = time.After(ghostTimeout)
			}
			select {
			case <-gone:
			case <-late:
				return
			}
		}
	}
}

func (w *writer) send(list []*write) {
	messages, batches := 0, 0
	for _, x := range list {
		messages += len(x.puts)
		if x.isBatch() {
			batches++
		}
	}
	if !w.gathers || len(list) == 1 || messages < minGroup && batches < 2 {
		for _, x := range list {
			w.sendOne(x)
		}
		return
	}
	var puts []put
	for _, x := range list {
		puts = append(puts, x.puts...)
	}
	w.batch(puts, func(first uint64, err error) {
		var no *refusal
		switch {
		case err == nil:
			for _, x := range list {
				w.finish(x, first, nil)
				first += uint64(len(x.puts))
			}
		case errors.As(err, &no):
			// One of them is refused, and all with it. Nothing else is on its
			// way, so the order stays.
			for _, x := range list {
				w.sendOne(x)
			}
		default:
			for _, x := range list {
				w.finish(x, 0, err)
			}
		}
	})
}

// sendOne sends one write alone.
func (w *writer) sendOne(x *write) {
	if x.isBatch() {
		w.batch(x.puts, func(first uint64, err error) { w.finish(x, first, err) })
		return
	}
	w.data.store(x.puts[0].message(), func(sequence uint64, err error) { w.finish(x, sequence, err) })
}

// isBatch reports whether a write goes as a batch, even if it is alone.
func (x *write) isBatch() bool { return len(x.puts) > 1 || x.puts[0].once != "" }

// message returns the publication of a put.
func (p *put) message() *nats.Msg {
	m := &nats.Msg{Subject: p.subject, Data: p.data}
	if p.once != "" || p.single || p.after != 0 {
		m.Header = p.header()
	}
	return m
}

func (p *put) header() nats.Header {
	h := make(nats.Header, 4)
	if p.once != "" {
		h[headerID] = []string{p.once}
	}
	switch {
	case p.single:
		h[headerLast] = []string{"0"}
	case p.after != 0:
		h[headerLast], h[headerLastOf] = []string{strconv.FormatUint(p.after, 10)}, []string{p.of}
	}
	return h
}

// batch sends an atomic batch, with a record of the ids in it. done gets the
// sequence of its first message.
func (w *writer) batch(puts []put, done func(first uint64, err error)) {
	id := nuid.Next()
	if ids, any := w.owner.idRecord(id, puts); any {
		puts = append(slices.Clip(puts), ids)
	}
	w.data.batch(id, puts, done)
}

// batch sends messages as one atomic batch, which has an id of its own. done gets
// the sequence of the first one.
func (l *link) batch(id string, puts []put, done func(first uint64, err error)) {
	for i := range puts {
		m := &nats.Msg{Subject: puts[i].subject, Data: puts[i].data, Header: puts[i].header()}
		m.Header[headerBatch] = []string{id}
		m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i < len(puts)-1 {
			if err := l.publish(m); err != nil {
				done(0, err)
				return
			}
			continue
		}
		m.Header[headerCommit] = []string{"1"}
		l.store(m, func(last uint64, err error) {
			done(last-uint64(len(puts))+1, err) //nolint:gosec // at least one
		})
	}
}

// store publishes a message. done gets its sequence.
func (l *link) store(m *nats.Msg, done func(sequence uint64, err error)) {
	l.ask(m, func(m *nats.Msg, err error) {
		var sequence uint64
		if err == nil {
			sequence, err = putAnswer(m)
		}
		done(sequence, err)
	})
}

// finish ends a write with the sequence of its first message.
func (w *writer) finish(x *write, first uint64, err error) {
	err = w.owner.finished(x, first, err)
	w.landed(x)
	x.done(err)
}

// dropped implements writeOwner.
func (q *Queues) dropped(x *write) { q.cancel(x) }

// finished implements writeOwner.
func (q *Queues) finished(x *write, first uint64, err error) error {
	var no *refusal
	switch {
	case err == nil:
		q.ledger.store(x.room, first)
		if x.stored != nil {
			x.stored(first)
		}
	case errors.Is(err, broker.ErrDuplicate), isRefusal(err, codeWrongLast):
		q.cancel(x)
	case errors.As(err, &no):
		q.cancel(x)
		return q.refused(no)
	default:
		return q.watcher.unfinished(err)
	}
	return err
}

// refused returns the error for the client about a refusal by the engine.
func (q *Queues) refused(no *refusal) error {
	switch {
	case no.ErrCode == codeDuplicate:
		return broker.ErrDuplicate
	case no.ErrCode == codeMaximum && no.Description == textMaximumPerSub:
		return full(keyMessages, int64(q.ledger.limits.Messages))
	case no.ErrCode == codeMaximum:
		return fullStream(&q.o)
	}
	return no
}
