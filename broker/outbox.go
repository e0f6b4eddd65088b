package broker

import (
	"runtime"
	"sync"
)

const (
	// maxBatch is how much one write call takes. 64 KiB is 300 ordinary
	// messages; beyond it the cost of the call is nothing beside the copy.
	maxBatch = 64 << 10
	// direct is the size from which a frame is written from where it lies:
	// copying 32 KiB costs about what a second write call does.
	direct = 32 << 10
	// turns is how often a full outbox is looked at before its client is taken
	// for slow: a writer that waits for the client has nothing to do meanwhile,
	// and they pass at once.
	turns = 16
)

// An outbox holds what waits to be written to one connection, in order, as
// encoded frames that other outboxes share. It is bounded in bytes, those in
// flight included. Nobody ever waits for it: a publisher appends and notes the
// outbox in its [batch]; at the end of the batch everything pending goes out in
// one write call, made by the publisher itself as long as the socket takes it
// without blocking, else by a writer goroutine that lives until it is empty.
type outbox struct {
	mu   sync.Mutex
	s    *session
	wire wire

	pending  *segments
	receipts *receipts // nil while no answer waits
	sent     uint32    // frames appended, modulo 2^32, for the log
	bytes    int       // pending, held behind a gate, and in flight
	control  []byte    // a heart-beat, or the answer to the latest ping: one slot, whatever comes

	queued  bool // in somebody's batch, who will call flush
	writing bool // somebody is in flush, or the writer goroutine runs
	blocked bool // the writer goroutine runs
	closed  bool // takes nothing more
	final   bool // closed, and the goodbye follows what is pending
	starved bool // a queue consumer waits for room
	cut     bool // what is in flight ends with the frame that is half out

	idle chan struct{} // closed when writing ends, if somebody waits for it

	lastWrite int64 // broker clock: when bytes were last handed to the socket
	progress  int64 // broker clock: when the writer goroutine last got on
}

// segments is a list of encoded frames. Lists are pooled, so that an idle
// outbox has none.
type segments struct {
	list [][]byte
	own  []byte // frames that no other outbox has lie in here, and cost no allocation
}

// Sizes of [segments.own]: at first, and of the largest that goes to the pool.
const (
	firstOwn  = 2 << 10
	pooledOwn = 64 << 10
)

// room returns the memory for a frame of some size, to append it to. What lies in
// a former one stays where it is, for the list.
func (g *segments) room(size int) []byte {
	if cap(g.own)-len(g.own) < size {
		g.own = make([]byte, 0, max(size, min(2*cap(g.own), pooledOwn), firstOwn))
	}
	return g.own
}

var segmentPool = sync.Pool{New: func() any { return &segments{list: make([][]byte, 0, 16)} }}

func (g *segments) release() {
	clear(g.list)
	g.list = g.list[:0]
	g.own = g.own[:0]
	if cap(g.own) > pooledOwn {
		g.own = nil
	}
	if cap(g.list) <= 4096 {
		segmentPool.Put(g)
	}
}

type buffer struct{ b []byte }

var bufferPool = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, maxBatch)} }}

// append adds one encoded frame. The caller holds the lock.
func (o *outbox) append(seg []byte) {
	g := o.waiting()
	g.list = append(g.list, seg)
	o.bytes += len(seg)
	o.sent++
}

func (o *outbox) waiting() *segments {
	if o.pending == nil {
		o.pending = segmentPool.Get().(*segments)
	}
	return o.pending
}

// encode adds the MESSAGE of p for sub, which nobody else gets, and reports
// whether the caller must note the outbox. The caller has the lock.
func (o *outbox) encode(p *publication, sub *subscription, ack uint64) (wake bool) {
	f, v := o.wire.framing(), sub.s.version
	p = p.fit(f, sub)
	if sub.gated || f == framingDeflate {
		return o.enqueue(sub, p.encode(f, v, sub, ack))
	}
	if !p.single { // what others get as well must not lie in the memory of this outbox
		p.tail(v)
	}
	g := o.waiting()
	b := g.room(p.size(sub))
	start := len(b)
	g.own = terminated(p.append(b, v, sub, ack), f)
	o.append(framed(g.own[start:len(g.own):len(g.own)], f, f.webSocket() && p.binary(sub)))
	return o.wake()
}

// wake reports whether the caller must note the outbox in its batch: nobody
// else has promised to flush it. The caller holds the lock.
func (o *outbox) wake() bool {
	if o.queued || o.writing {
		return false
	}
	o.queued = true
	return true
}

// push adds a frame that belongs to no subscription: CONNECTED, RECEIPT, a
// heart-beat. A client that asks for receipts and does not read them is as slow
// as any other.
func (o *outbox) push(seg []byte, bt *batch) {
	o.mu.Lock()
	o.pushLocked(seg, bt)
}

// pushLocked is push for a caller that holds the lock; it releases it.
func (o *outbox) pushLocked(seg []byte, bt *batch) {
	if !o.room(len(seg), bt) {
		o.mu.Unlock()
		return
	}
	o.append(seg)
	wake := o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
}

// room reports whether n more bytes may be added, ending the session as a
// slow consumer when not. Before that an outbox that only waits for the end of a
// batch gets its turn, and so does a writer goroutine that is ready to go on and
// has found no processor: that is our slowness and not the client's. The caller
// holds the lock and still does afterwards.
func (o *outbox) room(n int, bt *batch) bool {
	if o.bytes == 0 && !o.closed { // the usual case: its client reads along
		return true
	}
	return o.makeRoom(n, bt)
}

