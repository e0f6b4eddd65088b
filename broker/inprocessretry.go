package broker

import "time"

// Delay before a message that the function of an in-process subscription
// refused is returned to the queue: 50 ms, doubling with each attempt.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

func retryDelay(failures int) time.Duration {
	if failures > 7 {
		return lastRetry
	}
	return min(firstRetry<<max(failures-1, 0), lastRetry)
}

// retries holds the messages that an in-process subscription to a queue has not
// refused yet. The queue would offer a refused message again at once, so the
// refusal is delayed. The subscription's lock guards it.
type retries struct {
	later    []refusedMessage
	timer    *time.Timer
	failures int       // consecutive failures
	paused   time.Time // the function is not called before this time
}

type refusedMessage struct {
	work delivery
	due  time.Time
}

// succeeded resets the count of consecutive failures and acknowledges d.
func (l *Subscription) succeeded(d delivery, bt *batch) {
	l.mu.Lock()
	l.retry.failures = 0
	l.mu.Unlock()
	d.Settle(bt, settlement{ack: true})
}

// refuse returns a message to the queue, after a delay, because the function
// failed. A failing message does not delay others, but from the second
// consecutive failure on, the function itself is paused: something that it
// depends on is probably down.
func (l *Subscription) refuse(d delivery, bt *batch) {
	now := time.Now()
	l.mu.Lock()
	r := &l.retry
	r.failures++
	if r.failures > 1 {
		r.paused = now.Add(retryDelay(r.failures - 1))
	}
	buried := l.buries(d)
	if !buried && !l.closed { // a closed subscription has returned all messages
		r.later = append(r.later, refusedMessage{d, now.Add(retryDelay(d.Attempt()))})
	}
	l.arm(now)
	l.mu.Unlock()
	if buried {
		d.Settle(bt, settlement{})
	}
}

// buries reports whether d was the last attempt, so that the message becomes a
// dead letter now.
func (l *Subscription) buries(d delivery) bool {
	most := l.b.o.Queues.Attempts
	if most <= 0 || d.Attempt() < most {
		return false
	}
	_, dies := l.b.o.names.DeadLetters(l.sub.dest.Path)
	return dies
}

// arm sets the timer to the next due time. The caller holds the lock.
func (l *Subscription) arm(now time.Time) {
	r := &l.retry
	next := r.paused
	if !next.After(now) {
		next = time.Time{}
	}
	for _, m := range r.later {
		if next.IsZero() || m.due.Before(next) {
			next = m.due
		}
	}
	switch {
	case next.IsZero() || l.closed:
	case r.timer == nil:
		r.timer = time.AfterFunc(next.Sub(now), l.wake)
	default:
		r.timer.Reset(next.Sub(now))
	}
}

// wake returns the due messages to the queue, and continues after a pause.
func (l *Subscription) wake() {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	r := &l.retry
	var due []delivery
	left := r.later[:0]
	for _, m := range r.later {
		if m.due.After(now) {
			left = append(left, m)
		} else {
			due = append(due, m.work)
		}
	}
	clear(r.later[len(left):])
	r.later = left
	l.arm(now)
	if len(due) > 0 {
		l.b.spawn(func() { // after Close all messages have been returned
			bt := l.b.newBatch()
			for _, d := range due {
				d.Settle(bt, settlement{})
			}
			bt.flush()
			bt.release()
		})
	}
	if !l.running && len(l.waiting) > 0 && !l.pausing(now) {
		l.running = l.b.spawn(l.run)
	}
}

// pausing reports whether the function must not be called yet. The caller holds
// the lock.
func (l *Subscription) pausing(now time.Time) bool {
	return !l.retry.paused.IsZero() && l.retry.paused.After(now)
}
