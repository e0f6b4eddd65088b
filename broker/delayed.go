package broker

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/schedule"
)

// A message with a delay waits here until it is due, and is then delivered as if
// it had just been sent. The rules were asked when it was sent. The messages are
// in memory and are lost with the broker.

// postponed is a message that is not due yet.
type postponed struct {
	m       *Message
	expires int64
	user    string
	refused atomic.Int32 // how often its queue refused it
}

// delayOwner is the client whose share a message counts against, in the schedule
// and later in its queue. The zero value has no share: the program and backends.
type delayOwner struct {
	quotaKey
	shares bool
}

type delayedItem = schedule.Item[delayOwner, *postponed]

// delays are the messages of a broker that are not due yet, and the timer for
// the next one.
type delays struct {
	b *Broker
	*schedule.Schedule[delayOwner, *postponed]

	mu      sync.Mutex
	timer   *time.Timer
	at      int64 // when the timer fires; 0 if it is not set
	running bool  // due messages are being delivered
	closed  bool
}

func newDelays(b *Broker) *delays {
	q := &b.o.Queues
	return &delays{b: b, Schedule: schedule.New[delayOwner, *postponed](schedule.Limits{
		Items: q.Delayed, ItemsPerOwner: q.DelayedPerUser, Bytes: q.DelayedBytes, BytesPerOwner: q.DelayedBytesPerUser,
	})}
}

// ErrNotDelayed is returned by [Broker.CancelDelayed] if no message with the ID
// waits: it was delivered, is being delivered, or never existed.
var ErrNotDelayed = errors.New("broker: no such delayed message")

// DelayedMessage describes a message that waits until it is due.
type DelayedMessage struct {
	ID          string // its message-id
	Destination string
	User        string    // who sent it; "" for the program and for anonymous clients
	Due         time.Time // for one that was refused, the next attempt
	Refused     int       // how often its queue had no room
	Bytes       int64     // its memory
}

// Delayed returns the messages that are not due yet, in the order in which they
// will be. The list is a snapshot made when the iteration begins.
func (b *Broker) Delayed() iter.Seq[DelayedMessage] {
	return func(yield func(DelayedMessage) bool) {
		all := b.delays.All()
		slices.SortFunc(all, func(x, y delayedItem) int { return cmp.Or(cmp.Compare(x.Due, y.Due), strings.Compare(x.ID, y.ID)) })
		for i := range all {
			it := &all[i]
			if !yield(DelayedMessage{
				ID: it.ID, Destination: it.Value.m.Destination, User: it.Value.user,
				Due: time.UnixMilli(it.Due), Refused: int(it.Value.refused.Load()), Bytes: it.Size,
			}) {
				return
			}
		}
	}
}

// CancelDelayed removes a delayed message: it is not delivered. The error is
// ErrNotDelayed.
func (b *Broker) CancelDelayed(id string) error {
	if !b.delays.Cancel(id) {
		return ErrNotDelayed
	}
	return nil
}

// delay returns the item for a publication that is not due yet. from is its
// sender, nil for the program.
func (b *Broker) delay(d destination, p *publication, from *session) (*delayedItem, error) {
	if d.queue {
		if err := b.queueName(d.Path); err != nil {
			return nil, err
		}
	}
	m := p.message()
	it := &delayedItem{ID: m.ID, Due: p.due, Size: int64(messageSize(m) + schedule.Overhead), Value: &postponed{m: m, expires: p.expires}}
	if from != nil {
		it.Value.user = from.userName()
		if from.owner() != nil {
			it.Owner = delayOwner{from.ownerKey(), true}
		}
	}
	return it, nil
}

// postpone has a publication delivered when it is due.
func (b *Broker) postpone(d destination, p *publication, from *session) error {
	it, err := b.delay(d, p, from)
	if err != nil {
		return err
	}
	return b.delays.add(it)
}

// add adds a message.
func (l *delays) add(it *delayedItem) error {
	if err := l.Reserve(it); err != nil {
		return delayRefused(err)
	}
	l.wait(it)
	return nil
}

// wait has messages wait for which there is room.
func (l *delays) wait(items ...*delayedItem) {
	for _, it := range items {
		l.Wait(it, it.Due)
	}
	if len(items) > 0 {
		l.arm()
	}
}

// remove removes messages that will not wait after all.
func (l *delays) remove(items []*delayedItem) {
	for _, it := range items {
		l.Remove(it)
	}
}

// delayKeys are the configuration keys of the limits.
var delayKeys = map[schedule.Limit]string{
	schedule.LimitItems: "queues.delayed", schedule.LimitItemsPerOwner: "queues.delayed_per_user",
	schedule.LimitBytes: "queues.delayed_bytes", schedule.LimitBytesPerOwner: "queues.delayed_bytes_per_user",
}

// delayRefused returns the error about a message that cannot be delayed.
func delayRefused(err error) error {
	var full *schedule.FullError
	if errors.As(err, &full) {
		return &refusal{ErrLimit, failure(ReasonLimit, "%s (%s)", full.Error(), delayKeys[full.Limit])}
	}
	return &refusal{ErrHeader, failure(ReasonProtocolError, "%s", err.Error())}
}

// arm sets the timer for the next message. A message is never early, since its
// due time is a whole millisecond that must have passed.
func (l *delays) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, any := l.Next()
	if !any || l.closed || l.running {
		return // run arms it again
	}
	if l.at != 0 && l.at <= due {
		return
	}
	l.at = due
	wait := time.Duration(min(max(due-moment(), 0), longestTimer)) * time.Millisecond
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.fire)
	} else {
		l.timer.Reset(wait)
	}
}

// longestTimer is a day, in milliseconds: later messages are looked at daily.
const longestTimer = 24 * 60 * 60 * 1000

