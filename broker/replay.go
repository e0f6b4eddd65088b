package broker

import (
	"container/list"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A replay delivers history to a subscription, from the store and never from a
// queue of its own: while it is behind, live messages pass the subscription by,
// and the replay reads them from the store in their turn. When it has read
// everything, under the lock of the archive, the subscription is live. So
// nothing is missed and nothing comes twice, however fast others publish.
//
// The replay adds only some bytes to the outbox of the session, see
// [Broker.replayWindow] and [replayBudget], and continues when they are written.
// It resumes like a queue's consumer. That of a program's subscription adds some
// messages to its empty buffer.
type replay struct {
	b      *Broker
	a      *archive
	sub    *subscriber
	reader historyReader
	claims bool // the RECEIPT says recovered:true

	turn   *sync.Mutex // of the replays of the session: one works at a time
	window int         // of the goroutine that runs step: bytes that may wait in the outbox

	// Guarded by the lock of the budget.
	place *list.Element // where it waits for its turn
	turns bool          // it has its turn

	mu      sync.Mutex
	started bool
	running bool // a goroutine runs step
	again   bool // there is room again: step once more
	over    bool // no step is needed any more
}

// claim is what a MESSAGE says about messages before it: the value of its
// `recovered` header, or of its `dropped` header.
type claim uint32

const (
	saysNothing claim = iota
	saysFalse
	saysTrue
	saysDropped // plus the number of messages, see [dropped]
)

// header returns the encoded header, which is the same in every version.
func (c claim) header() string {
	switch c {
	case saysTrue:
		return headerRecovered + ":true\n"
	case saysFalse:
		return headerRecovered + ":false\n"
	case saysNothing:
		return ""
	}
	return c.droppedHeader()
}

const (
	// mostWindow is as much as one write call takes.
	mostWindow  = maxBatch
	leastWindow = 4 << 10
	// replayStep is the number of messages that a replay reads at once.
	replayStep = 256
)

// replayWindow returns how many bytes of history may wait in an outbox: fewer,
// the more sessions come back at once. A replay begins with leastWindow and
// doubles it each time the client has taken that much.
func (b *Broker) replayWindow() int {
	n, l := max(1, int(b.replays.Load())), &b.policy.Load().limits
	return min(mostWindow, max(leastWindow, l.ReplayBytes/n), l.Outbox/2)
}

// newReplay prepares the replay that a subscription asks for. From now on live
// messages pass sub by. It returns nil if the destinations of sub do not all
// belong to one history: the subscription is live only, and its first message
// says so too.
func (b *Broker) newReplay(sub *subscriber) *replay {
	a := b.archiveFor(sub.dest)
	if a == nil {
		sub.claim.Store(uint32(saysFalse))
		return nil
	}
	r := &replay{b: b, a: a, sub: sub, window: leastWindow}
	if sub.s != nil {
		r.turn = sub.s.turn()
	} else {
		r.turn = new(sync.Mutex)
	}
	sub.replay.Store(r)
	sub.resumes = true
	return r
}

// turn returns the lock that the replays of the session share.
func (s *session) turn() *sync.Mutex {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	for _, k := range s.consumers {
		if r, ok := k.(*replay); ok {
			return r.turn
		}
	}
	return new(sync.Mutex)
}

// takeTurn steps when a processor is free for it. A pattern or a selector that
// selects little reads much of a history for few bytes in an outbox, so the
// replays of one session take turns, and those of all sessions together use
// half of the processors. A step waits for nobody.
func (r *replay) takeTurn(bt *batch) (more bool) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.b.replaySlots <- struct{}{}
	defer func() { <-r.b.replaySlots }()
	return r.step(bt)
}

// follow adds sub to the index. If at is not nil and sub has a history, sub
// gets its history first.
func (s *session) follow(sub *subscriber, at *beginning) (generation uint64, fail *Error) {
	var r *replay
	if at != nil {
		r = s.b.newReplay(sub)
	}
	generation, fail = s.route(sub)
	if fail != nil || r == nil {
		return generation, fail
	}
	if err := r.begin(at); err != nil {
		s.unroute(sub)
		return 0, s.historyFailed(sub, err)
	}
	return generation, nil
}

func (s *session) historyFailed(sub *subscriber, err error) *Error {
	s.b.warn("the history could not be read, so the session ends", s.source(sub.dest.Name), "session", s.id, "destination", sub.dest.Name, "error", err)
	return failure(ReasonInternalError, "the history of %s could not be read", quoted(sub.dest.Name))
}

