package bench

import (
	"sync"
	"testing"
	"testing/synctest"
)

// Never more than the window is in flight, and nobody sleeps while there is
// room.
func TestLane(t *testing.T) {
	const window, copies, messages = 16, 3, 5000
	synctest.Test(t, func(t *testing.T) {
		l := newLane(window, copies)
		over, arrivals := make(chan struct{}), make(chan int64, messages)
		var publishers, subscribers sync.WaitGroup
		for range 4 {
			publishers.Go(func() {
				for {
					n := l.claim(5, over)
					if n == 0 {
						return
					}
					arrivals <- n
				}
			})
		}
		var mu sync.Mutex
		total := int64(0)
		for range copies {
			subscribers.Go(func() {
				for n := range arrivals {
					l.arrived(n)
					l.arrived(n * (copies - 1))
					mu.Lock()
					total += n
					if total >= messages {
						select {
						case <-over:
						default:
							close(over)
						}
					}
					mu.Unlock()
				}
			})
		}
		publishers.Wait()
		close(arrivals)
		subscribers.Wait()
		if l.sent < messages || l.came.Load() != l.sent*copies {
			t.Errorf("sent %d, came %d", l.sent, l.came.Load())
		}
	})
}

// A full lane opens when half of it is free, not before.
func TestLaneOpensHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, over := newLane(8, 2), make(chan struct{})
		if n := l.claim(100, over); n != 8 {
			t.Fatalf("claimed %d of 8", n)
		}
		claimed := make(chan int64, 1)
		go func() { claimed <- l.claim(100, over) }()
		l.arrived(7)
		synctest.Wait()
		if len(claimed) != 0 {
			t.Fatalf("claimed %d with 3 free", <-claimed)
		}
		l.arrived(1)
		if n := <-claimed; n != 4 {
			t.Errorf("claimed %d of 4", n)
		}
		go func() { claimed <- l.claim(1, over) }()
		synctest.Wait()
		close(over)
		if n := <-claimed; n != 0 {
			t.Errorf("claimed %d after the end", n)
		}
	})
}
