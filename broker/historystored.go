package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/dedup"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
	"github.com/hoofbeat/hoofbeat/topics"
)

// storedHistory is a history over a [HistoryStore]. The set is an index: what is
// kept, and what was dropped, is decided as in memory. The messages are in the
// store, the latest ones also here.
type storedHistory struct {
	b   *Broker
	a   *archive
	log HistoryLog

	index atomic.Pointer[storedIndex]

	// Used by one call of the feed at a time.
	full int
	last uint64
	at   int64 // of the latest message

	mu       sync.Mutex // after archive.mu
	limits   ring.Limits
	recent   recentMessages
	removing string // the destination that this broker removes, and
	removed  int    // how many messages were
}

// storedIndex is the index of one epoch.
type storedIndex struct {
	epoch string
	set   *ring.Set[struct{}]
}

// recentBytes limits the messages of an entry that are in memory, in bytes.
const recentBytes = 8 << 20

// openHistories opens the history of each entry in Options.HistoryStore.
func (b *Broker) openHistories() error {
	if b.o.HistoryStore == nil {
		return nil
	}
	for i, h := range b.o.History {
		a := b.archives[i]
		s := &storedHistory{b: b, a: a, limits: h.limits()}
		s.recent.limit = min(recentBytes, orUnlimited(h.Bytes))
		log, err := b.o.HistoryStore.Open(b.ctx, h, s)
		if err != nil {
			b.closeHistories()
			return fmt.Errorf("broker: opening the history of %s: %w", h.Destination, err)
		}
		s.log = log
		a.store, a.stored = s, s
	}
	return nil
}

func orUnlimited(n int64) int64 {
	if n <= 0 {
		return recentBytes
	}
	return n
}

// closeHistories ends the use of the store, of all entries side by side: each
// waits for what is on its way.
func (b *Broker) closeHistories() {
	var closing sync.WaitGroup
	for _, a := range b.archives {
		if a.stored != nil {
			closing.Go(a.stored.log.Close)
		}
	}
	closing.Wait()
}

// put returns what the store keeps of a publication to a topic of the archive,
// which it accepts once.
func (a *archive) put(d topics.Destination, p *publication, once string) HistoryPut {
	p.keep()
	return HistoryPut{Destination: d.Path, Message: p.message(), Once: once}
}

// append stores messages, all or none. They are delivered when they are stored.
func (s *storedHistory) append(puts ...HistoryPut) *completion {
	later := new(completion)
	s.log.Append(puts, later.end)
	return later
}

// commit stores those of a transaction.
func (s *storedHistory) commit(puts []HistoryPut) *completion {
	later := new(completion)
	s.log.Append(puts, func(err error) {
		if errors.Is(err, ErrDuplicate) {
			err = duplicateAmong(puts, func(p *HistoryPut) (string, *Message) { return p.Once, p.Message })
		}
		later.end(err)
	})
	return later
}

// stored reports whether messages to d are kept in a HistoryStore, and nothing
// else stores them before.
func (d *destination) stored() bool { return !d.kept && d.archive != nil && d.archive.stored != nil }

// historyPut is a message of a transaction.
type historyPut struct {
	a *archive
	HistoryPut
}

// keep stores the messages of a transaction for topics with a history: those of
// each entry all or none, in their order. It returns nil if there are none. It
// ends their attempts.
//
// If there are several entries, one may be stored without another. Then no store
// learns the ids, because the transaction can be sent again, as a whole.
func (c *commitment) keep() *completion {
	var open []*completion
	for left := c.kept; len(left) > 0; {
		var puts []HistoryPut
		var others []historyPut
		for _, x := range left {
			if x.a == left[0].a {
				puts = append(puts, x.HistoryPut)
			} else {
				others = append(others, x)
			}
		}
		if len(puts) < len(c.kept) {
			for i := range puts {
				puts[i].Once = ""
			}
		}
		open = append(open, left[0].a.stored.commit(puts))
		left = others
	}
	later := allOf(open)
	if len(c.keptOnce) == 0 {
		return later
	}
	c.open = slices.DeleteFunc(c.open, func(a *dedup.Attempt) bool { return slices.Contains(c.keptOnce, a) })
	if later == nil { // they had expired
		endAll(c.keptOnce, nil)
		return nil
	}
	kept := new(completion)
	later.whenEnded(func(err error) {
		endAll(c.keptOnce, err)
		kept.end(err)
	})
	return kept
}