// answer returns what the RECEIPT of a SUBSCRIBE says about recovery.
func (sub *subscriber) answer(at *beginning) claim {
	switch {
	case at == nil:
		return saysNothing
	case claim(sub.claim.Load()) == saysTrue:
		return saysTrue
	}
	return saysFalse
}

// begin finds the place to begin at. The subscription must be in the index:
// what is published later is found in the store.
func (r *replay) begin(at *beginning) error {
	start := at.start
	switch {
	case start.From == ring.Since:
		start.At = ago(at.time, int64(time.Since(r.b.started)))
	case start.From == ring.After && at.epoch != "" && at.epoch != r.a.store.Epoch():
		start = ring.Start{From: ring.First}
	}
	sel := ring.Selection{Name: r.sub.dest.Path}
	if r.sub.dest.Pattern {
		p, err := topics.Compile(r.sub.dest.Path)
		if err != nil {
			return err
		}
		sel = ring.Selection{Match: p.Match}
	}
	var recovered bool
	var err error
	r.b.replaySlots <- struct{}{} // it may read much
	r.reader, recovered, err = r.a.store.Reader(r.b.ctx, sel, start)
	<-r.b.replaySlots
	if err != nil {
		return err
	}
	r.claims = recovered && at.epoch != ""
	says := saysFalse
	if r.claims {
		says = saysTrue
	}
	r.sub.claim.Store(uint32(says)) // nothing is delivered before Start
	r.b.replays.Add(1)
	if r.sub.s != nil {
		r.sub.s.addConsumer(r)
	}
	return nil
}

// ago returns the monotonic time of a wall-clock time, now being the monotonic
// time. The clock may have been set since the start.
func ago(t time.Time, now int64) int64 {
	d := int64(time.Now().Round(0).Sub(t))
	if d < 0 {
		return math.MaxInt64
	}
	return now - d // d is at most MaxInt64, and now at least 0
}

// Start begins to deliver: the RECEIPT is in the outbox. It delivers what fits
// with it into one write call, and leaves the rest to a goroutine.
func (r *replay) Start(bt *batch) {
	r.mu.Lock()
	r.started, r.running = true, true
	r.mu.Unlock()
	more := r.takeTurn(bt)
	r.mu.Lock()
	r.running = false
	more = more || r.again
	r.again = false
	r.mu.Unlock()
	if more {
		r.Resume(bt)
	}
}

// Resume continues on a goroutine: the outbox has room again, or the Authorizer
// has answered.
func (r *replay) Resume(*batch) {
	r.mu.Lock()
	if !r.started || r.over || r.running {
		r.again = r.running
		r.mu.Unlock()
		return
	}
	r.running = true
	r.mu.Unlock()
	if !r.b.spawn(r.run) { // the broker is closed
		r.Close(nil)
	}
}

// Close ends the replay, because everything has been read or the subscription
// has ended.
func (r *replay) Close(*batch) {
	r.mu.Lock()
	was := r.over
	r.over = true
	r.mu.Unlock()
	if was {
		return
	}
	r.b.replays.Add(-1)
	if s := r.sub.s; s != nil {
		s.removeConsumer(r)
		r.b.budget.leave(r)
		s.out.uncharge(false)
	}
}

