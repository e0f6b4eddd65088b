package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// The sweeper handles all time-dependent work: heart-beats, deadlines,
// liveness. One goroutine advances a wheel of slots. A session is in the slot
// of its next check, so an idle session costs only a visit when a check is due.
// The sweeper never writes: it marks and enqueues, and the flusher writes.
type sweeper struct {
	b     *Broker
	tick  int64 // nanoseconds
	clock atomic.Int64
	// steady is the time since which the sweeps had no gap. In a gap the broker
	// was kept from running, so input that clients sent then may not have been
	// read yet.
	steady atomic.Int64
	gap    int64 // minimum length of a gap in nanoseconds

	mu    sync.Mutex
	wheel wheel
}

// newSweeper uses a tick of an eighth of the shortest interval, between 5 and
// 250 ms, so that no check is late by more than that.
func newSweeper(b *Broker) *sweeper {
	shortest := 2 * time.Second
	for _, d := range []time.Duration{b.o.HeartBeat.Send, b.o.HeartBeat.Receive, b.o.HeartBeatPatience, b.o.PingInterval, b.o.WriteDeadline, b.o.ConnectDeadline, b.o.LingerTimeout} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	tick := max(int64(shortest/8), int64(5*time.Millisecond))
	return &sweeper{b: b, tick: tick, gap: max(int64(b.o.HeartBeatPatience)/10, 4*tick)}
}

func (w *sweeper) run() {
	t := time.NewTicker(time.Duration(w.tick))
	defer t.Stop()
	for {
		select {
		case <-w.b.ctx.Done():
			if w.b.count() == 0 {
				return
			}
			// Sessions are still ending; Close aborts those that hang.
			<-t.C
		case <-t.C:
		}
		w.sweep(int64(time.Since(w.b.started)))
	}
}

// sweep checks every session that is due.
func (w *sweeper) sweep(now int64) {
	if before := w.clock.Swap(now); now-before > w.gap {
		w.steady.Store(now)
	}
	bt := w.b.newBatch()
	w.mu.Lock()
	due := w.wheel.advance(now / w.tick)
	w.mu.Unlock()
	for _, s := range due {
		if at := s.check(now, bt); at != never {
			w.reschedule(s, at)
		}
	}
	bt.flushLater()
}

// reschedule schedules the next check of s for a given time at the latest.
func (w *sweeper) reschedule(s *session, at int64) {
	w.mu.Lock()
	if t := w.ticks(at); s.slot.tick == 0 || t < s.slot.tick {
		w.wheel.insert(s, t)
	}
	w.mu.Unlock()
}

// remove ends the checks of s.
func (w *sweeper) remove(s *session) {
	w.mu.Lock()
	w.wheel.unlink(s)
	s.slot.tick = removed
	w.mu.Unlock()
}

// ticks returns the first tick after a time.
func (w *sweeper) ticks(at int64) int64 { return at/w.tick + 1 }
