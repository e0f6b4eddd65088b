package bench

import (
	"math"
	"sync"
	"sync/atomic"
)

// lane keeps a number of messages in flight: publishers claim free places of
// its window, and arrivals free them. It opens again when half of it is free,
// so that publishers write batches.
type lane struct {
	window int64
	copies int64 // arrivals per message

	mu   sync.Mutex
	sent int64
	open bool

	came   atomic.Int64
	wakeAt atomic.Int64 // number of arrivals for which a publisher waits
	wake   chan struct{}
}

const never = math.MaxInt64

func newLane(window, copies int) *lane {
	l := &lane{window: int64(window), copies: int64(copies), open: true, wake: make(chan struct{}, 1)}
	l.wakeAt.Store(never)
	return l
}

// claim waits for free places and claims at most limit of them. It returns 0
// when the run is over.
func (l *lane) claim(limit int64, over <-chan struct{}) int64 {
	l.mu.Lock() // held while waiting: the other publishers of the lane queue here
	defer l.mu.Unlock()
	for {
		select {
		case <-over:
			return 0
		default:
		}
		if room := l.window - l.sent + l.came.Load()/l.copies; l.open && room > 0 {
			n := min(limit, room)
			l.sent, l.open = l.sent+n, n < room
			return n
		}
		l.open = false
		if !l.wait((l.sent-l.window/2)*l.copies, over) {
			return 0
		}
		l.open = true
	}
}

// wait waits for the given number of arrivals. A publisher sets wakeAt and then
// reads came; an arrival does the reverse. At least one of them therefore sees
// the other, and the one that resets wakeAt acts.
func (l *lane) wait(arrivals int64, over <-chan struct{}) bool {
	l.wakeAt.Store(arrivals)
	if l.came.Load() >= arrivals && l.wakeAt.CompareAndSwap(arrivals, never) {
		return true
	}
	select {
	case <-l.wake:
		return true
	case <-over:
		return false
	}
}

// arrived counts arrivals.
func (l *lane) arrived(n int64) {
	came := l.came.Add(n)
	if at := l.wakeAt.Load(); came >= at && l.wakeAt.CompareAndSwap(at, never) {
		select {
		case l.wake <- struct{}{}:
		default: // of a publisher that has stopped waiting
		}
	}
}
