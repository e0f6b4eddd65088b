package broker

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// storedQueues are the work queues of a broker with a [QueueStore]. The store
// keeps the messages. What it has handed over is in the window, which knows who
// gets it, as queues in memory do. The lists of durable subscriptions are in
// memory.
type storedQueues struct {
	b      *Broker
	store  QueueStore
	window *storedWindow
	lists  *memoryQueues // of durable subscriptions

	mu     sync.Mutex
	open   map[string]*storedQueue // with consumers here, or a message that is being replaced
	down   int                     // how many of them the store cannot read now
	failed bool                    // that it cannot was logged
	closed bool
}

// A message of the window knows where it came from.
type storedItem struct {
	*Message
	from     *storedReader
	sequence uint64
	share    string
}

type (
	storedWindow  = workqueue.Store[storedItem, *batch]
	storedFed     = workqueue.Fed[storedItem]
	storedWork    = workqueue.Delivery[storedItem, *batch]
	storedWaiting = workqueue.Item[storedItem]
)

func newStoredQueues(b *Broker) *storedQueues {
	q := &b.o.Queues
	s := &storedQueues{b: b, store: b.o.QueueStore, open: make(map[string]*storedQueue)}
	s.window = workqueue.New[storedItem, *batch](workqueue.Limits{
		Messages: -1, Bytes: -1, Queues: -1, TotalBytes: -1, OwnerQueues: -1, OwnerBytes: -1, Attempts: q.Attempts,
	}, nil)
	s.window.SetExpiry(workqueue.Expiry[storedItem]{Now: moment})
	s.window.SetOutside(workqueue.Outside[storedItem, *batch]{
		Held:      func(m storedItem) bool { return !m.from.closed.Load() },
		Attempted: func(m storedItem, attempts int) { m.from.reader.Attempted(m.sequence, attempts) },
		Bury:      s.bury,
		Expired:   s.expired,
	})
	s.lists = newMemoryQueues(queueLimits(*q), nil)
	s.lists.store().SetExpiry(b.expiry())
	s.lists.store().SetOutside(workqueue.Outside[*Message, *batch]{Bury: s.buryOfList})
	return s
}

func (p *queuePut) stored() QueuePut {
	put := QueuePut{Queue: p.queue, Message: p.message, Size: p.size, Share: p.share, Once: p.once}
	if p.expires != 0 {
		put.Expires = time.UnixMilli(p.expires)
	}
	return put
}

// Put implements queues.
func (s *storedQueues) Put(_ *batch, p queuePut) (*completion, error) {
	later := new(completion)
	s.store.Append([]QueuePut{p.stored()}, later.end)
	return later, nil
}

// Commit implements queues.
func (s *storedQueues) Commit(_ *batch, puts []queuePut) (*completion, error) {
	list := make([]QueuePut, len(puts))
	for i := range puts {
		list[i] = puts[i].stored()
	}
	later := new(completion)
	s.store.Append(list, func(err error) {
		if errors.Is(err, ErrDuplicate) {
			err = duplicateAmong(list, onceOfPut)
		}
		later.end(err)
	})
	return later, nil
}

func onceOfPut(p *QueuePut) (string, *Message) { return p.Once, p.Message }

// duplicateAmong returns the error for the client about a transaction of which
// the store knows a message. It names those that may be meant.
func duplicateAmong[P any](list []P, of func(*P) (once string, m *Message)) *Error {
	const named = 3
	var ids []string
	for i := range list {
		once, m := of(&list[i])
		if once == "" {
			continue
		}
		if len(ids) == named {
			ids = append(ids, "…")
			break
		}
		ids = append(ids, strconv.QuoteToASCII(brief(m.Header(headerDedup))))
	}
	return failure(ReasonProtocolError, "the transaction contains a duplicate: a message with the %s %s was accepted before",
		headerDedup, strings.Join(ids, " or "))
}