// Begin implements HistoryFeed.
func (s *storedHistory) Begin(h HistoryBeginning) {
	s.full, s.last, s.at = h.Full, h.Last, math.MinInt64
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.clear()
	s.index.Store(&storedIndex{h.Epoch, ring.NewIndex[struct{}](s.limits, h.First)})
	s.a.delivered = 0
}

// Kept implements HistoryFeed.
func (s *storedHistory) Kept(list []HistoryRecord) {
	x := s.index.Load()
	for i := range list {
		x.set.Put(list[i].Number, list[i].Destination, struct{}{}, list[i].Size, s.when(list[i].Time))
	}
}

// Removed implements HistoryFeed. The index, with its numbers, stays.
func (s *storedHistory) Removed(r HistoryRemoval) {
	x := s.index.Load()
	s.a.mu.Lock()
	numbers := x.set.Remove(r.Destination, r.Number-1)
	s.index.Store(&storedIndex{r.Epoch, x.set})
	s.a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.remove(numbers)
	if s.removing == r.Destination {
		s.removed += len(numbers)
	}
}

// Remembered implements HistoryFeed.
func (s *storedHistory) Remembered(once string, at time.Time) { s.b.rememberOnce(once, at) }

// when returns the time of a message on the clock of the index, where it does
// not decrease. The clock of the machine may have been set.
func (s *storedHistory) when(t time.Time) int64 {
	now := int64(time.Since(s.b.started))
	s.at = max(s.at, min(ago(t, now), now))
	return s.at
}

// Ready implements HistoryFeed.
func (s *storedHistory) Ready() { s.index.Load().set.Settle(s.full, s.last) }

// Stored implements HistoryFeed. It delivers the messages.
func (s *storedHistory) Stored(list []HistoryRecord) {
	bt := s.b.newBatch()
	for i := range list {
		s.deliver(&list[i], bt)
	}
	bt.pub.reset()
	bt.pub.hurry = false
	bt.makeRoom()
	bt.flush()
	bt.yield()
	bt.release()
}

