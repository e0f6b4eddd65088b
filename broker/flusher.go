package broker

import (
	"slices"
	"sync"
)

// load is how much the fan-outs of a batch have published.
type load struct {
	messages int
	body     int // bytes of their bodies: an outbox gets at most these
	bytes    int // the same times the subscriptions that get them
}

func (l *load) add(body, subscriptions int) {
	l.messages++
	l.body += body
	l.bytes += body * subscriptions
}

// A batch is large if its fan-outs have published at least these numbers of
// bytes: to all outboxes, to an outbox, and with each message on average. So
// much takes the processors half a millisecond and more, and nearly all of it
// is copying in the kernel. With small messages as much of the time goes into
// parsing and appending, which the publisher does anyway. A single message of a
// few kilobytes is never large.
const (
	largeBatch  = 1 << 20
	largeOutbox = 16 << 10
	largeBody   = 1 << 10
)

// mostBehind is the number of bytes waiting in an outbox from which its flusher
// is behind. It is less if the limit of an outbox is less than four times this.
const mostBehind = 256 << 10

// large reports whether a flusher writes the batch while its publisher goes on
// reading. Then the outboxes collect more for each write call, and the clients
// find more at each read; both save CPU time, which is the limit of a fan-out
// of large bodies. outbox is the limit of an outbox in bytes, which the batch
// must not fill by itself.
func (l *load) large(outbox int) bool {
	return l.bytes >= largeBatch && l.body >= largeOutbox && l.body >= largeBody*l.messages && l.body <= outbox/4
}

// end writes the batch of a publisher's read and releases it. own is the
// publisher's outbox: its receipts do not wait for the flusher.
func (bt *batch) end(own *outbox) {
	if bt.load.large(bt.b.policy.Load().limits.Outbox) {
		bt.handOver(own)
	} else {
		bt.flush()
	}
	bt.yield()
	bt.release()
}

// handOver hands the touched outboxes to the flusher of large batches. If this
// flusher is behind, handOver waits for the end of its round: otherwise the
// outboxes would fill, and clients that read as fast as they can would be
// disconnected as slow.
func (bt *batch) handOver(own *outbox) {
	bt.sendRelayed()
	if i := slices.Index(bt.touched, own); i >= 0 {
		bt.touched = slices.Delete(bt.touched, i, i+1)
		own.flush(bt)
	}
	f := &bt.b.bulk
	f.add(bt.b, bt.touched, bt.load.bytes)
	clear(bt.touched)
	bt.touched = bt.touched[:0]
	if bt.behind {
		f.wait()
	}
}

// flushLater hands the touched outboxes to the flusher and releases the batch.
func (bt *batch) flushLater() {
	if len(bt.touched) > 0 {
		bt.b.flusher.add(bt.b, bt.touched, bt.load.bytes)
		clear(bt.touched)
		bt.touched = bt.touched[:0]
	}
	bt.yield()
	bt.release()
}

// flusher flushes outboxes for callers that must not, or should not, write
// themselves: the sweeper, and the program's Publish, so that a burst becomes
// one write call per connection. Another one flushes large batches. Its
// goroutine lives while there is work, and works in rounds: in each it flushes
// what was added during the round before.
type flusher struct {
	mu      sync.Mutex
	list    []*outbox
	spare   []*outbox
	bytes   int // published to the outboxes in list
	running bool
	round   uint      // how many have ended
	ended   sync.Cond // signals the end of a round
}

func (f *flusher) add(b *Broker, touched []*outbox, bytes int) {
	f.mu.Lock()
	f.list = append(f.list, touched...)
	f.bytes += bytes
	start := !f.running && len(f.list) > 0
	f.running = f.running || start
	f.mu.Unlock()
	if start && !b.spawn(func() { f.run(b) }) {
		f.mu.Lock()
		f.running = false
		f.ended.Broadcast()
		f.mu.Unlock()
	}
}

// wait waits until the current round ends. A round waits for no client.
func (f *flusher) wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended.L = &f.mu
	for round := f.round; f.running && f.round == round; {
		f.ended.Wait()
	}
}

func (f *flusher) run(b *Broker) {
	bt := b.newBatch()
	defer bt.release()
	for {
		f.mu.Lock()
		work, bytes := f.list, f.bytes
		f.list, f.spare, f.bytes = f.spare[:0], nil, 0
		if len(work) == 0 {
			f.running = false
			f.spare = work
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		bt.flushAll(work, bytes)
		bt.flush()
		f.mu.Lock()
		f.round++
		f.ended.Broadcast()
		if cap(work) <= 1<<16 {
			f.spare = work[:0]
		}
		f.mu.Unlock()
	}
}
