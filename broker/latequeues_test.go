package broker

import (
	"slices"
	"sync"
	"weak"
)

// LateQueues are queues in memory that finish what they take when the test says
// so: puts, commits, and ACKs whose sender asks for a receipt.
type LateQueues struct {
	*memoryQueues
	mu      sync.Mutex
	pending []*Late
}

// Late is something that has been taken and is not finished.
type Late struct {
	Queues []string // where it goes to
	do     func() error
	end    *completion
	b      *Broker
}

// UseLateQueues gives the broker such queues. It must be idle.
func (b *Broker) UseLateQueues() *LateQueues {
	q := &LateQueues{memoryQueues: b.queues.(*memoryQueues)}
	b.queues = &lateQueues{q, b}
	return q
}

// Taken returns what was taken until now, in order.
func (q *LateQueues) Taken() []*Late {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.pending)
}

func (q *LateQueues) take(l *Late) *completion {
	l.end = new(completion)
	q.mu.Lock()
	q.pending = append(q.pending, l)
	q.mu.Unlock()
	return l.end
}

// Finish ends it, with an error or by doing what it is.
func (l *Late) Finish(err error) {
	if err == nil {
		err = l.do()
	}
	l.end.end(err)
}

type lateQueues struct {
	*LateQueues
	b *Broker
}

func (q *lateQueues) later(names []string, do func(*batch) error) *completion {
	return q.take(&Late{Queues: names, b: q.b, do: func() error {
		bt := q.b.newBatch()
		defer bt.flushLater()
		return do(bt)
	}})
}

func (q *lateQueues) Put(_ *batch, p queuePut) (*completion, error) {
	return q.later([]string{p.queue}, func(bt *batch) error {
		_, err := q.memoryQueues.Put(bt, p)
		return err
	}), nil
}

func (q *lateQueues) Commit(_ *batch, puts []queuePut) (*completion, error) {
	var names []string
	for _, p := range puts {
		names = append(names, p.queue)
	}
	return q.later(names, func(bt *batch) error {
		_, err := q.memoryQueues.Commit(bt, puts)
		return err
	}), nil
}

func (q *lateQueues) Consume(queue string, sub *subscriber, o *queueOwner, prefetch int, auto bool) (consumer, error) {
	return q.store().ConsumeFor(o, queue, &lateReceiver{sub, q}, prefetch, auto)
}

type lateReceiver struct {
	sub *subscriber
	q   *lateQueues
}

func (r *lateReceiver) Offer(bt *batch, d *queueDelivery) bool {
	return r.sub.offerWork(&lateDelivery{(*memoryDelivery)(d), r.q}, bt)
}

type lateDelivery struct {
	*memoryDelivery
	q *lateQueues
}

func (d *lateDelivery) Settle(bt *batch, s settlement) *completion {
	if !s.confirm {
		return d.memoryDelivery.Settle(bt, s)
	}
	return d.q.later([]string{"ack"}, func(bt *batch) error {
		d.memoryDelivery.Settle(bt, s)
		return nil
	})
}

// Alive returns a function that reports whether the session is still in memory.
func (b *Broker) Alive(id string) func() bool {
	p := weak.Make(b.session(id))
	return func() bool { return p.Value() != nil }
}

// DrainReceipts is how long a drain waits for receipts.
const DrainReceipts = drainReceipts

// StorePatience is how long a session that reads nothing waits for a store.
const StorePatience = storePatience
