package broker

import (
	"runtime"
	"sync"
)

// batch collects the outboxes that one piece of work touched, so that each is
// flushed once, with one write call, when the work is done. The work is all
// bytes of one read from a socket, one Publish, or one round of the sweeper.
// The batch is flushed before user code runs, so that no other session waits
// for that code.
type batch struct {
	b       *Broker
	touched []*outbox
	full    []*outbox        // have more than their limit, see [outbox.fits]
	load    load             // the fan-outs of this batch
	crowded bool             // an outbox fills faster than its writer goroutine empties it
	behind  bool             // an outbox fills faster than a flusher empties it
	pub     publication      // scratch space for the current frame
	settled []unacknowledged // scratch space for the current ACK
	relayed RelayBatch       // for other brokers, nil if there is nothing
}

var batchPool = sync.Pool{New: func() any { return new(batch) }}

func (b *Broker) newBatch() *batch {
	bt := batchPool.Get().(*batch)
	bt.b = b
	return bt
}

func (bt *batch) release() {
	bt.sendRelayed()
	bt.b, bt.load, bt.crowded, bt.behind = nil, load{}, false, false
	bt.pub.reset()
	if cap(bt.touched) > 1<<16 {
		bt.touched = nil
	}
	if cap(bt.full) > 1<<10 {
		bt.full = nil
	}
	if cap(bt.settled) > 1<<10 {
		bt.settled = nil
	}
	batchPool.Put(bt)
}

func (bt *batch) add(o *outbox) { bt.touched = append(bt.touched, o) }

// flush writes every touched outbox. Flushing may touch other outboxes: a queue
// consumer that has room again receives its next messages.
func (bt *batch) flush() {
	bt.sendRelayed()
	for len(bt.touched) > 0 {
		work := bt.touched
		bt.touched = nil
		bt.flushAll(work, 0)
		if bt.touched == nil {
			bt.touched = work[:0]
		}
	}
	bt.load = load{}
}

// makeRoom waits for the outboxes that have taken more than their limit, as
// makeRoom of an outbox does. The caller holds no lock.
func (bt *batch) makeRoom() {
	if len(bt.full) > 0 {
		bt.sendRelayed()
	}
	for i, o := range bt.full {
		o.mu.Lock()
		o.makeRoom(0, false, bt)
		o.mu.Unlock()
		bt.full[i] = nil
	}
	bt.full = bt.full[:0]
}

// yield is called after the work of a publisher. A publisher that has filled
// outboxes lets their writer goroutines run first. Otherwise, on busy
// processors, it would finish its next batches before the writers run once, and
// clients that read as fast as they can would be disconnected as slow. yield
// waits for no client: a writer that waits for its client is not ready to run.
func (bt *batch) yield() {
	if bt.crowded {
		bt.crowded = false
		runtime.Gosched()
	}
}

// flushShare is the minimum number of outboxes per helper goroutine: so many
// write calls take at least 200 µs, starting a goroutine takes 1 µs. With half of
// this value, a message to 100 idle subscribers costs a tenth more CPU time.
const flushShare = 64

// flushShareBytes is the minimum number of bytes per helper goroutine, if there
// are fewer outboxes: writing them takes at least 200 µs too.
const flushShareBytes = 1 << 20

// flushAll flushes work and clears it. bytes is how much was published to these
// outboxes, or 0. A large fan-out needs one similar write call per subscriber,
// so the calls are distributed over the processors: with 1,000 subscribers on
// two processors this gives 1.2 to 1.4 times the deliveries per second, with
// less CPU time per delivery.
func (bt *batch) flushAll(work []*outbox, bytes int) {
	parts := max(len(work)/flushShare, bytes/flushShareBytes)
	if parts > 1 {
		parts = min(runtime.GOMAXPROCS(0), parts, len(work))
	}
	if parts > 1 {
		bt.flushParts(work, parts)
	} else {
		bt.flushEach(work)
	}
}

// flushParts is apart from flushAll, because others is an allocation.
func (bt *batch) flushParts(work []*outbox, parts int) {
	var others sync.WaitGroup
	for ; parts > 1; parts-- {
		part := work[:len(work)/parts]
		work = work[len(part):]
		others.Go(func() {
			other := bt.b.newBatch()
			other.flushEach(part)
			other.flush()
			other.release()
		})
	}
	bt.flushEach(work)
	others.Wait()
}

func (bt *batch) flushEach(work []*outbox) {
	for i, o := range work {
		o.flush(bt)
		work[i] = nil
	}
}
