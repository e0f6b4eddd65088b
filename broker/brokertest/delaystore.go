package brokertest

import (
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/internal/schedule"
)

// keptDelays are the delayed messages of a QueueStore. They are handed over to
// one reader at a time, the latest one.
type keptDelays struct {
	*schedule.Schedule[string, broker.StoredDelay]
	alarm    *schedule.Alarm
	of       map[uint64]*delayItem
	sequence uint64
	reader   *keptDelayReader
	open     atomic.Bool // there is a reader
}

type delayItem = schedule.Item[string, broker.StoredDelay]

type keptDelayReader struct {
	s    *QueueStore
	feed func([]broker.StoredDelay)
	held []*delayItem
}

func present() int64 { return time.Now().UnixMilli() }

func (s *QueueStore) newDelays() {
	l, d := &s.limits, &s.delays
	limit := func(v, byDefault int64) int64 {
		switch {
		case v == 0:
			return byDefault
		case v < 0:
			return 1 << 60
		}
		return v
	}
	d.Schedule = schedule.New[string, broker.StoredDelay](schedule.Limits{
		Items: int(limit(int64(l.Delayed), 100_000)), ItemsPerOwner: int(limit(int64(l.DelayedPerUser), 25_000)),
		Bytes: limit(l.DelayedBytes, 256<<20), BytesPerOwner: limit(l.DelayedBytesPerUser, 64<<20),
	})
	d.of = make(map[uint64]*delayItem)
	d.alarm = schedule.NewAlarm(func() (int64, bool) {
		due, ok := d.Next()
		return due, ok && d.open.Load()
	}, present, func() bool { go s.handDue(); return true })
}

// Delay implements [broker.DelayStore].
func (s *QueueStore) Delay(delayed []broker.DelayPut, list []broker.QueuePut, done func(error)) {
	s.mu.Lock()
	err := s.delay(delayed, list)
	s.mu.Unlock()
	answer(done, err)
}

func (s *QueueStore) delay(delayed []broker.DelayPut, list []broker.QueuePut) error {
	d, now := &s.delays, time.Now()
	var items []*delayItem
	for i := range delayed {
		p := &delayed[i]
		if s.knows(p.Once, now) {
			return broker.ErrDuplicate
		}
		d.sequence++
		m := broker.StoredDelay{DelayPut: *p, Sequence: d.sequence}
		m.Once = ""
		items = append(items, &delayItem{ID: p.Message.ID, Due: p.Due.UnixMilli(), Owner: p.Share, Size: int64(p.Size), Value: m})
	}
	if err := d.Reserve(items...); err != nil {
		return delayError(err)
	}
	if err := s.append(list); err != nil {
		for _, it := range items {
			d.Remove(it)
		}
		return err
	}
	for i, it := range items {
		if once := delayed[i].Once; once != "" {
			s.once[once] = now
		}
		d.of[it.Value.Sequence] = it
		d.Wait(it, it.Due)
	}
	d.alarm.Set()
	return nil
}

func (s *QueueStore) knows(once string, now time.Time) bool {
	at, known := s.once[once]
	return known && once != "" && now.Sub(at) < onceWindow
}

func delayError(err error) error {
	full, ok := err.(*schedule.FullError) //nolint:errorlint // it is not wrapped
	if !ok {
		return broker.ErrDelayedExists
	}
	key := map[schedule.Limit]string{
		schedule.LimitItems: "queues.delayed", schedule.LimitItemsPerOwner: "queues.delayed_per_user",
		schedule.LimitBytes: "queues.delayed_bytes", schedule.LimitBytesPerOwner: "queues.delayed_bytes_per_user",
	}[full.Limit]
	return &broker.QueueFullError{Key: key, Limit: full.Max, Text: full.Error()}
}

// handDue hands over what is due.
func (s *QueueStore) handDue() {
	d := &s.delays
	for {
		s.mu.Lock()
		r := d.reader
		if r == nil {
			break
		}
		due := d.Due(present(), 100)
		if len(due) == 0 {
			break
		}
		r.held = append(r.held, due...)
		list := make([]broker.StoredDelay, len(due))
		for i, it := range due {
			list[i] = it.Value
		}
		s.mu.Unlock()
		r.feed(list)
	}
	s.mu.Unlock()
	d.alarm.Done()
}

// OpenDelays implements [broker.DelayStore].
func (s *QueueStore) OpenDelays(feed func([]broker.StoredDelay)) broker.DelayReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &keptDelayReader{s: s, feed: feed}
	s.delays.reader = r
	s.delays.open.Store(true)
	s.delays.alarm.Set()
	return r
}

// take returns a message that was handed over, and which is held no more.
func (r *keptDelayReader) take(sequence uint64) *delayItem {
	for i, it := range r.held {
		if it.Value.Sequence == sequence {
			r.held = slices.Delete(r.held, i, i+1)
			return it
		}
	}
	return nil
}

// Move implements [broker.DelayReader].
func (r *keptDelayReader) Move(sequence uint64, to broker.QueuePut, done func(error)) {
	r.s.mu.Lock()
	err := r.move(sequence, to)
	r.s.mu.Unlock()
	answer(done, err)
}

func (r *keptDelayReader) move(sequence uint64, to broker.QueuePut) error {
	it := r.take(sequence)
	if it == nil {
		return broker.ErrNotHeld
	}
	to.Once = ""
	if err := r.s.append([]broker.QueuePut{to}); err != nil {
		r.held = append(r.held, it)
		return err
	}
	r.s.delays.forget(it)
	return nil
}

func (d *keptDelays) forget(it *delayItem) {
	delete(d.of, it.Value.Sequence)
	d.Remove(it)
}

// Remove implements [broker.DelayReader].
func (r *keptDelayReader) Remove(sequence uint64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if it := r.take(sequence); it != nil {
		r.s.delays.forget(it)
	}
}

// Later implements [broker.DelayReader].
func (r *keptDelayReader) Later(sequence uint64, at time.Time) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if it := r.take(sequence); it != nil {
		r.s.delays.Wait(it, at.UnixMilli())
		r.s.delays.alarm.Set()
	}
}

// Close implements [broker.DelayReader].
func (r *keptDelayReader) Close() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	d := &r.s.delays
	for _, it := range r.held {
		d.Wait(it, it.Value.Due.UnixMilli())
	}
	r.held = nil
	if d.reader == r {
		d.reader = nil
		d.open.Store(false)
	}
}

// CancelDelay implements [broker.DelayStore].
func (s *QueueStore) CancelDelay(id string, done func(error)) {
	s.mu.Lock()
	err := broker.ErrNotDelayed
	for _, it := range s.delays.of {
		if it.ID == id && s.delays.Cancel(id) {
			delete(s.delays.of, it.Value.Sequence)
			err = nil
			break
		}
	}
	s.mu.Unlock()
	answer(done, err)
}

// Delays implements [broker.DelayStore].
func (s *QueueStore) Delays() iter.Seq[broker.StoredDelay] {
	var list []broker.StoredDelay
	for _, it := range s.delays.All() {
		m := it.Value
		m.Due = time.UnixMilli(it.Due)
		list = append(list, m)
	}
	return slices.Values(list)
}

// DelayStats implements [broker.DelayStore].
func (s *QueueStore) DelayStats() (messages int, bytes int64) { return s.delays.Stats() }

// Remembered implements [broker.QueueStore].
func (s *QueueStore) Remembered() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for once, at := range s.once {
			if time.Since(at) < onceWindow && !yield(once, at) {
				return
			}
		}
	}
}