// Consume implements queues.
func (s *storedQueues) Consume(queue string, sub *subscriber, o *queueOwner, prefetch int, auto bool) (consumer, error) {
	share := ""
	if o != nil {
		share = sub.s.ownerKey().share()
	}
	made, err := s.roomFor(queue, share)
	if err != nil {
		return nil, err
	}
	if !made {
		share = ""
	}
	k, err := s.attach(queue, share, &storedReceiver{sub, auto}, prefetch, auto)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// attach adds a consumer, whatever the limits are. share is that of the queue,
// if the consumer makes it.
func (s *storedQueues) attach(queue, share string, r workqueue.Receiver[storedItem, *batch], prefetch int, auto bool) (*storedConsumer, error) {
	s.mu.Lock()
	q := s.open[queue]
	if q == nil {
		q = &storedQueue{s: s, name: strings.Clone(queue), share: share}
		if err := q.connect(); err != nil {
			s.mu.Unlock()
			s.b.warn("a queue cannot be read", source{what: queue}, "queue", queue, "error", err)
			return nil, unreadable(err)
		}
		s.open[q.name] = q
	}
	k, err := s.window.Consume(q.name, r, prefetch, auto)
	if err != nil {
		s.stopIdle(q)
		s.mu.Unlock()
		return nil, err
	}
	q.consumers++
	s.mu.Unlock()
	return &storedConsumer{q: q, work: k}, nil
}

// unreadable returns the error for the consumer of a queue that the store cannot
// read.
func unreadable(err error) error {
	var full *QueueFullError
	if errors.As(err, &full) {
		return err
	}
	return errors.Join(&Error{Reason: ReasonInternalError, Message: "the queue cannot be read now"}, err)
}

// roomFor returns the error of a consumer that would make one queue too many, in
// all or of its share. made is true if the consumer makes the queue.
func (s *storedQueues) roomFor(queue, share string) (made bool, _ error) {
	s.mu.Lock()
	here := make(map[string]string, len(s.open))
	for name, q := range s.open {
		here[name] = q.share
	}
	s.mu.Unlock()
	if _, open := here[queue]; open {
		return false, nil
	}
	all, mine := 0, 0
	count := func(of string) {
		all++
		if of == share {
			mine++
		}
	}
	for q := range s.store.Queues() {
		if q.Name == queue {
			return false, nil
		}
		count(q.Share)
		delete(here, q.Name)
	}
	for _, of := range here {
		count(of)
	}
	l := &s.b.o.Queues
	switch {
	case share != "" && l.QueuesPerUser >= 0 && mine >= l.QueuesPerUser:
		return false, &QueueFullError{Key: "queues.queues_per_user", Limit: int64(l.QueuesPerUser)}
	case l.Queues >= 0 && all >= l.Queues:
		return false, &QueueFullError{Key: "queues.queues", Limit: int64(l.Queues)}
	}
	return true, nil
}

// Backlog implements queues.
func (s *storedQueues) Backlog(t backlogTerms) backlog { return s.lists.Backlog(t) }

// purgePatience limits the time that Purge waits for the store.
const purgePatience = 30 * time.Second

// Purge implements queues. It also removes what waits in the window.
func (s *storedQueues) Purge(queue string) (removed int, _ error) {
	ctx, cancel := context.WithTimeout(s.b.ctx, purgePatience)
	defer cancel()
	here := s.window.TakeWaiting(queue)
	if later := ackItems(here, true); later != nil {
		select {
		case err := <-later.wait():
			if err != nil {
				return 0, err
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	n, err := s.store.Purge(ctx, queue)
	if errors.Is(err, ErrNoQueue) && (len(here) > 0 || s.consumes(queue)) {
		err = nil
	}
	return len(here) + n, err
}

// consumes reports whether a queue has consumers here.
func (s *storedQueues) consumes(queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[queue] != nil
}

// Expire implements queues: the window is searched here, what nobody holds by
// the store.
func (s *storedQueues) Expire(bt *batch) {
	s.window.Sweep(bt)
	s.store.Expired(time.Now(), func(queue string, m StoredMessage) {
		gone := func(err error) {
			if err == nil {
				s.b.stats.expired.Add(1)
			}
		}
		put, ok := s.expiredLetter(m.Message, queue, m.Share, m.Attempts)
		if !ok {
			s.store.Remove(queue, m.Sequence, gone)
			return
		}
		s.store.Replace(queue, m.Sequence, put, func(err error) {
			if isFull(err) {
				s.droppedExpired(queue, err)
				s.store.Remove(queue, m.Sequence, gone)
				return
			}
			gone(err)
		})
	})
}

// All implements queues.
func (s *storedQueues) All() iter.Seq[queueInfo] {
	return func(yield func(queueInfo) bool) {
		here := make(map[string]queueInfo)
		for st := range s.window.Queues() {
			here[st.Name] = queueInfo(st)
		}
		for q := range s.store.Queues() {
			h := here[q.Name]
			delete(here, q.Name)
			if !yield(queueInfo{Name: q.Name, Messages: q.Messages, Bytes: q.Bytes, Unsettled: h.Unsettled, Consumers: h.Consumers, Oldest: q.Oldest}) {
				return
			}
		}
		for name, h := range here {
			if h.Consumers > 0 && !yield(queueInfo{Name: name, Consumers: h.Consumers}) {
				return
			}
		}
	}
}

// close ends all readers, and logs what the store keeps. No consumer is left.
func (s *storedQueues) close() {
	s.mu.Lock()
	s.closed = true
	for _, q := range s.open {
		q.consumers, q.replacing = 0, 0
		s.stopIdle(q)
	}
	s.mu.Unlock()
	var queues, messages int
	for q := range s.store.Queues() {
		queues, messages = queues+1, messages+q.Messages
	}
	if messages > 0 {
		s.b.o.Logger.Info("queues are kept in the store", "queues", queues, "messages", messages)
	}
}

// isFull reports whether a store refused a message because of a limit.
func isFull(err error) bool {
	var full *QueueFullError
	return errors.As(err, &full)
}

// ackItems acknowledges messages that the window has settled, in one call for
// each reader that they came from.
func ackItems(list []storedItem, confirm bool) *completion {
	var open []*completion
	for len(list) > 0 {
		from := list[0].from
		var mine []uint64
		list = slices.DeleteFunc(list, func(m storedItem) bool {
			if m.from == from {
				mine = append(mine, m.sequence)
			}
			return m.from == from
		})
		if later := from.ack(mine, confirm); later != nil {
			open = append(open, later)
		}
	}
	return allOf(open)
}

// notice sees to it that what waits is given back when no consumer here has taken
// any for a while. The caller holds pumping.
func (q *storedQueue) notice(room workqueue.Room) {
	switch {
	case room.Waiting == 0 || room.Free > 0:
		q.stuck = time.Time{}
	case q.stuck.IsZero() || room.Waiting < q.backlog:
		q.stuck = time.Now()
		q.giveBackIn(returnAfter)
	}
	q.backlog = room.Waiting
}
