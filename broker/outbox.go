package broker

import (
	"runtime"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

const (
	// maxBatch is the maximum number of bytes for one write call. 64 KiB is 300
	// ordinary messages; above that the cost of the call is negligible compared
	// to the copy.
	maxBatch = 64 << 10
	// wideBatch is the same for an outbox that has more to write while its
	// client keeps up, as in a fan-out of messages of 4 KiB. With 64 KiB it takes
	// a tenth more CPU time, in the broker and in the client.
	wideBatch = 256 << 10
	// direct is the size from which a frame is written without copying it:
	// copying 32 KiB costs about as much as a second write call.
	direct = 32 << 10
	// turns is how often a full outbox is checked before its client counts as
	// slow. If the writer waits for the client, nothing else happens between
	// the checks, and they take almost no time. If a flush is in a call that
	// never waits for the client, the checks take up to 65 ms.
	turns = 16
)

// An outbox holds the encoded frames that wait to be written to one connection,
// in order. Other outboxes share these frames. It is bounded in bytes,
// including bytes in flight. No goroutine ever waits for it: a publisher
// appends to it and adds it to its [batch]. At the end of the batch, one write
// call writes all pending frames. The publisher makes this call itself as long
// as the socket accepts bytes without blocking; otherwise a writer goroutine
// does, which lives until the outbox is empty.
type outbox struct {
	mu   sync.Mutex
	s    *session
	wire wire.Wire

	pending  *segments
	receipts *receipts // nil if no answer is waiting
	sent     uint32    // frames appended, modulo 2^32, for the log
	charged  uint32    // bytes of history in it that count for the budget of all replays
	bytes    int       // pending, held behind a gate, and in flight
	control  []byte    // a heart-beat, or the answer to the latest ping: one slot only

	queued  bool // in a batch or with a flusher, which will call flush
	writing bool // flush or the writer goroutine is running
	blocked bool // the writer goroutine is running
	closed  bool // accepts no more frames
	final   bool // closed, and the goodbye follows the pending frames
	starved bool // a queue consumer is waiting for room
	cut     bool // bytes in flight are cut after the partly written frame

	idle chan struct{} // closed when writing ends; nil if no goroutine waits for it

	lastWrite int64 // broker clock: when bytes were last handed to the socket
	progress  int64 // broker clock: when the writer goroutine last made progress
}

// segments is a list of encoded frames. Lists are pooled, so that an idle
// outbox has none.
type segments struct {
	list [][]byte
	own  []byte // memory for frames of this outbox only, to avoid allocations
}

// Sizes of [segments.own]: the initial size, and the largest that is returned
// to the pool.
const (
	firstOwn  = 2 << 10
	pooledOwn = 64 << 10
)

// grow returns memory to append a frame of the given size to. Frames in earlier
// memory stay in place, because the list refers to them.
func (g *segments) grow(size int) []byte {
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

var (
	bufferPool = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, maxBatch)} }}
	widePool   = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, wideBatch)} }}
)

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

// pushOwn adds the MESSAGE of p for sub, which no other outbox gets, and reports
// whether the caller must add the outbox to its batch. n is the number of the
// delivery, or 0 if the client need not acknowledge it. The caller holds the
// lock.
func (o *outbox) pushOwn(p *publication, sub *subscriber, n uint64) (wake bool) {
	f, v, to, ack := o.wire.Framing(), sub.s.version, &sub.Recipient, encode.Ack{Subscription: sub.ordinal, Number: n}
	m := p.fit(f, sub)
	if sub.claim.Load() != uint32(saysNothing) {
		m.Extra = claim(sub.claim.Swap(uint32(saysNothing))).header()
		defer func() { m.Extra = "" }()
	}
	if sub.gated || f == encode.FramingDeflate {
		return o.appendFor(sub, m.Own(f, v, to, ack))
	}
	g := o.waiting()
	var seg []byte
	g.own, seg = m.Append(g.grow(m.Size(to)), f, v, to, ack)
	o.append(seg)
	return o.wake()
}

// wake reports whether the caller must add the outbox to its batch, because no
// other goroutine will flush it. The caller holds the lock.
func (o *outbox) wake() bool {
	if o.queued || o.writing {
		return false
	}
	o.queued = true
	return true
}

// push adds a frame that belongs to no subscription: CONNECTED, RECEIPT, a
// heart-beat. The same limit applies: a client that requests receipts and does
// not read them is a slow consumer too.
func (o *outbox) push(seg []byte, bt *batch) {
	o.mu.Lock()
	o.pushLocked(seg, bt)
}