// deliver offers one message to its subscribers.
func (s *storedHistory) deliver(r *HistoryRecord, bt *batch) {
	s.mu.Lock()
	s.recent.add(r.Number, r.Message, r.Size)
	s.mu.Unlock()
	x, m, p := s.index.Load(), r.Message, &bt.pub
	p.reset()
	p.set(m, m.Destination)
	p.msg, p.expires, p.hurry = m, expiryOf(m.Headers), true
	p.Offset = encode.Offset{Epoch: x.epoch, Number: r.Number}
	at := s.when(r.Time)
	d, err := s.b.o.names.Parse(m.Destination)
	if err != nil || expired(p.expires) { // it was read before it was stored; its time may have passed since
		d = topics.Destination{}
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	x.set.Put(r.Number, r.Destination, struct{}{}, r.Size, at)
	if d.Name == "" {
		s.a.delivered = r.Number
		return
	}
	s.a.fanOut(s.b, d, p, bt)
}

// Epoch implements history.
func (s *storedHistory) Epoch() string { return s.index.Load().epoch }

// Last implements history.
func (s *storedHistory) Last(context.Context) (uint64, error) { return s.index.Load().set.Last(), nil }

// Stats implements history.
func (s *storedHistory) Stats() ring.Stats { return s.index.Load().set.Stats() }

// Expire implements history.
func (s *storedHistory) Expire() { s.index.Load().set.Expire(int64(time.Since(s.b.started))) }

// Destinations implements history.
func (s *storedHistory) Destinations() iter.Seq[ring.Info] { return s.index.Load().set.Destinations() }

// Of implements history.
func (s *storedHistory) Of(destination string) (ring.Info, bool) {
	return s.index.Load().set.Of(destination)
}

// Remove implements history.
func (s *storedHistory) Remove(ctx context.Context, destination string) (int, error) {
	s.mu.Lock()
	s.removing, s.removed = destination, 0
	s.mu.Unlock()
	err := s.log.Remove(ctx, destination)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removing = ""
	return s.removed, err
}

// SetLimits implements history.
func (s *storedHistory) SetLimits(h History) {
	s.mu.Lock()
	s.limits = h.limits()
	s.recent.limit = min(recentBytes, orUnlimited(h.Bytes))
	x := s.index.Load() // a later one has the limits from the beginning
	s.mu.Unlock()
	s.log.SetLimits(h)
	x.set.SetLimits(h.limits(), int64(time.Since(s.b.started)))
}

// Reader implements history.
func (s *storedHistory) Reader(_ context.Context, sel ring.Selection, start ring.Start) (historyReader, bool, error) {
	x := s.index.Load()
	r, proven := x.set.Reader(sel, start)
	return &indexReader{Reader: r, s: s, x: x}, proven, nil
}

// indexReader reads the index, and the messages where they are.
type indexReader struct {
	*ring.Reader[struct{}]
	s    *storedHistory
	x    *storedIndex
	list []ring.Read[struct{}]
}

// errRenewed ends the readers of an epoch that has ended.
var errRenewed = errors.New("the store has lost messages: their numbers begin anew")

// Next implements historyReader. A message that the index has and the store has
// not was dropped a moment ago.
func (r *indexReader) Next(ctx context.Context, list []kept, count, bytes int) (_ []kept, gap, done bool, err error) {
	x, before := r.s.index.Load(), r.At()
	r.list, gap, done = r.Reader.Next(r.list[:0], count, bytes)
	messages, err := r.s.read(ctx, r.list)
	now := r.s.index.Load()
	if err == nil && now.set != r.x.set {
		err = errRenewed
	}
	if err != nil || now != x { // something was removed, perhaps one of these
		r.Rewind(before)
		return list, false, false, err
	}
	for i := range r.list {
		rec := &r.list[i]
		switch {
		case messages[i] != nil:
			list = append(list, kept{Record: ring.Record[*Message]{Number: rec.Number, At: rec.At, Size: rec.Size, Value: messages[i]}, Destination: rec.Destination})
			before = rec.Number
		case !r.Missed(rec.Number):
			before = rec.Number
		case len(list) > 0: // the gap comes before the next message
			r.Rewind(before)
			return list, gap, false, nil
		default:
			gap = true
			before = rec.Number
		}
	}
	return list, gap, done, nil
}

// read returns messages of the index, nil for those that are not kept any more.
func (s *storedHistory) read(ctx context.Context, list []ring.Read[struct{}]) ([]*Message, error) {
	messages := make([]*Message, len(list))
	var missing []uint64
	var places []int
	s.mu.Lock()
	for i := range list {
		if messages[i] = s.recent.get(list[i].Number); messages[i] == nil {
			missing = append(missing, list[i].Number)
			places = append(places, i)
		}
	}
	s.mu.Unlock()
	if len(missing) == 0 {
		return messages, nil
	}
	found, err := s.log.Fetch(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i, m := range found {
		messages[places[i]] = m
	}
	return messages, nil
}

// recentMessages are the latest messages of an entry. Their numbers may have
// gaps, where the store keeps no message.
type recentMessages struct {
	list  []recentMessage
	bytes int64
	limit int64
}

type recentMessage struct {
	number uint64
	m      *Message
	size   int
}

// add adds a message. m is kept without Settled, which belongs to those who get
// it live.
func (r *recentMessages) add(number uint64, m *Message, size int) {
	if m.Settled != nil {
		c := *m
		c.Settled = nil
		m = &c
	}
	size += keptOverhead
	r.list = append(r.list, recentMessage{number, m, size})
	r.bytes += int64(size)
	n := 0
	for r.bytes > r.limit && n < len(r.list) {
		r.bytes -= int64(r.list[n].size)
		r.list[n] = recentMessage{}
		n++
	}
	r.list = r.list[n:]
}

func (r *recentMessages) get(number uint64) *Message {
	i, found := slices.BinarySearchFunc(r.list, number, func(m recentMessage, number uint64) int { return cmp.Compare(m.number, number) })
	if !found {
		return nil
	}
	return r.list[i].m
}

// remove lets go of messages whose numbers are in order. Their places stay.
func (r *recentMessages) remove(numbers []uint64) {
	for i := range r.list {
		for len(numbers) > 0 && numbers[0] < r.list[i].number {
			numbers = numbers[1:]
		}
		if len(numbers) > 0 && numbers[0] == r.list[i].number {
			r.bytes -= int64(r.list[i].size)
			r.list[i].m, r.list[i].size = nil, 0
		}
	}
}

func (r *recentMessages) clear() { r.list, r.bytes = nil, 0 }