func (o *outbox) makeRoom(n int, bt *batch) bool {
	limit := o.s.b.policy.Load().limits.Outbox
	for turn := 0; ; turn++ {
		if o.closed {
			return false
		}
		if o.writing && o.bytes > limit/4 {
			bt.crowded = true
		}
		if o.bytes == 0 || n <= limit-o.bytes {
			return true
		}
		if turn == turns {
			break
		}
		writing := o.writing
		o.mu.Unlock()
		if writing {
			runtime.Gosched()
		} else {
			o.flush(bt)
		}
		o.mu.Lock()
	}
	o.mu.Unlock()
	o.s.end(failure(ReasonSlowConsumer, "more than %d bytes are waiting to be read by you (limits.outbox)", limit), "", bt)
	o.mu.Lock()
	return false
}

// deliver adds a MESSAGE for sub, behind the gate while its SUBSCRIBE is still
// being answered, and not at all once it has ended: a publisher with an older
// snapshot of the index must not push after the RECEIPT of the UNSUBSCRIBE.
func (o *outbox) deliver(sub *subscription, seg []byte, bt *batch) bool {
	o.mu.Lock()
	if sub.dead || !o.room(len(seg), bt) || sub.dead {
		o.mu.Unlock()
		return false
	}
	wake := o.enqueue(sub, seg)
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// enqueue appends for sub or holds it behind the gate. The caller has the lock.
func (o *outbox) enqueue(sub *subscription, seg []byte) (wake bool) {
	if sub.gated {
		sub.held = append(sub.held, seg)
		o.bytes += len(seg)
		return false
	}
	o.append(seg)
	return o.wake()
}

// open ends the gate of sub: the receipt first, then what arrived meanwhile. It
// reports false if the receipt has to wait for others, and the gate with it.
func (o *outbox) open(sub *subscription, receipt []byte, bt *batch) bool {
	o.mu.Lock()
	if receipt != nil && o.receipts != nil {
		o.enlist(&response{receipt: receipt, sub: sub})
		o.mu.Unlock()
		return false
	}
	if o.closed || receipt != nil && !o.room(len(receipt), bt) {
		o.mu.Unlock()
		return true
	}
	if receipt != nil {
		o.append(receipt)
	}
	o.openGate(sub) // not before: room may have let go of the lock
	wake := o.pending != nil && o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// openGate appends what was held for sub. The caller holds the lock.
func (o *outbox) openGate(sub *subscription) {
	sub.gated = false
	for _, seg := range sub.held {
		o.bytes -= len(seg)
		o.append(seg)
	}
	sub.held = nil
}

// discard ends sub and throws away what is held behind its gate. What the client
// has not acknowledged is returned.
func (o *outbox) discard(sub *subscription) []unacknowledged {
	o.mu.Lock()
	defer o.mu.Unlock()
	sub.dead = true
	for _, seg := range sub.held {
		o.bytes -= len(seg)
	}
	pending := sub.pending
	sub.held, sub.pending = nil, nil
	return pending
}

// answerPing keeps the answer to the latest ping in its slot; it goes out ahead
// of everything pending.
func (o *outbox) answerPing(frame []byte, bt *batch) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.control = frame
	wake := o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
}

// beat sends a heart-beat, unless bytes are on their way, which are as good.
// It takes the slot, since thousands of idle outboxes are due at once: a list
// for each would be memory that their server needs for nothing else.
func (o *outbox) beat(frame []byte, bt *batch) {
	o.mu.Lock()
	if o.closed || o.writing || o.queued || o.control != nil || o.pending != nil {
		o.mu.Unlock()
		return
	}
	o.control = frame
	wake := o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
}

// close refuses everything from now on and lets the goodbye frames follow what
// is pending. With discard, what is pending is dropped, and of what is in flight
// everything behind the bytes that the writer is about to hand to the socket:
// at most maxBatch of whole frames, or the rest of one frame that is larger.
// What is still held counts until it is written or thrown away.
func (o *outbox) close(goodbye [][]byte, discard bool, bt *batch) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.cut = discard && o.writing
	if discard && o.pending != nil {
		for _, seg := range o.pending.list {
			o.bytes -= len(seg)
		}
		o.pending.release()
		o.pending = nil
	}
	for _, seg := range goodbye {
		o.append(seg)
	}
	o.closed, o.final = true, true
	o.forget()
	wake := o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
}

// progressed returns when the writer goroutine last got on, if there is one.
func (o *outbox) progressed() (at int64, blocked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.progress, o.blocked
}

// drop refuses everything from now on and forgets what is pending: the
// connection is gone.
func (o *outbox) drop() {
	o.mu.Lock()
	o.closed, o.final = true, false
	o.forget()
	if o.pending != nil {
		o.pending.release()
		o.pending = nil
	}
	o.mu.Unlock()
}

// hasRoom reports whether a queue consumer may be given another message: the
// outbox is less than half full. If not, the consumer is resumed when it is.
func (o *outbox) hasRoom() bool {
	if o.closed {
		return false
	}
	if o.bytes > 0 && o.bytes > o.s.b.policy.Load().limits.Outbox/2 {
		o.starved = true
		return false
	}
	return true
}

// rest ends the writing state. The caller holds the lock.
func (o *outbox) rest() {
	o.writing, o.blocked = false, false
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// whenIdle returns a channel that is closed when nobody writes any more, nil if
// that is so already. The outbox must be closed.
func (o *outbox) whenIdle() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		return nil
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}