// run steps until the outbox is full or everything has been read.
func (r *replay) run() {
	bt := r.b.newBatch()
	defer bt.release()
	for {
		more := r.takeTurn(bt)
		bt.flush() // may call Resume
		r.mu.Lock()
		if r.over || !more && !r.again {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.again = false
		r.mu.Unlock()
	}
}

var keptPool = sync.Pool{New: func() any { return new([]kept) }}

// step delivers the next messages, as many as the outbox has room for. It
// returns true if it should be called again, and false if it must wait for
// Resume or is done.
func (r *replay) step(bt *batch) bool {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over {
		return false
	}
	if l := r.sub.local; l != nil {
		count := l.replayRoom()
		return count > 0 && r.read(count, mostWindow, bt)
	}
	room := r.room(bt)
	if room <= 0 {
		r.b.budget.pass(r)
		return false
	}
	return r.b.budget.admits(r) && r.read(replayStep, room, bt)
}

// room returns how many bytes may be added to the outbox now.
func (r *replay) room(bt *batch) int {
	s, f := r.sub.s, r.sub.filter.Load()
	if f != nil && f.park(r) {
		return 0
	}
	window := min(r.window, r.b.replayWindow())
	room, open := s.out.replayRoom(window)
	if !open {
		r.Close(bt)
		return 0
	}
	empty := room == window
	if empty {
		s.out.uncharge(false) // what was added has been written, or selected by nothing
	}
	switch {
	case f != nil && !f.isProven():
		room = min(room, leastWindow) // the window bounds the outbox, and these may wait before it
	case empty:
		r.window = min(2*r.window, mostWindow)
	}
	return room
}

// read delivers the next messages: at most count, and no more after a number of
// bytes.
func (r *replay) read(count, bytes int, bt *batch) bool {
	list := keptPool.Get().(*[]kept)
	defer func() {
		clear(*list)
		*list = (*list)[:0]
		keptPool.Put(list)
	}()
	var gap, done bool
	var err error
	*list, gap, done, err = r.reader.Next(r.b.ctx, *list, count, bytes)
	if s := r.sub.s; s != nil {
		size := 0
		for i := range *list {
			size += (*list)[i].Size
		}
		s.out.charge(size)
	}
	switch {
	case err != nil || gap && r.claims:
		r.fail(err, bt)
		return false
	case gap:
		r.sub.claim.Store(uint32(saysFalse))
	}
	for i := range *list {
		r.give(&(*list)[i], bt)
	}
	if l := r.sub.local; l != nil && len(*list) > l.buffer/2 { // live messages need room, too
		done = false
	}
	return !done || !r.finish(bt)
}

// fail ends the session or the program's subscription: the history could not be
// read or, without err, has dropped messages that it should have delivered.
func (r *replay) fail(err error, bt *batch) {
	s, l, name := r.sub.s, r.sub.local, quoted(r.sub.dest.Name)
	slow := failure(ReasonSlowConsumer, "the history of %s dropped messages before you read them: it keeps at most %s", name, *r.a.limits.Load())
	switch {
	case l != nil && err != nil:
		l.end(fmt.Errorf("broker: the history of %s could not be read: %w", name, err))
	case l != nil:
		l.end(fmt.Errorf("%w: %s", ErrSlowConsumer, slow.Message))
	case err != nil:
		s.end(s.historyFailed(r.sub, err), "", bt)
	default:
		s.end(slow, "", bt)
	}
}

// give delivers one message as if it were published now.
func (r *replay) give(k *kept, bt *batch) {
	p := &bt.pub
	p.reset()
	p.set(k.Value, k.Value.Destination)
	if p.expires = expiryOf(k.Value.Headers); expired(p.expires) {
		return // which is no gap
	}
	p.msg, p.Single = k.Value, true
	p.Offset = encode.Offset{Epoch: r.a.store.Epoch(), Number: k.Number}
	if r.sub.offer(p, bt) {
		r.b.stats.delivered.Add(1)
	}
	p.reset()
}

// finish makes the subscription live if everything has been read. If no MESSAGE
// has said yet whether it recovered, the next one does.
func (r *replay) finish(bt *batch) bool {
	a := r.a
	a.mu.Lock()
	if r.reader.At() < a.delivered {
		a.mu.Unlock()
		return false
	}
	r.sub.replay.Store(nil)
	a.mu.Unlock()
	r.Close(bt)
	return true
}

// replayRoom returns how many of window bytes are free. If none is, the session
// resumes its replays when the outbox is empty. open is false if the outbox is
// closed.
func (o *outbox) replayRoom(window int) (room int, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, false
	}
	if room = window - o.bytes; room <= 0 {
		o.starved = true
	}
	return room, true
}

// park reports whether messages wait for the Authorizer. If so, r resumes when
// they have been delivered.
func (f *filter) park(r *replay) bool {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	if f.idle() && !f.j.crowded() {
		return false
	}
	if !slices.Contains(f.j.parked, r) {
		f.j.parked = append(f.j.parked, r)
	}
	return true
}

// unpark resumes the replays that need not wait any more. The caller holds the
// lock.
func (j *judge) unpark() {
	if len(j.parked) == 0 || j.crowded() {
		return
	}
	j.parked = slices.DeleteFunc(j.parked, func(r *replay) bool {
		ready := r.sub.filter.Load().idle()
		if ready {
			j.s.b.spawn(func() { r.Resume(nil) })
		}
		return ready
	})
}
