package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Drain shuts the broker down without losing sent messages. For
// [Options.DrainDelay], [Broker.Ready] returns [ErrDraining] while existing
// sessions continue and new ones are still accepted, so that a load balancer
// can remove this broker from its pool. Then the broker accepts no new
// sessions, closes its listeners and ends the sessions evenly over
// [Options.DrainSpread], so that clients do not all reconnect at once. It
// writes the outbox of each session before it closes the session with 1012,
// "reconnect". A hundred sessions or fewer end at once.
//
// Drain returns when all sessions have ended, or with the error of ctx. The
// Delayed messages that become due meanwhile are delivered; Drain does not wait
// for the others. The spread takes at most four fifths of the time until the deadline of ctx, or of
// 10 s if ctx has no deadline. A second call of Drain skips the delay, even
// while the first call still waits.
func (b *Broker) Drain(ctx context.Context) error {
	if err := b.delayDrain(ctx); err != nil {
		return fmt.Errorf("broker: drain: %w", err)
	}
	b.mu.Lock()
	b.draining = true
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	listeners := b.takeListeners()
	b.mu.Unlock()
	closeListeners(listeners)

	window := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		window = time.Until(d)
	}
	window = window * 8 / 10
	if spread := b.o.DrainSpread; spread != 0 {
		window = min(window, max(spread, 0))
	}
	b.o.Logger.Info("draining", "sessions", len(all), "spread", window.Round(time.Millisecond).String())
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if err := endSpread(ctx, all, window); err != nil {
		return fmt.Errorf("broker: drain: %w", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if b.count() == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("broker: drain: %d sessions left: %w", b.count(), ctx.Err())
		}
	}
}

// delayDrain makes Ready return an error, and waits for Options.DrainDelay, the
// end of ctx or the end of the broker. Only the first Drain waits.
func (b *Broker) delayDrain(ctx context.Context) error {
	if b.retiring.Swap(true) || b.o.DrainDelay <= 0 {
		return nil
	}
	b.o.Logger.Info("no longer ready", "delay", b.o.DrainDelay.String())
	timer := time.NewTimer(b.o.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.ctx.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// endSpread ends the sessions in steps of at least 10 ms. A hundred or fewer end
// at once.
func endSpread(ctx context.Context, all []*session, window time.Duration) error {
	if len(all) <= 100 {
		window = 0
	}
	start := time.Now()
	for i, s := range all {
		due := time.Duration(float64(window) * float64(i) / float64(len(all)))
		if wait := due - time.Since(start); wait > 10*time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.retire(&Error{Reason: ReasonDraining, Message: "the broker is going away, reconnect"})
	}
	return nil
}

func (b *Broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// Close ends every session and in-process subscription with a short goodbye and
// returns when no goroutine of the broker is left. Messages in queues and delayed
// messages are in memory only: they are discarded, and their numbers are logged.
// With an [Options.QueueStore], the messages in queues are kept, and delayed ones
// if it is a [DelayStore]; with an [Options.HistoryStore], those of topics with a
// history; with an [Options.DurableStore], durable subscriptions and what waits
// for them. No store is used after Close has returned, also if another goroutine
// called it first.
// For a graceful shutdown call Drain first. Close always returns nil.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		<-b.ended
		return nil
	}
	defer close(b.ended)
	b.draining, b.closing = true, true
	sessions := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		sessions = append(sessions, s)
	}
	locals := make([]*Subscription, 0, len(b.locals))
	for l := range b.locals {
		locals = append(locals, l)
	}
	listeners := b.takeListeners()
	b.mu.Unlock()
	closeListeners(listeners)
	if b.unwatch != nil {
		b.unwatch()
	}

	bt := b.newBatch()
	for _, s := range sessions {
		s.end(&Error{Reason: ReasonDraining, Message: "the broker is going away, reconnect"}, "", bt)
	}
	bt.flush()
	bt.release()
	for _, l := range locals {
		l.end(ErrClosed)
	}
	b.once.Close()
	b.delays.close()
	b.presence.close()
	b.cancel() // cancels the context of handlers and hooks
	deadline := time.NewTimer(b.o.LingerTimeout + time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting && b.count() > 0; {
		select {
		case <-tick.C:
		case <-deadline.C:
			waiting = false
		}
	}
	b.mu.Lock()
	b.closed = true
	var aborts sync.WaitGroup
	for _, s := range b.sessions {
		aborts.Go(s.abort)
	}
	b.mu.Unlock()
	b.spawnMu.Lock()
	b.stopped = true
	b.spawnMu.Unlock()
	aborts.Wait()
	b.running.Wait()
	b.closeHistories()
	if q, ok := b.queues.(*storedQueues); ok {
		q.close()
	} else {
		b.logDiscarded()
	}
	b.delays.logKept()
	b.durables.close()
	return nil
}

// logDiscarded logs the queues whose messages are lost with the broker, since
// they are in memory only.
func (b *Broker) logDiscarded() {
	const named = 20 // queues that are logged by name; the rest are only counted
	var queues, messages, more int
	for q := range b.queues.All() {
		if q.Messages == 0 {
			continue
		}
		queues, messages = queues+1, messages+q.Messages
		if queues > named {
			more++
			continue
		}
		b.o.Logger.Warn("queue discarded: its messages were in memory only", "queue", q.Name, "messages", q.Messages, "bytes", q.Bytes)
	}
	if more > 0 {
		b.o.Logger.Warn("more queues discarded", "queues", more, "messages_in_all", messages)
	}
}
