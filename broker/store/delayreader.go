package store

import (
	"slices"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// delayReader is who gets what is due. held is guarded by delays.mu.
type delayReader struct {
	d    *delays
	feed func([]broker.StoredDelay)
	held map[uint64]bool
}

// OpenDelays implements [broker.DelayStore].
func (q *Queues) OpenDelays(feed func([]broker.StoredDelay)) broker.DelayReader {
	d := q.delays
	r := &delayReader{d: d, feed: feed, held: make(map[uint64]bool)}
	d.mu.Lock()
	d.readers = append(d.readers, r)
	d.mu.Unlock()
	d.alarm.Set()
	return r
}

// release says that a message is not held any more, and reports whether it was.
// The caller holds the lock.
func (r *delayReader) release(sequence uint64) bool {
	if !r.held[sequence] {
		return false
	}
	delete(r.held, sequence)
	r.d.held--
	return true
}

// Move implements [broker.DelayReader].
func (r *delayReader) Move(sequence uint64, to broker.QueuePut, done func(error)) {
	d, q := r.d, r.d.q
	done = orNothing(done)
	d.mu.Lock()
	it := d.of[sequence]
	if !r.held[sequence] || it == nil {
		r.release(sequence)
		d.mu.Unlock()
		d.alarm.Set()
		done(broker.ErrNotHeld)
		return
	}
	d.mu.Unlock()
	to.Once = ""
	x, err := q.write([]broker.QueuePut{to}, 1, writeOptions{anyRoom: true})
	if err != nil {
		done(err)
		return
	}
	id := it.ID
	x.puts = append(x.puts, put{
		subject: q.names.delayMark(id), data: strconv.AppendUint(nil, sequence, 10),
		after: sequence, of: q.names.delayAll(id),
	})
	x.stored = func(first uint64) { q.finishMove(sequence, first+1) }
	x.done = func(err error) {
		if isRefusal(err, codeWrongLast) {
			err = broker.ErrNotHeld
		}
		if err == nil || isNotHeld(err) {
			d.mu.Lock()
			r.release(sequence)
			d.drop(sequence)
			d.mu.Unlock()
			d.alarm.Set()
		}
		done(err)
	}
	q.writer.add(x)
}

func isNotHeld(err error) bool { return err == broker.ErrNotHeld } //nolint:errorlint // as it was set

// finishMove deletes a message that was moved, and then its mark. If that fails,
// the next start does it.
func (q *Queues) finishMove(sequence, mark uint64) {
	q.deleteOne(sequence, func(err error) {
		if err != nil && !isGone(err) {
			q.log.Warn("a delayed message that was delivered could not be removed; the next start removes it", "error", err)
			return
		}
		q.deleteOne(mark, func(err error) {
			if err != nil && !isGone(err) {
				q.log.Warn("the mark of a delayed message that was delivered could not be removed; the next start removes it", "error", err)
			}
		})
	})
}

// Remove implements [broker.DelayReader].
func (r *delayReader) Remove(sequence uint64) {
	d, q := r.d, r.d.q
	d.mu.Lock()
	r.release(sequence)
	d.drop(sequence)
	d.gone[sequence] = true
	d.mu.Unlock()
	d.alarm.Set()
	q.deleteOne(sequence, func(err error) {
		if err != nil && !isGone(err) {
			q.log.Warn("a delayed message that was delivered could not be removed; it is removed when the store works again", "error", err)
			return
		}
		d.mu.Lock()
		delete(d.gone, sequence)
		d.mu.Unlock()
	})
}

// Later implements [broker.DelayReader].
func (r *delayReader) Later(sequence uint64, at time.Time) {
	d := r.d
	d.mu.Lock()
	if r.release(sequence) {
		if it := d.of[sequence]; it != nil {
			d.items.Wait(it, at.UnixMilli())
		}
	}
	d.mu.Unlock()
	d.alarm.Set()
}

// Close implements [broker.DelayReader].
func (r *delayReader) Close() {
	d := r.d
	d.mu.Lock()
	for sequence := range r.held {
		r.release(sequence)
		if it := d.of[sequence]; it != nil {
			d.items.Wait(it, it.Due)
		}
	}
	d.readers = slices.DeleteFunc(d.readers, func(x *delayReader) bool { return x == r })
	d.mu.Unlock()
	d.alarm.Set()
}
