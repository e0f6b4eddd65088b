package broker

import "sync"

// A batch collects the outboxes that one piece of work touched, so that each is
// flushed once, with one write call, when the work is done: everything that one
// read from a socket brought, one Publish, one round of the sweeper. Before user
// code is called the batch is flushed, or others would wait for it.
type batch struct {
	b       *Broker
	touched []*outbox
	pub     publication // scratch of the frame being handled
}

var batchPool = sync.Pool{New: func() any { return new(batch) }}

func (b *Broker) newBatch() *batch {
	bt := batchPool.Get().(*batch)
	bt.b = b
	return bt
}

func (bt *batch) release() {
	bt.b = nil
	bt.pub.reset()
	if cap(bt.touched) > 1<<16 {
		bt.touched = nil
	}
	batchPool.Put(bt)
}

func (bt *batch) add(o *outbox) { bt.touched = append(bt.touched, o) }

// flush writes every touched outbox. Flushing may touch others: a queue
// consumer that has room again is given its next messages.
func (bt *batch) flush() {
	for i := 0; i < len(bt.touched); i++ {
		bt.touched[i].flush(bt)
		bt.touched[i] = nil
	}
	bt.touched = bt.touched[:0]
}

// flushLater hands the touched outboxes to the flusher and releases the batch.
func (bt *batch) flushLater() {
	if len(bt.touched) > 0 {
		bt.b.flusher.add(bt.b, bt.touched)
		clear(bt.touched)
		bt.touched = bt.touched[:0]
	}
	bt.release()
}

// flusher flushes outboxes for those who may not, or should not, write
// themselves: the sweeper, and the program's Publish, whose bursts so become
// one write call per connection. Its goroutine lives while there is work.
type flusher struct {
	mu      sync.Mutex
	list    []*outbox
	spare   []*outbox
	running bool
}

func (f *flusher) add(b *Broker, touched []*outbox) {
	f.mu.Lock()
	f.list = append(f.list, touched...)
	start := !f.running
	f.running = true
	f.mu.Unlock()
	if start && !b.spawn(func() { f.run(b) }) {
		f.mu.Lock()
		f.running = false
		f.mu.Unlock()
	}
}

func (f *flusher) run(b *Broker) {
	bt := b.newBatch()
	defer bt.release()
	for {
		f.mu.Lock()
		work := f.list
		f.list, f.spare = f.spare[:0], nil
		if len(work) == 0 {
			f.running = false
			f.spare = work
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		for i, o := range work {
			o.flush(bt)
			work[i] = nil
		}
		bt.flush()
		f.mu.Lock()
		if cap(work) <= 1<<16 {
			f.spare = work[:0]
		}
		f.mu.Unlock()
	}
}
