package turns

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// idle fails the test unless no turn is taken and no caller waits.
func idle[K comparable](t *testing.T, turns *Turns[K]) {
	t.Helper()
	if turns.free != turns.limits.Turns || turns.waiting != 0 || len(turns.running)+len(turns.lines)+len(turns.round) != 0 {
		t.Errorf("afterwards: %+v", turns)
	}
}

// A turn that is given at the moment the context ends is not lost.
func TestTurnAtTheLastMomentIsNotLost(t *testing.T) {
	turns := New[string](Limits{Turns: 1, Share: 1, Line: 1, Waiting: 1})
	for range 2000 {
		if !turns.Take(t.Context(), "a") {
			t.Fatal("no turn is free")
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan bool, 1)
		go func() { got <- turns.Take(ctx, "b") }()
		go cancel()
		turns.Give("a")
		select {
		case served := <-got:
			if served {
				turns.Give("b")
			}
		case <-time.After(time.Minute):
			t.Fatal("Take does not return")
		}
		cancel()
	}
	idle(t, turns)
}

// One key never gets more than its share, even if turns are free, and another
// key gets a turn at once.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New[string](Fair(8))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if turns.Take(ctx, "flood") {
					<-time.After(time.Second)
					turns.Give("flood")
				}
			})
		}
		synctest.Wait()
		if taken, waiting := turns.Usage(); taken != 6 || waiting != 94 {
			t.Errorf("%d turns are taken, %d wait; want 6 and 94", taken, waiting)
		}
		for range 2 {
			start := time.Now()
			if !turns.Take(t.Context(), "ann") || time.Since(start) != 0 {
				t.Errorf("ann waited %v", time.Since(start))
			}
		}
		<-time.After(1500 * time.Millisecond)
		if taken, waiting := turns.Usage(); taken != 8 || waiting != 88 {
			t.Errorf("%d turns are taken, %d wait; want 8 and 88", taken, waiting)
		}
		turns.Give("ann")
		turns.Give("ann")
		if taken, _ := turns.Usage(); taken != 6 {
			t.Errorf("%d turns are taken, want 6: those of ann are not for the flood", taken)
		}
		cancel()
		group.Wait()
		idle(t, turns)
	})
}

// A line has a maximum length, and the longest one shrinks when too many wait
// in all.
func TestLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New[string](Limits{Turns: 1, Share: 1, Line: 3, Waiting: 4})
		if !turns.Take(t.Context(), "busy") {
			t.Fatal("no turn is free")
		}
		ctx, cancel := context.WithCancel(t.Context())
		enter := func(key string) <-chan bool {
			got := make(chan bool, 1)
			go func() {
				served := turns.Take(ctx, key)
				if served {
					turns.Give(key)
				}
				got <- served
			}()
			synctest.Wait()
			return got
		}
		var a [4]<-chan bool
		for i := range a {
			a[i] = enter("a")
		}
		if <-a[3] {
			t.Error("a fourth has a place in a line of three")
		}
		b, c := enter("b"), enter("c")
		if <-a[2] {
			t.Error("the last of the longest line has not made room")
		}
		turns.Give("busy")
		for i, got := range []<-chan bool{a[0], b, c, a[1]} {
			if !<-got {
				t.Errorf("number %d got no turn", i)
			}
		}
		cancel()
		idle(t, turns)
	})
}
