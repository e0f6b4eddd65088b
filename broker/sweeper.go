package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// The sweeper is everything that happens by the clock: heart-beats, deadlines,
// liveness. One goroutine turns a wheel of slots; a session lies in the slot of
// its next check, so an idle one costs nothing but a visit when something is
// due. The sweeper never writes: it marks, enqueues, and lets the flusher write.
type sweeper struct {
	b     *Broker
	tick  int64 // nanoseconds
	clock atomic.Int64
	// steady is since when there was no gap in the sweeps. What clients sent in a
	// gap, in which the broker was kept from running, may not have been read yet.
	steady atomic.Int64
	gap    int64 // nanoseconds that are one

	mu    sync.Mutex
	wheel wheel
}

// newSweeper chooses a tick of an eighth of the shortest interval, so that none
// is missed by more, between 5 and 250 ms.
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
			// Sessions are still saying goodbye; Close aborts those that hang.
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

// reschedule has s checked no later than at a time.
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