// pushLocked is push for a caller that holds the lock; it releases it.
func (o *outbox) pushLocked(seg []byte, bt *batch) {
	if !o.fits(len(seg), false, bt) {
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

// fits reports whether n more bytes may be added. If not, it ends the session
// as a slow consumer. Before that, it flushes an outbox that only waits for the
// end of a batch, yields to a writer goroutine that is ready but has no
// processor, and waits a moment for a flush whose thread has lost its
// processor: in these cases the broker is slow, not the client. The caller
// holds the lock before and after the call; fits may release it meanwhile.
//
// hurry means that the caller holds the lock of a history, for which others
// wait, and must not make room under it: the outbox takes more than its limit,
// and the caller makes room when it has released that lock, see
// [batch.makeRoom]. Several publishers may do so at once; at twice the limit the
// session ends.
func (o *outbox) fits(n int, hurry bool, bt *batch) bool {
	if o.bytes == 0 && !o.closed { // the usual case: the client keeps up
		return true
	}
	return o.makeRoom(n, hurry, bt)
}

func (o *outbox) makeRoom(n int, hurry bool, bt *batch) bool {
	limit := o.s.b.policy.Load().limits.Outbox
	for turn := 0; ; turn++ {
		if o.closed {
			return false
		}
		o.fills(limit, bt)
		if o.bytes == 0 || n <= limit-o.bytes {
			return true
		}
		if hurry && o.bytes/2 <= limit {
			bt.full = append(bt.full, o)
			return true
		}
		if hurry || turn == turns {
			break
		}
		writing, blocked := o.writing, o.blocked
		o.mu.Unlock()
		switch {
		case !writing:
			o.flush(bt)
		case blocked:
			runtime.Gosched()
		default:
			time.Sleep(time.Microsecond << turn)
		}
		o.mu.Lock()
	}
	o.tooSlow(limit, bt)
	return false
}

// fills records in bt who must not fall further behind: a writer goroutine, or a
// flusher. The caller holds the lock.
func (o *outbox) fills(limit int, bt *batch) {
	if o.writing && o.bytes > limit/4 {
		bt.crowded = true
	}
	if !o.blocked && o.bytes > min(limit/4, mostBehind) {
		bt.behind = true
	}
}

// tooSlow ends the session. The caller holds the lock before and after the
// call; tooSlow releases it meanwhile.
func (o *outbox) tooSlow(limit int, bt *batch) {
	o.mu.Unlock()
	o.s.end(failure(ReasonSlowConsumer, "more than %d bytes are waiting to be read by you (limits.outbox)", limit), "", bt)
	o.mu.Lock()
}

// pushShared adds seg, the MESSAGE of p for sub. While the SUBSCRIBE is still
// being answered, it is held behind the gate. After sub has ended it is dropped:
// a publisher with an older snapshot of the index must not push after the
// RECEIPT of the UNSUBSCRIBE.
func (o *outbox) pushShared(p *publication, sub *subscriber, seg []byte, bt *batch) bool {
	o.mu.Lock()
	if sub.dead || !o.fits(len(seg), p.hurry, bt) || sub.dead {
		o.mu.Unlock()
		return false
	}
	wake := o.appendFor(sub, seg)
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// appendFor appends a frame for sub, or holds it behind the gate. The caller
// holds the lock.
func (o *outbox) appendFor(sub *subscriber, seg []byte) (wake bool) {
	if sub.gated {
		if sub.held == nil {
			sub.held = new([][]byte)
		}
		*sub.held = append(*sub.held, seg)
		o.bytes += len(seg)
		return false
	}
	o.append(seg)
	return o.wake()
}

// open opens the gate of sub: it appends the receipt first, then the held
// frames. It returns false if the receipt must wait for earlier answers; the
// gate then stays closed.
func (o *outbox) open(sub *subscriber, receipt []byte, bt *batch) bool {
	o.mu.Lock()
	if receipt != nil && o.receipts != nil {
		o.enlist(&response{receipt: receipt, sub: sub})
		o.mu.Unlock()
		return false
	}
	if o.closed || receipt != nil && !o.fits(len(receipt), false, bt) {
		o.mu.Unlock()
		return true
	}
	if receipt != nil {
		o.append(receipt)
	}
	o.openGate(sub) // only now: fits may have released the lock
	wake := o.pending != nil && o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// openGate appends the frames held for sub. The caller holds the lock.
func (o *outbox) openGate(sub *subscriber) {
	sub.gated = false
	if sub.held == nil {
		return
	}
	for _, seg := range *sub.held {
		o.bytes -= len(seg)
		o.append(seg)
	}
	sub.held = nil
}

// discard ends sub and drops the frames held behind its gate. It returns the
// deliveries that the client has not acknowledged.
func (o *outbox) discard(sub *subscriber) []unacknowledged {
	o.mu.Lock()
	defer o.mu.Unlock()
	sub.dead = true
	if sub.held != nil {
		for _, seg := range *sub.held {
			o.bytes -= len(seg)
		}
	}
	pending := sub.pending
	sub.held, sub.pending = nil, nil
	return pending
}

// answerPing stores the answer to the latest ping in the control slot. It is
// written before everything pending.
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

// beat sends a heart-beat, unless other bytes are about to be written, which
// serve the same purpose. It uses the control slot, because thousands of idle
// outboxes are due at once and a list for each would waste memory.
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

// close rejects all further frames and appends the goodbye frames after the
// pending ones. With discard, it drops the pending frames, and of the bytes in
// flight all after those that the writer is about to write: at most maxBatch of
// whole frames, or the rest of one larger frame. Bytes that are still held
// count until they are written or dropped.
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

// progressed returns when the writer goroutine last made progress, and whether
// it is running.
func (o *outbox) progressed() (at int64, blocked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.progress, o.blocked
}

// drop rejects all further frames and drops the pending ones, because the
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

// takesWork reports whether a queue consumer may receive another message, that
// is, whether the outbox is less than half full. If not, the consumer is
// resumed when it is.
func (o *outbox) takesWork() bool {
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

// whenIdle returns a channel that is closed when writing ends, or nil if no
// goroutine is writing. The outbox must be closed.
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