func (l *delays) fire() {
	l.mu.Lock()
	l.at = 0
	start := !l.running && !l.closed
	l.running = l.running || start
	l.mu.Unlock()
	if start && !l.b.spawn(l.run) {
		l.close()
	}
}

// delayRound is how many messages are delivered before the outboxes are
// written.
const delayRound = 256

// run delivers the messages that are due.
func (l *delays) run() {
	for {
		due := l.Due(moment(), delayRound)
		if len(due) == 0 {
			l.mu.Lock()
			l.running = false
			l.mu.Unlock()
			l.arm()
			return
		}
		bt := l.b.newBatch()
		for _, it := range due {
			l.deliver(it, bt)
			bt.pub.reset()
		}
		bt.flush()
		bt.yield()
		bt.release()
	}
}

// deliver delivers a message that is due.
func (l *delays) deliver(it *delayedItem, bt *batch) {
	b, x := l.b, it.Value
	parsed, err := b.o.names.Parse(x.m.Destination)
	if err != nil { // it was read before
		b.o.Logger.Error("a delayed message was lost", "destination", x.m.Destination, "error", err)
		l.Remove(it)
		return
	}
	d := b.destination(parsed)
	if !d.queue {
		l.distribute(it, d, bt)
		return
	}
	l.put(it, d.Path, x.m, x.expires, bt, func(err error, bt *batch) {
		if err == nil {
			l.Remove(it)
		} else {
			l.refused(it, d.Path, err, bt)
		}
	})
}

// distribute delivers a message that no queue stores. One that could not be
// stored is tried again, so it may be there twice.
func (l *delays) distribute(it *delayedItem, d destination, bt *batch) {
	p, x := &bt.pub, it.Value
	p.set(x.m, x.m.Destination)
	p.msg, p.expires = x.m, x.expires
	var later *completion
	if d.kept {
		later = l.b.durables.accept(d, p)
	}
	if later == nil {
		_, later, _ = l.b.distribute(d, p, bt) // an answer whose requester has gone is dropped
	}
	if later == nil {
		l.Remove(it)
		return
	}
	later.whenEnded(func(err error) { l.keptOrLater(it, err) })
}

// keptOrLater removes a message that was stored, or tries again after a pause.
func (l *delays) keptOrLater(it *delayedItem, err error) {
	if err == nil {
		l.Remove(it)
		return
	}
	l.b.warn("a delayed message waits because it cannot be stored", source{what: it.Value.m.Destination},
		"destination", it.Value.m.Destination, "id", it.ID, "error", err)
	l.again(it, min(time.Second<<min(it.Value.refused.Add(1)-1, 6), delayPause))
}

// put puts a message into a queue and calls then with the outcome, at once or
// later. It counts against the share of its sender, who may have gone.
func (l *delays) put(it *delayedItem, queue string, m *Message, expires int64, bt *batch, then func(error, *batch)) {
	b := l.b
	put := queuePut{queue: queue, message: m, size: messageSize(m), expires: expires}
	if it.Owner.shares {
		one := b.quotas.use(it.Owner.quotaKey)
		defer b.quotas.leave(one)
		put.owner, put.share = &one.queueOwner, it.Owner.share()
	}
	if b.o.QueueStore != nil {
		put.once = onceKey("", queue, headerDelay+" "+it.ID) // it may be put again
	}
	later, err := b.queues.Put(bt, put)
	if err != nil || later == nil {
		then(err, bt)
		return
	}
	later.whenEnded(func(err error) {
		if errors.Is(err, ErrDuplicate) {
			err = nil // the outcome of an earlier put was unknown
		}
		bt := b.newBatch()
		then(err, bt)
		bt.flushLater()
	})
}

// delayAttempts is how often a message is offered to a queue that refuses it,
// with pauses of 1, 2, 4, 8 and 16 s. Then it becomes a dead letter.
const delayAttempts = 6

// delayPause is the pause after the queue of dead letters refused it too.
const delayPause = time.Minute

// refused tries again later with a message that its queue refused, or makes it a
// dead letter. It is never dropped.
func (l *delays) refused(it *delayedItem, queue string, why error, bt *batch) {
	b, x := l.b, it.Value
	if n := x.refused.Add(1); n < delayAttempts {
		l.again(it, time.Second<<(n-1))
		return
	}
	stuck := func() {
		b.warn("a delayed message waits because its queue and the queue of dead letters refuse it", source{what: queue}, "queue", queue, "id", it.ID, "error", why)
		l.again(it, delayPause)
	}
	name, dead, _ := deadLetters(b.o.names, deadDelayRefused)(x.m, queue, 0)
	if name == "" { // it was sent to a queue of dead letters
		stuck()
		return
	}
	l.put(it, name, dead, 0, bt, func(err error, _ *batch) {
		if err != nil {
			stuck()
			return
		}
		b.warn("a delayed message became a dead letter because its queue refused it", source{what: queue}, "queue", queue, "id", it.ID, "error", why)
		l.Remove(it)
	})
}

func (l *delays) again(it *delayedItem, pause time.Duration) {
	l.Wait(it, moment()+pause.Milliseconds())
	l.arm()
}

// close stops the timer.
func (l *delays) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// logDiscarded logs the delayed messages that are lost with the broker.
func (l *delays) logDiscarded() {
	items, bytes := l.Stats()
	if items == 0 {
		return
	}
	first := int64(math.MaxInt64)
	for _, it := range l.All() {
		first = min(first, it.Due)
	}
	l.b.o.Logger.Warn("delayed messages discarded: they were in memory only", "messages", items, "bytes", bytes, "first_due", time.UnixMilli(first))
}
